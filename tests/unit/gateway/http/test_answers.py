"""Each verdict, each silence and each trouble with Kafka has one answer, in the shape of the side that waits."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.ports import Outgoing, Overloaded, RecordTooLarge, Unavailable
from tests.fakes.gateway import Decide, FakeKafka, applied, call_sample, gateway, silent
from topics.contract.definition import Mode
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records.envelope import Envelope
from topics.records.verdicts import Reply, Verdict

TAKEN = {"hasError": False, "errorMessage": None}
PDF = {"awbNumber": "A1", "shippingLabelUrl": "https://x.test/l.pdf", "more": None}


def deciding(verdict: Verdict, **told: Any) -> Decide:
    def decide(envelope: Envelope, _record: Outgoing) -> Reply:
        return Reply(event=envelope.id, verdict=verdict, **told)

    return decide


def increff_error(text: str) -> dict[str, Any]:
    return {"hasError": True, "errorMessage": text}


def marketplace_error(code: str, text: str) -> dict[str, Any]:
    return {"code": code, "message": text, "description": text}


@pytest.mark.parametrize(
    ("name", "decide", "status", "body"),
    [
        ("create-outward-order", deciding(Verdict.APPLIED), 200, None),
        ("create-outward-order", deciding(Verdict.DUPLICATE), 200, None),
        ("create-outward-order", deciding(Verdict.CONFLICT, message="m"), 400, marketplace_error("CONFLICT", "m")),
        ("create-outward-order", deciding(Verdict.REFUSED, message="m"), 400, marketplace_error("REFUSED", "m")),
        (
            "create-outward-order",
            deciding(
                Verdict.REFUSED,
                status=400,
                message="m",
                body={"code": "BAD_DATA", "message": "x", "description": "[y]"},
            ),
            400,
            {"code": "BAD_DATA", "message": "x", "description": "[y]"},
        ),
        ("update-order-properties", deciding(Verdict.EARLY, message="m"), 400, marketplace_error("ORDER_UNKNOWN", "m")),
        ("update-returns", deciding(Verdict.EARLY, message="m"), 400, marketplace_error("RETURN_UNKNOWN", "m")),
        ("customer-cancellation", deciding(Verdict.APPLIED, status=200), 200, None),
        (
            "customer-cancellation",
            deciding(Verdict.REFUSED, status=409, message="packed"),
            409,
            marketplace_error("REFUSED", "packed"),
        ),
        ("seller-cancellation", deciding(Verdict.APPLIED), 200, TAKEN),
        ("seller-cancellation", deciding(Verdict.CONFLICT, message="m"), 400, increff_error("m")),
        ("seller-cancellation", deciding(Verdict.EARLY, message="m"), 404, increff_error("m")),
        ("return-order-acknowledgement", deciding(Verdict.DUPLICATE), 200, None),
        ("pack-order", deciding(Verdict.APPLIED, status=200, body={"shipmentCode": "S"}), 200, {"shipmentCode": "S"}),
        ("pack-order", deciding(Verdict.APPLIED, status=200, body=""), 200, None),
        ("get-shipping-label", deciding(Verdict.DUPLICATE, status=200, body=PDF), 200, PDF),
        (
            "get-shipping-label",
            deciding(Verdict.REFUSED, status=404, message="m", body={"hasError": True, "errorMessage": "no S"}),
            404,
            increff_error("no S"),
        ),
        ("pack-order", deciding(Verdict.REFUSED, status=422, message="m", body={"why": 1}), 422, increff_error("m")),
        ("pack-order", deciding(Verdict.REFUSED, status=200, message="m"), 400, increff_error("m")),
        ("create-manifest", deciding(Verdict.FAILED, message="m"), 503, increff_error("m")),
    ],
)
async def test_verdict_becomes_the_callers_answer(name: str, decide: Decide, status: int, body: Any) -> None:
    async with gateway(kafka=FakeKafka(decide=decide)) as at:
        answered, got, headers = await call_sample(at, name)
        assert (answered, got) == (status, body)
        assert "Sluice-Position" in headers
        assert ("Retry-After" in headers) is (status == 503)


SINGLE = [t for t in TOUCHPOINTS if t.mode is not Mode.ANSWER]


@pytest.mark.parametrize("touchpoint", SINGLE, ids=lambda t: t.name)
async def test_silence_is_503_with_a_receipt_only_where_the_call_can_be_refused(touchpoint: Any) -> None:
    async with gateway(kafka=FakeKafka(decide=silent)) as at:
        status, body, headers = await call_sample(at, touchpoint.name)
        assert "Sluice-Event-Id" in headers
        assert status == (503 if touchpoint.refusable else 200)
        if touchpoint.refusable:
            assert headers["Retry-After"]
            assert "Stored, but there is no verdict yet; a repeat gets it" in (
                body.get("message") or body["errorMessage"]
            )


@pytest.mark.parametrize("touchpoint", SINGLE, ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Unavailable("gone"), 503, "not known whether this was stored; a repeat is safe"),
        (Overloaded("full"), 503, "Sluice has too much to do"),
        (RecordTooLarge("big"), 413, "too large"),
        (RuntimeError("a secret"), 500, "a repeat is safe"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_trouble_before_the_ack_gives_no_receipt(
    touchpoint: Any, error: Exception, status: int, said: str
) -> None:
    async with gateway(kafka=FakeKafka(error=error)) as at:
        answered, body, headers = await call_sample(at, touchpoint.name)
        assert answered == status
        assert said in (body.get("message") or body["errorMessage"])
        assert "a secret" not in str(body)
        assert ("Retry-After" in headers) is (status == 503)
        assert "Sluice-Event-Id" not in headers
        assert not at.kafka.waiting, "nobody may be left waiting"


async def test_nothing_is_stored_while_replies_cannot_be_heard() -> None:
    async with gateway(kafka=FakeKafka(away="not reading")) as at:
        status, _body, headers = await call_sample(at, "create-outward-order")
        assert (status, headers["Retry-After"]) == (503, "2")
        assert not at.kafka.records
        ready = await at.client.get("/ready")
        assert (ready.status, await ready.json()) == (503, {"ready": False, "reason": "not reading"})
        assert (await at.client.get("/live")).status == 200


ORDERS = [{"orderCode": f"O{number}", "locationCode": "W", "extra": number} for number in range(4)]
ITEMS = [{"orderCode": f"O{number}", "shipmentCode": f"S{number}"} for number in range(4)]


def per_order(verdicts: dict[str, Verdict | None]) -> Decide:
    def decide(envelope: Envelope, _record: Outgoing) -> Reply | None:
        verdict = verdicts.get(envelope.subject, Verdict.APPLIED)
        return None if verdict is None else Reply(event=envelope.id, verdict=verdict, message=f"why {envelope.subject}")

    return decide


async def test_acknowledgement_is_split_into_keyed_records_of_one_order() -> None:
    async with gateway() as at:
        _status, body, headers = await call_sample(at, "acknowledgement", orders=ORDERS)
        assert body == {"successOrders": ORDERS}
        batch = headers["Sluice-Event-Id"]
        assert [envelope.id for envelope in at.kafka.envelopes()] == [f"{batch}-{n}" for n in range(4)]
        assert {envelope.batch_id for envelope in at.kafka.envelopes()} == {batch}
        assert [record.key for record in at.kafka.records] == [f"demo|O{n}".encode() for n in range(4)]
        for order, record in zip(ORDERS, at.kafka.records, strict=True):
            assert orjson.loads(record.value) == {"orders": [order], "consolidationType": "NONE"}
        assert headers["Sluice-Position"].count("t.orders.commands.v1/") == 4


async def test_acknowledgement_names_those_that_succeeded_and_counts_silence_as_success() -> None:
    verdicts = {"O1": Verdict.EARLY, "O2": None, "O3": Verdict.REFUSED}
    async with gateway(kafka=FakeKafka(decide=per_order(verdicts))) as at:
        status, body, _headers = await call_sample(at, "acknowledgement", orders=ORDERS)
        assert (status, body) == (200, {"successOrders": [ORDERS[0], ORDERS[2]]})


@pytest.mark.parametrize(
    ("verdicts", "status", "named"),
    [
        ({}, 200, []),
        ({"O1": None}, 200, []),
        ({"O1": Verdict.EARLY}, 404, ["O1: why O1"]),
        ({"O1": Verdict.EARLY, "O3": Verdict.REFUSED}, 400, ["O1: why O1", "O3: why O3"]),
        ({"O0": Verdict.FAILED, "O3": Verdict.REFUSED}, 503, ["O0: why O0", "O3: why O3"]),
    ],
)
async def test_handover_succeeds_whole_or_names_who_did_not(
    verdicts: dict[str, Verdict | None], status: int, named: list[str]
) -> None:
    async with gateway(kafka=FakeKafka(decide=per_order(verdicts))) as at:
        answered, body, headers = await call_sample(at, "handover-notification", handoverItems=ITEMS)
        assert answered == status
        assert body["hasError"] is bool(named)
        for text in named:
            assert text in body["errorMessage"]
        assert ("Retry-After" in headers) is (status == 503)
        assert len(at.kafka.records) == 4


async def test_a_batch_that_was_stored_in_part_is_503_with_receipts_of_that_part() -> None:
    kafka = FakeKafka(decide=applied, refuses=lambda record: record.key == b"demo|O2")
    async with gateway(kafka=kafka) as at:
        status, _body, headers = await call_sample(at, "handover-notification", handoverItems=ITEMS)
        assert (status, headers["Retry-After"]) == (503, "2")
        assert headers["Sluice-Position"].count("/") == 6
        assert not at.kafka.waiting


async def test_a_faulty_item_refuses_the_whole_batch_before_anything_is_stored() -> None:
    async with gateway() as at:
        status, body, _headers = await call_sample(at, "acknowledgement", orders=[*ORDERS, {"orderCode": ""}])
        assert status == 400
        assert "orders[4].orderCode: may not be empty" in body["errorMessage"]
        assert not at.kafka.records


async def test_the_header_of_a_long_batch_stays_short() -> None:
    async with gateway() as at:
        orders = [{"orderCode": f"O{number}"} for number in range(1_000)]
        _status, body, headers = await call_sample(at, "acknowledgement", orders=orders)
        assert len(body["successOrders"]) == 1_000
        assert len(headers["Sluice-Position"]) < 8_000
        assert headers["Sluice-Position"].endswith("and 980 more")
