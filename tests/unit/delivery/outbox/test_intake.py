"""Types of the records of deliveries.requests: whatever lies there, the role goes on and says which member is wrong."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from streams.delivery.outbox.intake import outcome_of_set_aside
from streams.delivery.outbox.records import OutboxEntry
from streams.delivery.outbox.reports import REPLY_PARTITIONS, outcome
from streams.delivery.ports import Answer
from streams.runtime.role import Record
from tests.fakes.delivery import PARTITIONS, Played, channels_for, request_for
from tests.support.subscriptions import fact_request, index, subscription
from topics.records import envelope
from topics.records.deliveries import NAMES_CHARS_MAX, Attempt, DeliveryRequest, OutcomeKind, decode_request
from topics.records.envelope import ID_CHARS_MAX, Envelope
from topics.records.keys import destination_partition

CREATE = "create-outward-order"
LEFT_OUT = object()

WRONG: list[tuple[str, Any]] = [
    ("body", "text"),
    ("body", [1]),
    ("body", 7),
    ("body", LEFT_OUT),
    ("shard", "0"),
    ("shard", -1),
    ("shard", 2**70),
    ("shard", 0.5),
    ("shard", True),
    ("sequence", -1),
    ("sequence", "1"),
    ("story", None),
    ("relay", 1),
    ("withdraw", "no"),
    ("redriven", None),
    ("deadline_ms", "soon"),
    ("deadline_ms", 10**400),
    ("created_ms", []),
    ("reply", -1),
    ("reply", "0"),
    ("reply", REPLY_PARTITIONS),
    ("reply", 2**62),
    ("id", ""),
    ("id", 1),
    ("id", None),
    ("id", "x" * (NAMES_CHARS_MAX + 1)),
    ("entity", {}),
    ("subject", ["x"]),
    ("destination", 3),
    ("touchpoint", None),
    ("channel", 0),
]


def record(value: bytes, key: bytes, kind: str = envelope.DELIVERY_REQUEST) -> Record:
    headers = Envelope(id="e", type=kind, source="test", channel="demo").headers()
    return Record(partition=0, offset=0, timestamp_ms=1, key=key, value=value, headers=headers)


def give(worker: Played, request: DeliveryRequest, value: bytes) -> None:
    """`value` on the place of the request."""
    partition = destination_partition(request.destination, request.shard, PARTITIONS)
    worker.feed(partition, request.lane.encode(), value, record(value, b"").headers)


def changed(member: str, value: Any) -> bytes:
    members: dict[str, Any] = orjson.loads(request_for(CREATE, "B", "a").encode())
    if value is LEFT_OUT:
        del members[member]
    elif isinstance(value, int) and value > 2**64:
        return orjson.dumps({**members, member: "HERE"}).replace(b'"HERE"', b"%d" % value)
    else:
        members[member] = value
    return orjson.dumps(members)


@pytest.mark.parametrize(("member", "value"), WRONG, ids=[f"{name}={str(value)[:20]}" for name, value in WRONG])
async def test_a_wrong_member_is_named_and_the_next_request_leaves(member: str, value: Any) -> None:
    worker = await Played(channels_for()).start()
    good = request_for(CREATE, "B", "good")
    give(worker, good, changed(member, value))
    worker.give(good)
    await worker.clock.run_for(1_000)
    assert [poison.code for poison in worker.poisoned] == ["BAD_REQUEST"]
    assert member in worker.poisoned[0].reason
    assert (worker.sender.ids(), worker.crashes) == (["good"], [])


@pytest.mark.parametrize(
    "body", [b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":01}', b'{"a":tru}', b"[" * 5_000 + b"]" * 5_000, b'{"a":1']
)
async def test_a_body_that_is_no_json_is_set_aside(body: bytes) -> None:
    worker = await Played(channels_for()).start()
    asked = request_for(CREATE, "A", "a")
    give(worker, asked, asked.encode().replace(b'{"orderCode":"A"}', body))
    assert [poison.code for poison in worker.poisoned] == ["BAD_REQUEST"]


@pytest.mark.parametrize("body", [b'{"orderCode":1e999}', b'{"orderCode":' + b"[" * 300 + b"]" * 300 + b"}"])
async def test_a_body_that_only_a_decoder_refuses_ends_its_request_alone(body: bytes) -> None:
    """Update Order Properties has a member in its path, so delivery decodes its body when it is sent."""
    worker = await Played(channels_for()).start()
    asked = request_for("update-order-properties", "A", "a")
    worker.sender.far = lambda call, _before: Answer(status=200 if call.read_members() else 400)
    give(worker, asked, asked.encode().replace(b'{"orderCode":"A"}', body))
    worker.give(request_for(CREATE, "B", "good"))
    await worker.clock.run_for(1_000)
    assert {outcome.request: outcome.kind for outcome in worker.outcomes()} == {"a": "refused", "good": "delivered"}
    assert worker.crashes == []


@pytest.mark.parametrize(
    "asked",
    [
        replace(request_for(CREATE, "A", "a"), touchpoint="pack-order"),
        replace(request_for(CREATE, "A", "a"), touchpoint="fact"),
        replace(fact_request("A", 1), touchpoint=CREATE),
        replace(request_for("pack-order", "A", "a"), channel="other"),
    ],
)
async def test_a_touchpoint_that_does_not_go_to_its_destination_is_set_aside(asked: DeliveryRequest) -> None:
    worker = await Played(channels_for(others=("other",)), subscriptions=index(subscription())).start()
    worker.give(asked)
    assert [poison.code for poison in worker.poisoned] == ["WRONG_DESTINATION"]


@pytest.mark.parametrize(
    "value", [b"", b"null", b"[]", b"{", b'{"id":"x"}', b"\xff", *[changed(*one) for one in WRONG]]
)
@pytest.mark.parametrize("kind", [envelope.DELIVERY_REQUEST, envelope.DELIVERY_REDRIVE, envelope.LANE_DECISION])
def test_the_outcome_of_what_was_set_aside_can_be_published(value: bytes, kind: str) -> None:
    """Its topic and partition exist, and key and headers fit beside the value."""
    for effect in outcome_of_set_aside(record(value, b"k", kind), "reason"):
        assert effect.topic in ("orders.commands", "replies", "deliveries.dead")
        assert effect.partition is None or 0 <= effect.partition < REPLY_PARTITIONS
        assert len(effect.key) + sum(len(content) for _, content in effect.headers) < 16 << 10


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_the_outcome_of_the_longest_id_can_be_read(kind: OutcomeKind) -> None:
    """A producer's id, as the orders role makes a request's of it, in characters of four bytes."""
    asked = request_for(CREATE, "A", "\U0001f600" * (ID_CHARS_MAX - len(".0")) + ".0")
    tried = Attempt(number=10**6, at_ms=1, took_ms=1.0, status=200)
    entry = OutboxEntry(request=decode_request(asked.encode()), position=0, queued_ms=1, attempts=10**6, last=tried)
    (effect,) = outcome(entry, kind, 1)
    assert envelope.parse(effect.headers).type == envelope.DELIVERY_OUTCOME
