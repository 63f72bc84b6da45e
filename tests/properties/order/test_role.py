"""The role over logs with records produced twice, crashes and redeliveries.

Property: it ends where one undisturbed pass ends, and what left has the same ids and numbers, nothing more.
"""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.orders import (
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    handover_body,
    manifest_body,
    pack_body,
    update_body,
)
from tests.support.orders_log import PARTITIONS, Logs, make_channels
from topics.records.deliveries import OutcomeKind

EXAMPLES = 40
PAUSE_MS = 700
IMPATIENT = make_channels(sla={"submit_s": 1, "acknowledge_s": 1, "pack_s": 1, "handover_s": 1})
"""So that ticks find orders that got stuck."""


def _return(order: str, *units: int) -> dict[str, Any]:
    items = [{"itemCode": f"{n}", "channelSkuCode": "SKU-1", "reason": "SIZE"} for n in units]
    return {
        "forwardOrderCode": order,
        "returnOrderCode": f"R-{order}",
        "locationCode": "L",
        "orderType": "CUSTOMER_RETURN",
        "orderItems": items,
    }


def _items(order: str, *units: int) -> dict[str, Any]:
    lines = [{"channelReturnItemCode": f"{n}", "channelSkuCode": "SKU-1"} for n in units]
    return {"orderCode": order, "returnOrderCode": f"R-{order}", "locationCode": "L", "returnLineItems": lines}


def _cancelled(order: str, *units: int) -> dict[str, Any]:
    lines = [{"returnOrderItemCode": f"{n}", "channelSkuCode": "SKU-1"} for n in units]
    return {"orderCode": order, "returnOrderCode": f"R-{order}", "locationCode": "L", "returnOrderItems": lines}


def _inspection(order: str, *units: int) -> dict[str, Any]:
    items = [{"itemCode": f"{n}", "channelSkuCode": "SKU-1", "qcStatus": "PASS"} for n in units]
    return {"returnOrderCode": f"R-{order}", "forwardOrderCode": order, "locationCode": "L", "orderItems": items}


COMMANDS: list[tuple[str, dict[str, Any]]] = [
    (touchpoint, body)
    for code in ("A", "B", "C")
    for touchpoint, body in (
        ("create-outward-order", create_body(code)),
        ("create-outward-order", create_body(code, gift=True)),
        ("update-order-properties", update_body(hold=True, code=code)),
        ("update-order-properties", update_body(hold=False, code=code)),
        ("acknowledgement", acknowledgement_body(code)),
        ("pack-order", pack_body(1, code, sku_1=1)),
        ("pack-order", pack_body(2, code, sku_1=1, sku_2=1)),
        ("get-shipping-label", document_body("S-1", code)),
        ("handover-notification", handover_body("S-1", code=code)),
        ("seller-cancellation", cancel_body(code, i2=1)),
        ("customer-cancellation", cancel_body(code, i1=1)),
        ("create-manifest", manifest_body(code)),
    )
]
COMMANDS += [
    # Of orders that are there: one that is created later hears of a return when its message comes again, not before.
    (touchpoint, body)
    for code in ("A", "B")
    for touchpoint, body in (
        ("create-return-order", _return(code, 1)),
        ("create-return-order", _return(code, 1, 2)),
        ("add-return-order-items", _items(code, 3)),
        ("cancel-return-order-items", _cancelled(code, 1)),
        ("return-order-acknowledgement", _inspection(code, 1)),
    )
]
STEPS = st.lists(st.tuples(st.sampled_from(COMMANDS), st.sampled_from(OutcomeKind)), min_size=3, max_size=16)
DISTURBANCES = st.lists(
    st.tuples(st.sampled_from(["twice", "after effects", "before commit"]), st.integers(0, PARTITIONS - 1)), max_size=24
)


def undisturbed(steps: list[tuple[tuple[str, dict[str, Any]], OutcomeKind]]) -> Logs:
    """One pass, in which delivery answers each request once."""
    logs = Logs(channels=IMPATIENT)
    answered: set[str] = set()
    for code in ("A", "B"):
        logs.call("create-outward-order", create_body(code), f"create-{code}")
    for number, ((touchpoint, body), kind) in enumerate(steps):
        logs.call(touchpoint, body, f"e{number}")
        logs.run()
        for request in logs.requests():
            if request.id not in answered:
                answered.add(request.id)
                logs.answer(request, kind, body={"shipmentCode": "S-1", "awbNumber": "X", "manifestCode": "M"})
        logs.run()
        logs.tick(logs.now_ms + PAUSE_MS)
    return logs


def facts(logs: Logs) -> dict[bytes, Any]:
    return {dict(e.headers)["ce_id"]: orjson.loads(e.value) for e in logs.effects if e.topic == "orders.events"}


def comparable(logs: Logs) -> dict[bytes, Any]:
    """States without what a repeat may touch: when it was last looked at, and which event ids came by."""
    return {
        key: {name: value for name, value in state.items() if name not in ("updated", "due", "seen")}
        for key, state in logs.states_by_key().items()
    }


@settings(max_examples=EXAMPLES, deadline=None)
@given(STEPS, DISTURBANCES)
def test_a_disturbed_log_ends_where_an_undisturbed_one_ends(
    steps: list[tuple[tuple[str, dict[str, Any]], OutcomeKind]], disturbances: list[tuple[str, int]]
) -> None:
    plain = undisturbed(steps)
    again = Logs(channels=IMPATIENT)
    again.records = [list(records) for records in plain.records]
    for kind, partition in disturbances:
        done = again.committed[partition]
        if done < len(again.records[partition]):
            if kind == "twice":
                # A producer's retry: the record is there twice, one after the other.
                again.records[partition].insert(done, again.records[partition][done])
                again.step(partition)
                again.step(partition)
            elif kind == "after effects":
                again.crash_after_effects(partition)
                again.step(partition)
            else:
                again.step(partition)
                again.crash_before_commit(partition, 3)
    again.run()
    assert comparable(again) == comparable(plain)
    assert facts(again) == facts(plain)
    assert {request.id: request for request in again.requests()} == {r.id: r for r in plain.requests()}
    assert again.rejected == []
