"""Every refused call leaves a trace: a line in the log, and a record for the history of the order that it named.

Property: whatever was wrong, the order's code is found wherever it can be read; nobody who is not authenticated leaves
a trace at an order; and a client that repeats its refusals costs one record, not one for each.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse
from yarl import URL

from gateway.http.answers import QUOTED, Refused
from gateway.http.metrics import Metrics
from gateway.kafka.refused_calls import EntityRefusal, RefusedCalls
from gateway.ports import Outgoing, Position, Unavailable
from tests.fakes.gateway import INCREFF, MARKETPLACE, NOW_MS, FakeKafka, Gateway, channels_with, gateway, headers_for
from tests.support.eventually import eventually
from topics.api.routes import full_path
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import CALL_REFUSED, Envelope, parse
from topics.records.keys import order_key, return_key
from topics.records.models import CallRefused
from topics.records.verdicts import Reply, Verdict

CREATE = full_path(BY_NAME["create-outward-order"])


def create(**changes: Any) -> bytes:
    return orjson.dumps({**sample("create-outward-order").members, **changes})


async def told(at: Gateway, count: int = 1) -> list[CallRefused]:
    """The records that the orders role got, once there are so many."""
    await eventually(lambda: len(at.kafka.told) >= count, every_s=0)
    return [CallRefused.model_validate_json(record.value) for record in at.kafka.told]


async def send(at: Gateway, name: str, body: bytes) -> ClientResponse:
    """The call with this body; the code in its path, if it has one, is `C/3`."""
    touchpoint = BY_NAME[name]
    path = full_path(touchpoint).format(channel="demo", orderCode="C%2F3")
    return await at.client.request(
        touchpoint.method, URL(path, encoded=True), data=body, headers=headers_for(touchpoint)
    )


def logged(at: Gateway) -> dict[str, Any]:
    (line,) = [orjson.loads(line) for text in at.log for line in text.splitlines()]
    return dict(line)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", CREATE, create(onHold="perhaps")),
        ("POST", CREATE, b"no JSON"),
        ("PUT", full_path(BY_NAME["location-wise-atp-inventory"]).format(channel="demo"), b"no JSON"),
        ("POST", "/api/redrives", b'{"channel": 1}'),
    ],
)
async def test_a_refused_call_keeps_its_body_no_longer_than_itself(method: str, path: str, body: bytes) -> None:
    """The frames of a refusal's traceback hold the body: a circle with them would keep it until a collection."""

    def refusals() -> int:
        return sum(isinstance(one, Refused) for one in gc.get_objects())

    async with gateway() as at:
        headers = {**INCREFF, **MARKETPLACE} if path.startswith(("/assure", "/channels")) else None
        gc.collect()
        gc.disable()
        try:
            before = refusals()
            for _ in range(5):
                response = await at.client.request(method, path, data=body, headers=headers)
                assert response.status == 400, await response.text()
            assert refusals() == before
        finally:
            gc.enable()


@pytest.mark.parametrize(
    ("name", "body", "code", "reason"),
    [
        ("create-outward-order", create(orderCode="C-1", onHold="perhaps"), "C-1", "onHold"),
        ("create-outward-order", create(orderCode=4711, orderItems=[]), "4711", "orderItems"),
        ("create-outward-order", b'{"orderCode": "C-2"}', "C-2", "may not be null"),
        ("customer-cancellation", b"no JSON", "C/3", "not valid JSON"),
        ("update-order-properties", b'{"orderCode": "C/3", "onHold": []}', "C/3", ""),
        ("create-return-order", b'{"returnOrderCode": "R-1"}', "R-1", "may not be null"),
        ("get-invoice", b'{"orderCode": "C-5"}', "C-5", "may not be null"),
        ("pack-order", b'{"orderCode": "C-6"}', "C-6", ""),
    ],
)
async def test_a_refused_call_is_told_to_the_orders_role_under_the_code_that_it_names(
    name: str, body: bytes, code: str, reason: str
) -> None:
    key = (return_key if name == "create-return-order" else order_key)("demo", code)
    async with gateway() as at:
        response = await send(at, name, body)
        answer = await response.text()
        assert (response.status, at.kafka.records) == (400, []), answer
        (call,) = await told(at)
        (record,) = at.kafka.told
    line = logged(at)
    assert (record.topic, record.key, parse(record.headers).type) == ("orders.commands", key, CALL_REFUSED)
    assert (call.subject, call.status, call.code, call.count) == (code, 400, "BAD_DATA", 1)
    assert reason in call.reason
    assert call.reason.removeprefix("Input validation failed: ") in orjson.loads(answer).get(
        "description", orjson.loads(answer).get("errorMessage", "")
    )
    assert (call.firstAtMs, call.lastAtMs, call.source, call.address) == (NOW_MS, NOW_MS, "/gateway", "127.0.0.1")
    for member, value in (
        ("subject", code),
        ("channel", "demo"),
        ("status", 400),
        ("code", "BAD_DATA"),
        ("reason", call.reason),
        ("event_id", call.eventId),
    ):
        assert line[member] == value


@pytest.mark.parametrize(
    ("name", "member"),
    [("acknowledgement", "orders"), ("handover-notification", "handoverItems"), ("create-manifest", "manifestItems")],
)
async def test_a_batch_that_is_refused_is_in_the_history_of_each_of_its_orders(name: str, member: str) -> None:
    items = [{"orderCode": "B-1", "shipmentCode": []}, {"orderCode": "B-2"}, {"orderCode": None}, "no object"]
    async with gateway() as at:
        response = await send(at, name, orjson.dumps({**sample(name).members, member: items}))
        assert response.status == 400, await response.text()
        calls = await told(at, 2)
        assert [call.subject for call in calls] == ["B-1", "B-2"]
        assert len({call.eventId for call in calls}) == 1


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (CREATE, b"not JSON", MARKETPLACE),
        (CREATE, b"[1]", MARKETPLACE),
        (CREATE, create(orderCode=None), MARKETPLACE),
        (CREATE, create(orderCode=""), MARKETPLACE),
        (CREATE, create(orderCode="x" * 256), MARKETPLACE),
        (CREATE, create(orderCode={"a": 1}), MARKETPLACE),
        (CREATE, create(orderCode="C-1", onHold="?"), {}),
        (CREATE, create(orderCode="C-1"), {**MARKETPLACE, "authPassword": "wrong"}),
    ],
)
async def test_without_a_code_or_a_known_caller_only_the_log_has_it(
    path: str, body: bytes, headers: dict[str, str]
) -> None:
    async with gateway() as at:
        response = await at.client.post(path, data=body, headers=headers)
        await response.read()
        await asyncio.sleep(0.01)
        assert (at.kafka.told, at.kafka.records) == ([], [])
    line = logged(at)
    assert (line["status"], line["code"]) in ((400, "BAD_DATA"), (401, "UNAUTHORIZED"))
    assert line["subject"] == ""
    assert (line["channel"] is None) is (response.status == 401)


async def test_a_touchpoint_that_is_off_is_a_refused_call_of_its_channel() -> None:
    async with gateway(channels=channels_with(off=["update-order-properties"])) as at:
        response = await at.client.put("/assure-magic2/orders/C-1", data=b"{}", headers=MARKETPLACE)
        assert response.status == 404
        (call,) = await told(at)
    assert (call.subject, call.status, call.code) == ("C-1", 404, "TOUCHPOINT_OFF")
    assert (logged(at)["channel"], logged(at)["code"]) == ("demo", "TOUCHPOINT_OFF")


@pytest.mark.parametrize(
    ("verdict", "message", "code", "reason"),
    [
        (Verdict.CONFLICT, "other data is known", "CONFLICT", "other data is known"),
        (Verdict.REFUSED, "Increff said: phone 12345", "REFUSED", QUOTED),
    ],
)
async def test_a_verdict_is_told_by_the_orders_role_and_its_line_quotes_no_far_side(
    verdict: Verdict, message: str, code: str, reason: str
) -> None:
    def decide(envelope: Envelope, _record: Outgoing) -> Reply:
        return Reply(event=envelope.id, verdict=verdict, message=message)

    async with gateway(kafka=FakeKafka(decide=decide)) as at:
        response = await at.client.post(CREATE, data=create(orderCode="C-1"), headers=MARKETPLACE)
        assert (response.status, orjson.loads(await response.read())["message"]) == (400, message)
        await asyncio.sleep(0.01)
        assert at.kafka.told == []
    line = logged(at)
    assert (line["code"], line["reason"], line["subject"], line["verdict"]) == (code, reason, "C-1", verdict.value)


async def test_a_taken_call_has_neither_code_nor_reason_in_its_line() -> None:
    async with gateway() as at:
        await at.client.post(CREATE, data=create(), headers=MARKETPLACE)
    assert not {"code", "reason"} & logged(at).keys()


class SlowKafka:
    """Takes a record when the test lets it; fails first as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.records: list[Outgoing] = []
        self.open = asyncio.Event()
        self.failures = failures
        self.asked = 0

    async def produce(self, record: Outgoing) -> Position:
        self.asked += 1
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        self.records.append(record)
        return Position("t", 0, 0)

    async def produce_all(self, records: object) -> list[Position | None]:
        raise NotImplementedError

    def unready(self) -> str | None:
        return None


def refusal(code: str, reason: str = "why") -> EntityRefusal:
    return EntityRefusal(order_key("demo", code), code, "create-outward-order", 400, "BAD_DATA", reason)


async def test_equal_refusals_that_wait_become_one_record_with_a_count() -> None:
    kafka, metrics = SlowKafka(), Metrics()
    calls = RefusedCalls(kafka, lambda: NOW_MS, metrics)
    for number in range(100):
        calls.note("demo", [refusal("A")], f"e{number}", "10.0.0.1")
    calls.note("demo", [refusal("A", "another reason")], "other", "10.0.0.1")
    kafka.open.set()
    await calls.stop()
    found = [CallRefused.model_validate_json(record.value) for record in kafka.records]
    assert [(call.count, call.eventId) for call in found] == [(100, "e99"), (1, "other")]


async def test_what_waits_is_bounded_for_each_channel_and_what_is_left_out_is_counted() -> None:
    kafka, metrics = SlowKafka(), Metrics()
    calls = RefusedCalls(kafka, lambda: NOW_MS, metrics, waiting_max=3)
    for number in range(10):
        calls.note("noisy", [refusal(f"A{number}")], f"e{number}", "")
    calls.note("quiet", [refusal("B")], "q", "")
    assert metrics.refused_calls_left_out == {"noisy": 7}
    assert b'sluice_gateway_refused_calls_left_out_total{channel="noisy"} 7.0' in metrics.text()
    kafka.open.set()
    await calls.stop()
    assert [parse(record.headers).channel for record in kafka.records] == ["noisy", "quiet", "noisy", "noisy"]


async def test_a_record_that_kafka_does_not_take_is_told_again_under_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.kafka.refused_calls.RETRY_S", 0)
    kafka = SlowKafka(failures=2)
    kafka.open.set()
    calls = RefusedCalls(kafka, lambda: NOW_MS, Metrics())
    calls.note("demo", [refusal("A")], "e1", "")
    await calls.stop()
    assert (kafka.asked, [parse(record.headers).id for record in kafka.records]) == (3, ["e1"])


async def test_a_stop_waits_for_no_kafka_that_is_away_and_counts_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.kafka.refused_calls.STOP_S", 0.01)
    metrics = Metrics()
    calls = RefusedCalls(SlowKafka(), lambda: NOW_MS, metrics)
    for code in "AB":
        calls.note("demo", [refusal(code)], code, "")
    await calls.stop()
    assert metrics.refused_calls_left_out == {"demo": 2}


async def test_an_unforeseen_error_is_counted_and_ends_no_stop() -> None:
    """What else ends with the gateway is ended all the same, and the next refusal is told again."""
    metrics, kafka = Metrics(), FakeKafka(error=RuntimeError("unforeseen"))
    calls = RefusedCalls(kafka, lambda: NOW_MS, metrics)
    calls.note("demo", [refusal("A")], "e1", "")
    await calls.stop()
    assert metrics.refused_calls_left_out == {"demo": 1}
    kafka.error = None
    calls.note("demo", [refusal("B")], "e2", "")
    await calls.stop()
    assert [parse(record.headers).id for record in kafka.told] == ["e2"]
