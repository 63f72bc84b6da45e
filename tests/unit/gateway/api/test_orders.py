"""The management API answers where an order is, takes decisions about dead deliveries, and errs as RFC 9457 says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from gateway.ports import Outgoing
from tests.fakes.gateway import FakeKafka, channels_with, gateway, silent
from topics.api.management import UnknownProblem
from topics.records.envelope import ORDER_QUERY, Envelope
from topics.records.keys import order_key, return_key
from topics.records.verdicts import Reply, Verdict

DOCUMENT = {
    "channel": "demo",
    "orderCode": "O/1",
    "deliveries": [
        {"id": "e.0", "touchpoint": "create-outward-order", "destination": "increff"},
        {"id": "e.1", "touchpoint": "get-invoice", "destination": "channel:demo"},
    ],
}


def known(document: Any = DOCUMENT) -> FakeKafka:
    def decide(envelope: Envelope, _record: Outgoing) -> Reply:
        return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body=document)

    return FakeKafka(decide=decide)


def is_problem(body: Mapping[str, Any], status: int, code: str) -> bool:
    return {"type", "title", "status", "detail", "code"} == set(body) and (body["status"], body["code"]) == (
        status,
        code,
    )


async def test_an_order_is_asked_for_through_kafka() -> None:
    async with gateway(kafka=known()) as at:
        response = await at.client.get("/api/orders/O%2F1")
        assert (response.status, await response.json()) == (200, {**DOCUMENT, "story": None})
        (record,), (envelope,) = at.kafka.records, at.kafka.envelopes()
        assert envelope.type == ORDER_QUERY
        assert record.key == order_key("demo", "O/1")
        assert orjson.loads(record.value) == {"orderCode": "O/1"}


async def test_a_return_has_its_own_key() -> None:
    async with gateway(kafka=known({"returnOrderCode": "R"})) as at:
        response = await at.client.get("/api/returns/R?channel=demo")
        assert await response.json() == {"returnOrderCode": "R", "story": None}
        assert at.kafka.records[0].key == return_key("demo", "R")


@pytest.mark.parametrize(
    ("path", "document", "status", "code"),
    [
        ("/api/orders/O", None, 404, "UNKNOWN"),
        ("/api/orders/O?channel=nobody", DOCUMENT, 404, "CHANNEL_UNKNOWN"),
        (f"/api/orders/{'x' * 256}", DOCUMENT, 400, "BAD_DATA"),
        ("/api/nothing", DOCUMENT, 404, "UNKNOWN"),
    ],
)
async def test_errors_are_problem_details(path: str, document: Any, status: int, code: str) -> None:
    async with gateway(kafka=known(document)) as at:
        response = await at.client.get(path)
        assert response.content_type == "application/problem+json"
        assert response.status == status
        assert is_problem(await response.json(content_type=None), status, code)


async def test_the_channel_must_be_named_when_there_are_several() -> None:
    async with gateway(kafka=known(), channels=channels_with(second="web")) as at:
        response = await at.client.get("/api/orders/O")
        assert response.status == 400
        assert "channel: must be one of demo, web" in (await response.json(content_type=None))["detail"]
        assert (await at.client.get("/api/orders/O?channel=web")).status == 200


REFUSED_CALL = {
    "touchpoint": "create-outward-order",
    "status": 400,
    "code": "BAD_DATA",
    "reason": "Input validation failed: [onHold: must be true or false]",
    "count": 2,
    "firstAtMs": 1_750_000_000_000,
    "lastAtMs": 1_750_000_001_000,
    "eventId": "e1",
    "source": "/gateway",
    "address": "10.0.0.1",
}


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (REFUSED_CALL, "There is no order O of channel demo: its Create Outward Order was refused with 400 BAD_DATA"),
        (REFUSED_CALL, "because: Input validation failed: [onHold: must be true or false]"),
        (
            {**REFUSED_CALL, "status": None, "reason": "no"},
            "refused with BAD_DATA at 2025-06-15T15:06:41.000Z, because",
        ),
        ({**REFUSED_CALL, "touchpoint": "of-a-newer-version"}, "its of-a-newer-version was refused with 400"),
    ],
)
@pytest.mark.parametrize("path", ["", "/events"])
async def test_an_unknown_order_says_why_its_create_was_refused(call: dict[str, Any], why: str, path: str) -> None:
    async with gateway(kafka=known([{**REFUSED_CALL, "reason": "an older one"}, call])) as at:
        response = await at.client.get(f"/api/orders/O{path}")
        body = await response.json(content_type=None)
        assert (response.status, body["code"]) == (404, "UNKNOWN")
        assert why in body["detail"]
        assert body["refusedCalls"][-1] == call
        assert len(UnknownProblem.model_validate(body).refusedCalls) == 2


async def test_silence_is_503() -> None:
    async with gateway(kafka=FakeKafka(decide=silent)) as at:
        response = await at.client.get("/api/orders/O")
        assert (response.status, response.headers["Retry-After"]) == (503, "2")


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("Bearer wrong", 401), ("right", 401), ("Bearer right", 200)]
)
async def test_a_configured_token_is_needed(token: str | None, status: int) -> None:
    async with gateway(kafka=known(), api_token="right") as at:
        headers = {"Authorization": token} if token else {}
        assert (await at.client.get("/api/orders/O", headers=headers)).status == status


async def test_a_wrong_method_is_405() -> None:
    async with gateway(kafka=known()) as at:
        assert (await at.client.get("/api/orders/O/deliveries/e.0/skip")).status == 405
        assert (await at.client.delete("/api/orders/O")).status == 405


async def test_a_query_that_was_set_aside_does_not_say_that_there_is_no_such_order() -> None:
    def decide(envelope: Envelope, _record: Outgoing) -> Reply:
        return Reply(event=envelope.id, verdict=Verdict.REFUSED, message="not the state of an order")

    async with gateway(kafka=FakeKafka(decide=decide)) as at:
        response = await at.client.get("/api/orders/O")
        body = await response.json(content_type=None)
        assert is_problem(body, 500, "NOT_ANSWERED")
        assert "not the state of an order" in body["detail"]
