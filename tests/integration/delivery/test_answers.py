"""An answer means the same in any bytes, over HTTP and over Kafka: a refusal is never recorded as taken."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import pytest

from streams.delivery.ports import AnswerFault
from tests.fakes.delivery import request_for
from tests.support.eventually import eventually
from tests.support.marketplaces.played import Arrival, Reply
from tests.support.marketplaces.world import World
from topics import http_sessions
from topics.configuration.channels import FarSide
from topics.contract.definition import Entity
from topics.contract.sample_files import sample
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records.deliveries import DeliveryRequest, OutcomeKind
from topics.records.keys import position_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAR_SIDES = [FarSide.HTTP, FarSide.KAFKA]
NAMES = [
    touchpoint.name
    for touchpoint in TOUCHPOINTS
    if touchpoint.far_side == "marketplace" and touchpoint.entity not in (Entity.STOCK, Entity.NONE)
]
JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
WORDS = "Größe fehlt"
REFUSALS = {
    "a byte order mark": Reply(200, b"\xef\xbb\xbf" + orjson.dumps({"hasError": True, "errorMessage": WORDS}), JSON),
    "latin-1": Reply(200, f'{{"hasError":true,"errorMessage":"{WORDS}"}}'.encode("latin-1"), JSON),
    "UTF-16": Reply(200, f'{{"hasError":true,"errorMessage":"{WORDS}"}}'.encode("utf-16"), JSON),
    "a lone surrogate": Reply(200, f'{{"hasError":true,"errorMessage":"{WORDS}","a":"\\ud800"}}'.encode(), JSON),
    "a flag as text": Reply(200, orjson.dumps({"hasError": "true", "errorMessage": WORDS}), JSON),
    "a flag as a number": Reply(200, orjson.dumps({"hasError": 1, "errorMessage": WORDS}), JSON),
    "another spelling": Reply(200, orjson.dumps({"HasError": True, "ErrorMessage": WORDS}), JSON),
    "a wrapped one": Reply(200, orjson.dumps({"data": {"has_error": True, "error_message": WORDS}}), HTML),
}
UNUSABLE = {
    AnswerFault.NOT_JSON: Reply(200, b'{"hasError":true,}', JSON),
    AnswerFault.PAGE: Reply(200, b"<html><title>Sign in</title></html>", HTML),
    AnswerFault.TEXT: Reply(200, b"Fatal error: Uncaught Exception", HTML),
    AnswerFault.NO_OBJECT: Reply(200, b'[{"hasError":true}]', JSON),
    AnswerFault.UNCLEAR: Reply(200, b'{"hasError":"maybe"}', JSON),
    AnswerFault.FAILED: Reply(200, b'{"success":false,"message":"no such order"}', JSON),
}


def requests_of(world: World, far_side: FarSide, names: list[str]) -> dict[str, DeliveryRequest]:
    """One request for each call, by its id; each of an order of its own."""
    made = [
        request_for(name, world.name("order"), world.name(name), body=sample(name).members, channel=far_side.value)
        for name in names
    ]
    return {request.id: request for request in made}


@pytest.mark.parametrize("far_side", FAR_SIDES)
async def test_a_refusal_in_any_bytes_is_one_for_every_call(world: World, far_side: FarSide) -> None:
    rounds = [(what, requests_of(world, far_side, NAMES)) for what in REFUSALS]
    refusal_of = {request: REFUSALS[what] for what, requests in rounds for request in requests}
    world.rule(far_side, lambda arrival: refusal_of[arrival.delivery_id])
    for _, requests in rounds:
        await world.give(*requests.values())
    for what, requests in rounds:
        for request in requests.values():
            outcome = await world.ends(request)
            # A refused cancellation holds its lane for an operator: it has no other reader.
            expected = OutcomeKind.DEAD if request.touchpoint == "seller-cancellation" else OutcomeKind.REFUSED
            assert (outcome.kind, outcome.message) == (expected, WORDS), (what, request.touchpoint)
            assert len(world.arrivals(far_side, request.id)) == 1


@pytest.mark.parametrize("far_side", FAR_SIDES)
async def test_an_unusable_answer_is_asked_again_shown_and_counted(world: World, far_side: FarSide) -> None:
    rounds = [(fault, requests_of(world, far_side, NAMES)) for fault in UNUSABLE]
    answer_of = {request: UNUSABLE[fault] for fault, requests in rounds for request in requests}

    def well_at_last(arrival: Arrival) -> Reply:
        if arrival.attempt == 1:
            return answer_of[arrival.delivery_id]
        answer = sample(arrival.touchpoint).answer
        return Reply(200, b"" if answer is None else orjson.dumps(answer), JSON)

    world.rule(far_side, well_at_last)
    for _, requests in rounds:
        await world.give(*requests.values())
    for fault, requests in rounds:
        for request in requests.values():
            assert (await world.ends(request)).kind is OutcomeKind.DELIVERED
            told = [one for one in world.outcomes if one.request == request.id and one.kind is OutcomeKind.RETRYING]
            assert [one.message != "" for one in told] == [True], (fault, request.touchpoint)
            assert len(world.arrivals(far_side, request.id)) == 2
    metrics = await _metrics(world)
    for fault in UNUSABLE:
        for name in NAMES:
            labels = f'{{channel="{far_side.value}",fault="{fault}",touchpoint="{name}"}}'
            assert f"sluice_delivery_unusable_answers_total{labels} 1.0" in metrics


ANSWERS = {
    "a byte order mark": b'\xef\xbb\xbf{"successList":["A"],"failureList":["BAD"]}',
    "a latin-1 byte": b'{"failureList":[{"channelSkuCode":"BAD","reason":"gr\xfcn"}]}',
    "a lone surrogate": b'{"failureList":[{"channelSkuCode":"BAD","reason":"\\ud800"}]}',
    "another name": b'{"successList":[],"failureList":[{"sku":"BAD"}]}',
    "another case": b'{"SuccessList":["A"],"FailureList":["BAD"]}',
    "a map": b'{"failureList":{"BAD":"not listed"}}',
    "a text": b'{"failureList":"BAD"}',
    "nothing named": b'{"successList":[],"failureList":[{"row":2}]}',
    "null": b'{"successList":["A","BAD"],"failureList":[null]}',
    "cut off": b'{"successList":["A"],"failureList":["BAD"]',
}


@pytest.mark.parametrize("far_side", FAR_SIDES)
async def test_a_sku_that_failed_is_told_to_nobody_as_taken(world: World, far_side: FarSide) -> None:
    """Good SKUs are acknowledged, some by smaller calls; BAD is sent again and again, and taken when it is listed."""
    answer_of = {world.name("L"): raw for raw in ANSWERS.values()}

    def lists_bad(arrival: Arrival) -> Reply:
        skus = [item["channelSkuCode"] for item in arrival.members["inventories"]]
        return Reply(200, answer_of[arrival.members["locationCode"]] if "BAD" in skus else b"{}", JSON)

    world.rule(far_side, lists_bad)
    items = [{"channelSkuCode": sku, "quantity": number} for number, sku in enumerate(("A", "BAD"))]
    for location in answer_of:
        await world.offer(far_side, location, *items)
    await eventually(lambda: _keys(far_side, answer_of, "A") <= world.sent, what=world.role.log)
    for location in answer_of:

        def again(location: str = location) -> bool:
            asked = [a for a in world.markets[far_side].arrivals if a.members.get("locationCode") == location]
            return sum(any(one["channelSkuCode"] == "BAD" for one in a.members["inventories"]) for a in asked) >= 2

        await eventually(again, what=world.role.log)
        assert position_key(far_side.value, location, "BAD") not in world.sent
    world.rule(far_side, lambda _: Reply(200, b'{"successList":["BAD"],"failureList":[]}', JSON))
    await eventually(lambda: _keys(far_side, answer_of, "BAD") <= world.sent, what=world.role.log)


def _keys(far_side: FarSide, locations: Iterable[str], sku: str) -> set[bytes]:
    return {position_key(far_side.value, location, sku) for location in locations}


async def _metrics(world: World) -> str:
    async with http_sessions.session() as session, session.get(f"{world.role.url}/metrics") as response:
        return await response.text()
