"""Each record adds the rows that docs/journal.md says, by the rules of docs/reading.md."""

from __future__ import annotations

import json
from typing import Any

from journal.tables.deliveries import BODIES, DEAD_LETTERS, REQUESTS
from journal.tables.incidents import REJECTED
from journal.tables.orders import FACTS, IDS, ORDERS
from tests.support.journal.records import BEGIN_MS
from tests.unit.journal.reading import KEY, LANE, Journal
from topics.records.deliveries import Concluded, Conclusion
from topics.records.envelope import COMMAND, DELIVERY_CONCLUDED, DELIVERY_DEAD, FACT
from topics.records.json_record import encode_record
from topics.records.keys import lane_key


async def test_facts_make_the_order_as_it_is_now(journal: Journal) -> None:
    line = {"ordered": 3, "open": 1, "packed": 1, "cancelled": 1}
    await journal.fact(
        "order-created", 1, "1/1", dispatchByTime="2026-11-30T10:00:00Z", lines=[line, line], lineCount=2
    )
    await journal.fact("order-stuck", 2, "1/2", step="submit", sinceMs=5)
    await journal.fact("order-submitted", 3, "1/3", state="SUBMITTED", locationCode="L1")
    await journal.fact("order-unstuck", 4, "1/4", state="SUBMITTED", step="submit")
    (order,) = await journal.rows(
        ORDERS,
        *("code", "state", "state_since_ms", "location", "due_ms", "units", "units_open", "stuck_step", "last_fact"),
        *("is_open", "record_offset"),
    )
    assert order == ("O|1", "SUBMITTED", BEGIN_MS + 3, "L1", 1_796_032_800_000, 6, 2, "", "order-unstuck", True, 3)
    assert len(await journal.rows(FACTS, "name")) == 4


async def test_repeats_late_writes_and_what_others_wrote_do_not_count(journal: Journal) -> None:
    await journal.fact("order-created", 1, "2/1")
    await journal.fact("order-created", 1, "2/1")
    await journal.fact("order-cancelled", 2, "1/2", state="CANCELLED")
    await journal.fact("order-cancelled", 2, "", state="CANCELLED")
    await journal.read("orders.events", KEY, b"[]", "2/9", ce_type=FACT + "order-cancelled", ce_id="x")
    assert await journal.rows(FACTS, "name", "record_offset") == [("order-created", 0)]
    assert await journal.rows(ORDERS, "state") == [("RECEIVED",)]


async def test_an_order_that_was_expected_is_one_row_once_it_is_created(journal: Journal) -> None:
    await journal.fact("event-parked", 1, "1/1", state="EXPECTED", sinceCreatedMs=900_000)
    await journal.fact("order-created", 2, "1/2", sinceCreatedMs=0)
    assert await journal.rows(ORDERS, "state", "sequence") == [("RECEIVED", 2)]
    assert len(await journal.rows(FACTS, "name")) == 2


async def test_a_code_that_is_used_again_is_another_order(journal: Journal) -> None:
    await journal.fact("order-created", 1, "1/1")
    await journal.fact("order-forgotten", 2, "1/2", state=None)
    await journal.fact("order-created", 1, "1/3", atMs=BEGIN_MS + 9_000_000, sinceCreatedMs=0)
    assert await journal.rows(ORDERS, "is_forgotten", "state") == [(False, "RECEIVED"), (True, "RECEIVED")]


async def test_ids_lead_to_the_order(journal: Journal) -> None:
    await journal.fact("label-issued", 1, "1/1", shipmentId=7, shipmentCode="S", awbNumber="A")
    await journal.request("other.0", "1/1")
    found = await journal.rows(IDS, "id", "kind", "order_key")
    wanted = (
        ("7", "shipment"),
        ("A", "awb"),
        ("O|1", "order"),
        ("S", "shipment"),
        ("e1/1", "event"),
        ("other", "event"),
    )
    assert found == [(*one, KEY.decode()) for one in wanted]


async def test_a_late_request_counts_unless_a_newer_one_is_before_it_in_its_lane(journal: Journal) -> None:
    await journal.request("other-lane.0", "5/1", lane=lane_key("channel:demo", KEY).decode())
    await journal.request("late.0", "4/1")  # delivery takes it, too: nothing newer is in its lane yet
    await journal.request("new.0", "5/2")
    await journal.request("too-late.0", "4/2")
    await journal.request("gateway.0", "")
    found = await journal.rows(REQUESTS, "request_id")
    assert found == [("gateway.0",), ("late.0",), ("new.0",), ("other-lane.0",)]


async def test_of_a_dead_letter_the_last_record_counts(journal: Journal) -> None:
    request = {
        "id": "r.0",
        "destination": "increff",
        "shard": 0,
        "channel": "demo",
        "touchpoint": "create-outward-order",
    }
    more = {"lane": LANE.decode(), "entity": KEY.decode(), "subject": "O|1", "body": {"orderCode": "O|1"}}
    letter = {
        "request": request | more,
        "attempts": 3,
        "first_ms": 1,
        "last": None,
        "message": "no",
        "holds_lane": True,
    }
    ended = Concluded(request="r.0", how=Conclusion.SKIPPED, attempts=3)
    state = ("kind", "attempts", "concluded")

    async def read(kind: str, value: bytes) -> list[tuple[Any, ...]]:
        await journal.read("deliveries.dead", LANE, value, ce_type=kind, ce_id="x", sluice_channel="demo")
        return await journal.rows(DEAD_LETTERS, *state)

    assert await read(DELIVERY_CONCLUDED, ended.encode()) == [("", 0, "skipped")]
    assert await read(DELIVERY_DEAD, encode_record(letter)) == [("dead", 3, None)]
    assert await read(DELIVERY_CONCLUDED, ended.encode()) == [("dead", 3, "skipped")]
    assert await read(DELIVERY_DEAD, encode_record(letter | {"attempts": 6})) == [("dead", 6, None)]


async def test_without_personal_data_a_body_keeps_codes_and_flags(journal: Journal) -> None:
    await journal.request("r.0", "1/1")
    ((form, body),) = await journal.rows(BODIES, "form", "body")
    assert form == "reduced"
    assert json.loads(body) == {
        "orderCode": "O|1",
        "onHold": False,
        "isPriority": "…",
        "shippingAddress": {"name": "…"},
    }


async def test_a_rejected_record_has_its_row_and_body_however_deep_it_is_nested(journal: Journal) -> None:
    value = b'{"orderCode":' + b"[" * 900 + b"]" * 900 + b"}"
    origin = {"sluice_rejected_topic": "t", "sluice_rejected_partition": "0", "sluice_rejected_offset": "7"}
    await journal.read("commands.rejected", KEY, value, "", ce_type=COMMAND + "create-outward-order", **origin)
    assert await journal.rows(REJECTED, "source_topic", "source_offset") == [("t", 7)]
    assert await journal.rows(BODIES, "id", "body") == [("t|0|7", '{"orderCode":["…"]}'.encode())]
