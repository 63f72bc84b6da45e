"""An operator's word about a request gets a verdict; a refused request is kept for the operator, and ends once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.delivery.ports import Answer, Call
from tests.fakes.delivery import PARTITIONS, START_MS, Played, channels_for, ok, request_for
from topics.contract.definition import Entity, Mode
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records import envelope
from topics.records.deliveries import (
    TAKES_PLACE_OF,
    Conclusion,
    DeliveryRequest,
    LaneAction,
    LaneDecision,
    decode_concluded,
)
from topics.records.envelope import Envelope
from topics.records.keys import destination_partition
from topics.records.verdicts import Reply, Verdict, decode_reply

WAITS_ON = 7
"""The partition of replies on which the test's gateway waits."""
SELLER = "seller-cancellation"
ACKNOWLEDGE = "acknowledgement"


def refusing(_call: Call, _before: int) -> Answer:
    return Answer(status=400)


def failing(_call: Call, _before: int) -> Answer:
    return Answer(status=500)


def decide(worker: Played, request: DeliveryRequest, action: LaneAction, value: bytes | None = None) -> Reply | None:
    """What a gateway that waits for the decision gets."""
    asked = LaneDecision(lane=request.lane, request=request.id, action=action, by="night-shift", reason="why")
    headers = Envelope(
        id=f"d{len(worker.durable.effects)}",
        type=envelope.LANE_DECISION,
        source="/gateway",
        channel="demo",
        reply_partition=WAITS_ON,
    ).headers()
    before = len(worker.durable.effects)
    home = destination_partition(request.destination, request.shard, PARTITIONS)
    worker.feed(home, request.lane.encode(), value or asked.encode(), headers)
    told = [one for one in worker.durable.effects[before:] if one.topic == "replies"]
    assert all(one.partition == WAITS_ON for one in told)
    return decode_reply(told[0].value) if told else None


def letters(worker: Played, kind: str) -> list[dict[str, Any]]:
    found = [one for one in worker.durable.effects if one.topic == "deliveries.dead"]
    return [orjson.loads(one.value) for one in found if envelope.parse(one.headers).type == kind]


async def worker_whose_far_side(far: Any, *requests: DeliveryRequest, run_ms: int = 1_000) -> Played:
    worker = await Played(channels_for(marketplace={"retry_for_s": 60}, increff={"retry_for_s": 60})).start()
    worker.sender.far = far
    worker.give(*requests)
    await worker.clock.run_for(run_ms)
    return worker


@pytest.mark.parametrize("action", list(LaneAction))
async def test_a_decision_about_a_request_that_holds_its_lane_is_confirmed(action: LaneAction) -> None:
    held = request_for(SELLER, "A", "A.0", sequence=1)
    worker = await worker_whose_far_side(refusing, held)
    reply = decide(worker, held, action)
    assert reply is not None
    assert (reply.verdict, worker.poisoned) == (Verdict.APPLIED, [])
    again = decide(worker, held, action)
    assert again is not None
    assert again.verdict is Verdict.REFUSED, "it does not hold its lane any more"


@pytest.mark.parametrize("action", list(LaneAction))
@pytest.mark.parametrize(
    ("far", "touchpoint", "says"),
    [
        (ok, ACKNOWLEDGE, "was delivered, refused or given up"),
        (refusing, ACKNOWLEDGE, "was delivered, refused or given up"),
        (failing, ACKNOWLEDGE, "waits for its next attempt, at 20"),
        (None, ACKNOWLEDGE, "waits for its first attempt"),
    ],
)
async def test_a_decision_about_another_request_is_refused_with_the_reason(
    far: Any, touchpoint: str, says: str, action: LaneAction
) -> None:
    request = request_for(touchpoint, "A", "A.0", sequence=1)
    if far is None:  # it has just come
        worker = await worker_whose_far_side(ok, request, run_ms=0)
    else:
        worker = await worker_whose_far_side(far, request)
    reply = decide(worker, request, action)
    assert reply is not None
    assert (reply.verdict, worker.poisoned) == (Verdict.REFUSED, [])
    assert says in reply.message


async def test_a_decision_that_cannot_be_read_is_answered_too() -> None:
    held = request_for(SELLER, "A", "A.0", sequence=1)
    worker = await worker_whose_far_side(refusing, held)
    reply = decide(worker, held, LaneAction.RETRY, value=b'{"lane": 1}')
    assert reply is not None
    assert (reply.verdict, [one.code for one in worker.poisoned]) == (Verdict.FAILED, ["BAD_DECISION"])


async def test_a_skip_says_who_and_why() -> None:
    held = request_for(SELLER, "A", "A.0", sequence=1)
    worker = await worker_whose_far_side(refusing, held)
    decide(worker, held, LaneAction.SKIP)
    assert worker.outcomes()[-1].message == "skipped by an operator (night-shift): why"
    [end] = [decode_concluded(orjson.dumps(one)) for one in letters(worker, envelope.DELIVERY_CONCLUDED)]
    assert (end.how, end.message) == (Conclusion.SKIPPED, "skipped by an operator (night-shift): why")


KEPT = {
    "create-outward-order": envelope.DELIVERY_REFUSED,
    "update-order-properties": envelope.DELIVERY_REFUSED,
    "create-return-order": envelope.DELIVERY_REFUSED,
    "add-return-order-items": envelope.DELIVERY_REFUSED,
    "update-returns": envelope.DELIVERY_REFUSED,
    "cancel-return-order-items": envelope.DELIVERY_DEAD,  # it holds its lane
    "seller-cancellation": envelope.DELIVERY_DEAD,  # the same
    "acknowledgement": envelope.DELIVERY_DEAD,  # its caller was promised success: it may leave again as it is
    "handover-notification": envelope.DELIVERY_DEAD,
    "return-order-acknowledgement": envelope.DELIVERY_REFUSED,
}
"""What keeps a refused request of each touchpoint that no caller waits for."""


def test_the_table_has_every_touchpoint_that_no_caller_waits_for() -> None:
    entities = (Entity.ORDER, Entity.RETURN)
    assert KEPT.keys() == {one.name for one in TOUCHPOINTS if one.mode is Mode.ACCEPT and one.entity in entities}


@pytest.mark.parametrize("touchpoint", KEPT)
async def test_a_refused_request_is_kept_whole(touchpoint: str) -> None:
    request = request_for(touchpoint, "A", "A.0", sequence=1)
    worker = await worker_whose_far_side(refusing, request)
    [letter] = letters(worker, KEPT[touchpoint])
    assert (letter["request"]["id"], letter["request"]["body"]) == ("A.0", orjson.loads(bytes(request.body)))
    other = {envelope.DELIVERY_DEAD, envelope.DELIVERY_REFUSED} - {KEPT[touchpoint]}
    assert letters(worker, other.pop()) == []


async def test_a_relays_refusal_is_its_callers() -> None:
    request = request_for("pack-order", "A", "A.0", sequence=1, deadline_ms=START_MS + 40_000)
    worker = await worker_whose_far_side(refusing, request)
    assert letters(worker, envelope.DELIVERY_REFUSED) == letters(worker, envelope.DELIVERY_DEAD) == []


async def test_the_request_that_takes_the_place_of_a_refused_one_ends_that() -> None:
    refused = request_for("create-outward-order", "A", "A.0", sequence=1)
    worker = await worker_whose_far_side(refusing, refused)
    again = request_for("create-outward-order", "A", "A.1", sequence=2)
    headers = Envelope(id="A.1", type=envelope.DELIVERY_REQUEST, source="test", channel=again.channel).headers()
    home = destination_partition(again.destination, again.shard, PARTITIONS)
    for _ in range(2):
        worker.feed(home, again.lane.encode(), again.encode(), (*headers, (TAKES_PLACE_OF, b"A.0")))
    ends = [decode_concluded(orjson.dumps(one)) for one in letters(worker, envelope.DELIVERY_CONCLUDED)]
    assert {(end.request, end.how) for end in ends} == {("A.0", Conclusion.RESUBMITTED)}
