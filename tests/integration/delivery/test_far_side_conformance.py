"""Whoever answers for a marketplace, over HTTP, over Kafka or Sluice itself, the same is promised: one suite for all.

One delivery role with a channel for each far side. What cannot happen to Sluice's own rules (they are never late, away,
garbled or full) is asked of the other two only: CAN_FAIL.
"""

from __future__ import annotations

import signal
import time

import orjson
import pytest

from streams.delivery.senders.builtin import shipment_code
from tests.fakes.delivery import request_for
from tests.support.eventually import eventually
from tests.support.marketplaces.played import Arrival, Reply, says
from tests.support.marketplaces.world import ALL, World
from topics.configuration.channels import SENT_TO_MARKETPLACES, FarSide
from topics.contract.definition import Entity, Mode
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import DeliveryRequest, OutcomeKind

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAN_FAIL = [FarSide.HTTP, FarSide.KAFKA]
OF_ORDERS = [touchpoint.name for touchpoint in SENT_TO_MARKETPLACES if touchpoint.entity is not Entity.STOCK]
"""Stock is no request of an order; it has a test of its own."""
DOCUMENTS = {"get-invoice", "get-shipping-label"}
FLOOR_SLACK_MS = 50
"""The test and the role read the same wall clock in two processes, each with its own anchor."""


def soon_ms() -> int:
    return int(time.time() * 1000) + 40_000


def pack(world: World, far_side: FarSide, code: str = "", shipment: int = 1, *, relay: bool = True) -> DeliveryRequest:
    code = code or world.name("order")
    body = {"orderCode": code, "locationCode": "L", "shipmentId": shipment, "shipmentItems": []}
    return request_for(
        "pack-order",
        code,
        world.name("pack"),
        body=body,
        deadline_ms=soon_ms() if relay else None,
        channel=far_side.value,
    )


def packs(arrival: Arrival) -> Reply:
    """A marketplace that knows a shipment again."""
    return says({"shipmentCode": f"S-{arrival.members['orderCode']}-{arrival.members['shipmentId']}"})


def fails_at_first(arrival: Arrival) -> Reply:
    return Reply(503) if arrival.members["shipmentId"] % 2 and arrival.attempt == 1 else packs(arrival)


def answers_sample(arrival: Arrival) -> Reply:
    found = sample(arrival.touchpoint)
    return Reply(found.status, orjson.dumps(found.answer) if found.answer is not None else b"")


@pytest.mark.parametrize("far_side", ALL)
@pytest.mark.parametrize("name", OF_ORDERS)
async def test_each_call_is_taken_and_a_relays_answer_comes_back(world: World, far_side: FarSide, name: str) -> None:
    touchpoint = BY_NAME[name]
    if far_side in CAN_FAIL:
        world.rule(far_side, answers_sample)
    deadline_ms = soon_ms() if touchpoint.mode is Mode.RELAY else None
    members = sample(name).members
    request = request_for(
        name, world.name("order"), world.name(name), body=members, deadline_ms=deadline_ms, channel=far_side.value
    )
    await world.give(request)
    outcome = await world.ends(request)
    if far_side is FarSide.SELF and name in DOCUMENTS:
        assert (outcome.kind, outcome.status) == (OutcomeKind.REFUSED, 404)
        assert "gives out no" in outcome.message
        return
    assert outcome.kind is OutcomeKind.DELIVERED
    if far_side in CAN_FAIL:
        [arrival] = world.arrivals(far_side, request.id)
        assert arrival.touchpoint == name
        if not touchpoint.query:
            assert arrival.members == members
    if deadline_ms is not None:
        assert touchpoint.response is not None
        touchpoint.response.model_validate(outcome.body)
        if far_side in CAN_FAIL:
            assert outcome.body == sample(name).answer
    await eventually(lambda: [a for a in world.attempts if a["request"] == request.id])
    assert [a["far_side"] for a in world.attempts if a["request"] == request.id] == [far_side.value]


@pytest.mark.parametrize("far_side", CAN_FAIL)
@pytest.mark.parametrize("status", [200, 400, 404, 422])
async def test_a_refusal_reaches_the_order_in_its_words(world: World, far_side: FarSide, status: int) -> None:
    world.rule(far_side, lambda _: says({"hasError": True, "errorMessage": "no such shelf"}, status))
    request = pack(world, far_side)
    await world.give(request)
    outcome = await world.ends(request)
    assert (outcome.kind, outcome.status, outcome.message) == (OutcomeKind.REFUSED, status, "no such shelf")
    assert len(world.arrivals(far_side, request.id)) == 1


@pytest.mark.parametrize("far_side", ALL)
async def test_a_repeat_is_not_sent_again_and_the_same_shipment_has_the_same_code(
    world: World, far_side: FarSide
) -> None:
    if far_side in CAN_FAIL:
        world.rule(far_side, packs)
    code = world.name("order")
    first, again, other = (pack(world, far_side, code, shipment) for shipment in (7, 7, 8))
    await world.give(first, first, again, first, other)
    bodies = [(await world.ends(request)).body["shipmentCode"] for request in (first, again, other)]
    assert bodies[0] == bodies[1] != bodies[2]
    assert len(world.final(first.id)) == 1
    if far_side in CAN_FAIL:
        assert len(world.arrivals(far_side, first.id)) == 1
    else:
        assert bodies[0] == shipment_code(far_side.value, code, 7)


GARBAGE = {
    "not JSON": Reply(200, b"<html>"),
    "not an object": Reply(200, b"[1]"),
    "not text": Reply(200, b"\xff\x00"),
    "too deep": Reply(200, b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "too large": Reply(200, b'{"a":"' + b"x" * (4 << 20) + b'"}'),
    "an error of its own": Reply(500, b"oops"),
    "not allowed yet": Reply(401, b""),
    "nothing at all": None,
}


@pytest.mark.parametrize("far_side", CAN_FAIL)
@pytest.mark.parametrize("garbage", GARBAGE)
async def test_what_is_no_answer_is_asked_again_with_the_same_id(world: World, far_side: FarSide, garbage: str) -> None:
    world.rule(far_side, lambda arrival: GARBAGE[garbage] if arrival.attempt == 1 else packs(arrival))
    request = pack(world, far_side)
    await world.give(request)
    outcome = await world.ends(request)
    assert outcome.kind is OutcomeKind.DELIVERED
    assert outcome.body == {"shipmentCode": f"S-{request.subject}-1"}
    assert [arrival.attempt for arrival in world.arrivals(far_side, request.id)] == [1, 2]
    [retrying] = [o for o in world.outcomes if o.request == request.id and o.kind is OutcomeKind.RETRYING]
    assert retrying.message


@pytest.mark.parametrize("far_side", CAN_FAIL)
async def test_a_far_side_that_asks_for_quiet_gets_it(world: World, far_side: FarSide) -> None:
    came: list[float] = []

    def busy_once(arrival: Arrival) -> Reply:
        came.append(time.time() * 1000)
        return says({}, 429, retry_after="1") if len(came) == 1 else packs(arrival)

    world.rule(far_side, busy_once)
    request, behind = pack(world, far_side), pack(world, far_side)
    await world.give(request)
    await eventually(lambda: [o for o in world.outcomes if o.request == request.id])
    await world.give(behind)
    assert (await world.ends(request)).kind is OutcomeKind.DELIVERED
    assert (await world.ends(behind)).kind is OutcomeKind.DELIVERED
    [retrying] = [o for o in world.outcomes if o.request == request.id and o.kind is OutcomeKind.RETRYING]
    assert retrying.next_at_ms is not None
    assert min(came[1:]) >= retrying.next_at_ms - FLOOR_SLACK_MS


@pytest.mark.parametrize("far_side", ALL)
async def test_one_order_is_never_overtaken_by_itself(world: World, far_side: FarSide) -> None:
    """Four orders of five packs each; every other pack fails at first, where a far side can."""
    if far_side in CAN_FAIL:
        world.rule(far_side, fails_at_first)
    codes = [world.name("order") for _ in range(4)]
    requests = [pack(world, far_side, code, number, relay=False) for number in range(5) for code in codes]
    await world.give(*requests)
    for request in requests:
        assert (await world.ends(request)).kind is OutcomeKind.DELIVERED
    for code in codes:
        mine = [request.id for request in requests if request.subject == code]
        ended = [o.request for o in world.outcomes if o.request in mine and o.kind.final]
        assert ended == mine
        if far_side in CAN_FAIL:
            came = [a.delivery_id for a in world.markets[far_side].arrivals if a.delivery_id in mine]
            assert list(dict.fromkeys(came)) == mine
            assert came == sorted(came, key=mine.index)


@pytest.mark.parametrize("far_side", CAN_FAIL)
async def test_a_caller_that_is_gone_is_not_waited_for(world: World, far_side: FarSide) -> None:
    world.rule(far_side, lambda _: None)
    request = request_for(
        "pack-order",
        world.name("order"),
        world.name("pack"),
        deadline_ms=int(time.time() * 1000) + 3_000,
        channel=far_side.value,
    )
    await world.give(request)
    outcome = await world.ends(request)
    assert outcome.kind is OutcomeKind.EXPIRED
    assert "no answer within" in outcome.message


@pytest.mark.parametrize("far_side", ALL)
async def test_stock_arrives_and_is_known_to_have_arrived(world: World, far_side: FarSide) -> None:
    if far_side in CAN_FAIL:
        world.rule(far_side, lambda _: Reply())
    location, item = world.name("L"), {"channelSkuCode": "SKU", "quantity": 0}
    [key] = await world.offer(far_side, location, item)
    await eventually(lambda: key in world.sent, what=world.role.log)
    if far_side in CAN_FAIL:
        told = [a for a in world.markets[far_side].arrivals if a.touchpoint == "location-wise-atp-inventory"]
        assert {"locationCode": location, "inventories": [item]} in [arrival.members for arrival in told]


@pytest.mark.parametrize("far_side", ALL)
async def test_a_death_between_sending_and_its_outcome_asks_again_and_ends_once(
    world: World, far_side: FarSide
) -> None:
    """SIGKILL with requests in the air: each is asked again under the same id, and has one outcome."""
    if far_side in CAN_FAIL:
        world.rule(far_side, lambda _: None)
    requests = [pack(world, far_side, relay=False) for _ in range(20)]
    await world.give(*requests)
    if far_side in CAN_FAIL:
        await eventually(lambda: all(world.arrivals(far_side, request.id) for request in requests))
    else:
        await eventually(lambda: any(world.final(request.id) for request in requests))
    await world.role.end(signal.SIGKILL)
    if far_side in CAN_FAIL:
        world.rule(far_side, packs)
    await world.role.begin()
    for request in requests:
        outcome = await world.ends(request)
        assert outcome.kind is OutcomeKind.DELIVERED
        # A record that was written and not yet followed by its state is written again: the same outcome, the same id.
        assert all((one.kind, one.body) == (outcome.kind, outcome.body) for one in world.final(request.id))
        if far_side in CAN_FAIL:
            assert len(world.arrivals(far_side, request.id)) >= 2


@pytest.mark.parametrize("far_side", CAN_FAIL)
async def test_a_far_side_that_was_away_gets_all_when_it_is_back(world: World, far_side: FarSide) -> None:
    world.rule(far_side, lambda _: Reply(503))
    requests = [pack(world, far_side, relay=False) for _ in range(10)]
    await world.give(*requests)
    # While it is down one request at a time finds out, so not every one of them is seen twice.
    await eventually(lambda: any(len(world.arrivals(far_side, request.id)) >= 2 for request in requests))
    world.rule(far_side, packs)
    for request in requests:
        assert (await world.ends(request)).kind is OutcomeKind.DELIVERED
