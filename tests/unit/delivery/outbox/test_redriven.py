"""What was given up and is sent again arrives once, marked, with the body it had; nothing else moves for it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from streams.delivery.ports import Answer, Call
from tests.fakes.delivery import PARTITIONS, Played, channels_for, ok, request_for
from topics.records import envelope
from topics.records.deliveries import (
    Concluded,
    Conclusion,
    DeliveryRequest,
    LaneAction,
    OutcomeKind,
    Redrive,
    decode_concluded,
)
from topics.records.envelope import Envelope
from topics.records.keys import destination_partition

REDRIVE = "rdv_1"
ACKNOWLEDGE = "acknowledgement"


def refusing(_call: Call, _before: int) -> Answer:
    return Answer(status=400)


def redrive(worker: Played, request: DeliveryRequest, attempts: int, id_: str = REDRIVE) -> None:
    record = Redrive(id=id_, request=request, attempts=attempts)
    headers = Envelope(
        id=f"{request.id}:{id_}", type=envelope.DELIVERY_REDRIVE, source="test", channel="demo"
    ).headers()
    home = destination_partition(request.destination, request.shard, PARTITIONS)
    worker.feed(home, request.lane.encode(), record.encode(), headers)


def dead(worker: Played) -> list[dict[str, Any]]:
    found = [one for one in worker.durable.effects if one.topic == "deliveries.dead"]
    return [orjson.loads(one.value) for one in found if envelope.parse(one.headers).type == envelope.DELIVERY_DEAD]


def concluded(worker: Played) -> list[Concluded]:
    found = [one for one in worker.durable.effects if one.topic == "deliveries.dead"]
    kept = [one for one in found if envelope.parse(one.headers).type == envelope.DELIVERY_CONCLUDED]
    return [decode_concluded(one.value) for one in kept]


async def given_up(request: DeliveryRequest, *behind: DeliveryRequest) -> Played:
    """A worker whose far side refused a request, and takes everything from then on."""
    worker = await Played(channels_for()).start()
    worker.sender.far = refusing
    worker.give(request)
    await worker.clock.run_for(1_000)
    worker.sender.far = ok
    worker.give(*behind)
    await worker.clock.run_for(1_000)
    return worker


async def test_it_is_sent_once_marked_and_concluded_whatever_comes_twice() -> None:
    request = request_for(ACKNOWLEDGE, "A", "A.0", sequence=1)
    worker = await given_up(request, request_for(ACKNOWLEDGE, "A", "A.1", sequence=2))
    assert [one["attempts"] for one in dead(worker)] == [1]
    redrive(worker, request, 1)
    redrive(worker, request, 1)
    await worker.clock.run_for(1_000)
    redrive(worker, request, 1, "rdv_2")
    worker = await worker.restart()
    redrive(worker, request, 1, "rdv_3")
    await worker.clock.run_for(60_000)
    assert worker.sender.ids() == ["A.0", "A.1", "A.0"]
    call = worker.sender.arrivals[-1].call
    assert (call.redrive, call.attempt, call.sequence) == (REDRIVE, 2, 1)
    assert concluded(worker) == [Concluded(request="A.0", how=Conclusion.DELIVERED, attempts=2, redrive=REDRIVE)]
    assert worker.final() == {"A.0": OutcomeKind.DELIVERED, "A.1": OutcomeKind.DELIVERED}
    assert not worker.poisoned


async def test_what_comes_after_it_is_numbered_as_if_it_had_never_been() -> None:
    request = request_for(ACKNOWLEDGE, "A", "A.0", sequence=1)
    worker = await given_up(request, request_for(ACKNOWLEDGE, "A", "A.1", sequence=2))
    redrive(worker, request, 1)
    await worker.clock.run_for(1_000)
    worker.give(request_for(ACKNOWLEDGE, "A", "A.2", sequence=3))
    await worker.clock.run_for(1_000)
    assert [(a.call.delivery_id, a.call.previous_sequence) for a in worker.sender.arrivals] == [
        ("A.0", 0),
        ("A.1", 1),
        ("A.0", 0),
        ("A.2", 2),
    ]


async def test_refused_again_it_is_dead_again_and_may_be_redriven_again() -> None:
    request = request_for(ACKNOWLEDGE, "A", "A.0", sequence=1)
    worker = await given_up(request)
    worker.sender.far = refusing
    redrive(worker, request, 1)
    await worker.clock.run_for(1_000)
    assert [one["attempts"] for one in dead(worker)] == [1, 2]
    worker.sender.far = ok
    redrive(worker, request, 1, "rdv_2")  # that end of it was taken up already
    redrive(worker, request, 2, "rdv_2")
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == ["A.0"] * 3
    assert [one.how for one in concluded(worker)] == [Conclusion.DELIVERED]


async def test_failing_again_it_keeps_its_order_waiting_for_ten_minutes_at_most() -> None:
    request = request_for(ACKNOWLEDGE, "A", "A.0", sequence=1)
    worker = await given_up(request)
    worker.sender.far = lambda call, _: Answer(status=500 if call.delivery_id == "A.0" else 200)
    redrive(worker, request, 1)
    await worker.clock.run_for(1_000)
    worker.give(request_for(ACKNOWLEDGE, "A", "A.1", sequence=2))
    await worker.clock.run_for(1_200_000)
    assert worker.final()["A.1"] == OutcomeKind.DELIVERED
    assert dead(worker)[-1]["holds_lane"] is False


@pytest.mark.parametrize("action", [None, LaneAction.RETRY, LaneAction.SKIP])
async def test_one_that_holds_its_lane_goes_first_unless_an_operator_decided(action: LaneAction | None) -> None:
    request = request_for("seller-cancellation", "A", "A.0", sequence=1)
    worker = await given_up(request, request_for(ACKNOWLEDGE, "A", "A.1", sequence=2))
    assert (dead(worker)[0]["holds_lane"], worker.sender.ids()) == (True, ["A.0"])
    if action is not None:
        worker.decide_lane(request, action)
        await worker.clock.run_for(1_000)
    expected = {LaneAction.RETRY: Conclusion.DELIVERED, LaneAction.SKIP: Conclusion.SKIPPED}
    assert [one.how for one in concluded(worker)] == ([expected[action]] if action else [])
    if action is None:
        redrive(worker, request, 1)
        redrive(worker, request, 1)
        await worker.clock.run_for(1_000)
        assert worker.sender.ids() == ["A.0", "A.0", "A.1"]
        assert [one.how for one in concluded(worker)] == [Conclusion.DELIVERED]


async def test_what_cannot_be_taken_is_told() -> None:
    worker = await Played(channels_for()).start()
    request = request_for(ACKNOWLEDGE, "A", "A.0")
    redrive(worker, replace(request, destination="channel:gone", lane="channel:gone|x"), 1)
    redrive(worker, replace(request, touchpoint="nothing"), 1)
    redrive(worker, replace(request, channel="nobody"), 1)
    await worker.clock.run_for(1_000)
    assert [one.how for one in concluded(worker)] == [Conclusion.NOT_TAKEN] * 3
    assert worker.sender.ids() == []


@pytest.mark.parametrize("name", ["", "rdv\r\nX-Injected: 1", "rdv_\u00e4", "r" * 65, 7])
async def test_a_name_that_no_header_can_carry_is_set_aside(name: Any) -> None:
    request = request_for(ACKNOWLEDGE, "A", "A.0", sequence=1)
    worker = await given_up(request)
    redrive(worker, request, attempts=1, id_=name)
    await worker.clock.run_for(1_000)
    assert [poison.code for poison in worker.poisoned] == ["BAD_REDRIVE"]
    assert worker.crashes == []
