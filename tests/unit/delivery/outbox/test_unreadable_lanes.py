"""What the tables of delivery hold and this version cannot read: it starts, names it, and sends everything else; a lane
with such a thing is held, because nothing of an order may overtake."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest

from streams.delivery.admission.permits import PERMITS, permits_key
from streams.delivery.outbox.records import OUTBOX
from streams.delivery.ports import Answer
from streams.delivery.stock.ports import SENT
from tests.fakes.delivery import PARTITIONS, Played, channels_for, ok, request_for
from tests.support.subscriptions import A, fact_request, index, subscription
from topics.records.deliveries import DeliveryRequest, LaneAction
from topics.records.keys import INCREFF, destination_partition, entry_key, header_key
from topics.records.unreadable import UNREADABLE

HOME = destination_partition(INCREFF, 0, PARTITIONS)
VALUES = (b"1", b"null", b"[]", b"{}", b"\xff\xfe", b"", b"{", b'{"request": 1, "last": null}', b"[" * 900 + b"]" * 900)


def create(code: str, number: int = 1) -> DeliveryRequest:
    return request_for("create-outward-order", code, f"{code}.{number}", sequence=number)


async def with_waiting(*requests: DeliveryRequest) -> Played:
    """A worker whose requests wait, because Increff is down."""
    worker = await Played(channels_for()).start()
    worker.sender.far = lambda _call, _before: Answer(status=503)
    worker.give(*requests)
    await worker.clock.run_for(100)
    worker.sender.far = ok
    return worker


def newer(raw: bytes, **changes: Any) -> bytes:
    return orjson.dumps({**orjson.loads(raw), **changes})


def _replaced(value: bytes, _raw: bytes) -> bytes:
    return value


ENTRIES: dict[str, Callable[[bytes], bytes]] = {
    **{f"{value[:20]!r}": partial(_replaced, value) for value in VALUES},
    "a position that is no number": lambda raw: newer(raw, position="first"),
    "another request's": lambda raw: newer(raw, request={**orjson.loads(raw)["request"], "id": "another"}),
    "another destination's": lambda raw: newer(
        raw, request={**orjson.loads(raw)["request"], "destination": "channel:demo"}
    ),
    "a kind of a newer version": lambda raw: newer(raw, request={**orjson.loads(raw)["request"], "touchpoint": "new"}),
}


@pytest.mark.parametrize("spoil", ENTRIES.values(), ids=ENTRIES)
async def test_a_lane_with_a_request_that_cannot_be_read_is_held_and_the_others_go_on(
    spoil: Callable[[bytes], bytes],
) -> None:
    first, behind, other = create("O-1"), create("O-1", 2), create("O-2")
    worker = await with_waiting(first, behind, other)
    outbox, key = worker.durable.of(HOME)[OUTBOX], entry_key(first.lane, first.id)
    readable = outbox.values[key]
    outbox.values[key] = spoiled = spoil(readable)
    sent = len(worker.sender.arrivals)
    worker = await worker.restart()
    worker.give(create("O-1", 3), create("O-3"))
    await worker.clock.run_for(120_000)
    assert worker.crashes == []
    assert {*worker.sender.ids()[sent:]} == {other.id, "O-3.1"}
    assert outbox.values[key] == spoiled, "it stays as it is"
    assert UNREADABLE.counted(OUTBOX) == 1
    assert worker.role.ready() is None
    outbox.values[key] = readable  # a version that can read it
    sent = len(worker.sender.arrivals)
    worker = await worker.restart()
    await worker.clock.run_for(120_000)
    assert worker.sender.ids()[sent:] == [first.id, behind.id, "O-1.3"], "in their order"


@pytest.mark.parametrize("value", [*VALUES, b'{"next_position": "x"}', b'{"recent": [1]}', b'{"earlier": {"x": null}}'])
async def test_a_header_that_cannot_be_read_holds_its_lane_and_sets_new_requests_aside(value: bytes) -> None:
    held, other = create("O-1"), create("O-2")
    worker = await with_waiting(held, other)
    outbox = worker.durable.of(HOME)[OUTBOX]
    outbox.values[header_key(held.lane)] = value
    sent = len(worker.sender.arrivals)
    worker = await worker.restart()
    worker.give(create("O-1", 2), create("O-3"))
    await worker.clock.run_for(26 * 3_600_000)  # the sweep of headers passes it, too
    assert worker.crashes == []
    assert {*worker.sender.ids()[sent:]} == {other.id, "O-3.1"}
    assert [poison.code for poison in worker.poisoned] == ["UNREADABLE_LANE"]
    assert outbox.values[header_key(held.lane)] == value
    assert UNREADABLE.counted(OUTBOX) == 1


async def test_an_operators_word_on_a_request_that_cannot_be_read_is_set_aside() -> None:
    held = create("O-1")
    worker = await with_waiting(held)
    worker.durable.of(HOME)[OUTBOX].values[entry_key(held.lane, held.id)] = b"1"
    worker.decide_lane(held, LaneAction.SKIP)
    assert [poison.code for poison in worker.poisoned] == ["UNREADABLE_LANE"]


KEYS = (
    b"\xff\xfe",
    b"",
    b"|",
    b"||",
    b"||||",
    b"\xff||\xff",
    b"increff||",
    b"increff|a||\xff",
    b"no such|x||y",
    b"a%7Cb|x",
)


@pytest.mark.parametrize("value", [b"1", b"{}"])
async def test_keys_that_no_version_wrote_stop_nothing(value: bytes) -> None:
    other = create("O-2")
    worker = await with_waiting(other)
    for name in (OUTBOX, PERMITS, SENT):
        for key in KEYS:
            worker.durable.of(HOME)[name].values[key] = value
    sent = len(worker.sender.arrivals)
    worker = await worker.restart()
    await worker.clock.run_for(26 * 3_600_000)
    assert worker.crashes == []
    assert worker.sender.ids()[sent:] == [other.id]
    assert worker.role.ready() is None


async def test_a_subscribers_lane_with_an_unreadable_header_is_held_before_its_watermark_is_needed() -> None:
    worker = await Played(channels_for(), subscriptions=index(subscription())).start()
    worker.sender.far = lambda _call, _before: Answer(status=503)
    held, other = fact_request("O-1", 1), fact_request("O-2", 1)
    worker.give(held, other)
    await worker.clock.run_for(100)
    worker.sender.far = ok
    home = destination_partition(held.destination, held.shard, PARTITIONS)
    worker.durable.of(home)[OUTBOX].values[header_key(held.lane)] = b'{"watermark": "far"}'
    sent = len(worker.sender.arrivals)
    worker = await worker.restart()
    await worker.clock.run_for(120_000)
    assert (worker.crashes, worker.sender.ids()[sent:]) == ([], [other.id])
    assert worker.subscriptions.get(A) is not None


@pytest.mark.parametrize(
    "value",
    [
        *VALUES,
        b'{"limits": {"a": 1}, "gate_ms": 0}',
        b'{"limits": {"a": {"ended": [], "open": -9}}}',
        b'{"limits": {}, "gate_ms": 9e15}',
        b'{"limits": {}, "gate_ms": 9000000000000000000}',
    ],
)
async def test_permits_that_cannot_be_read_count_as_spent(value: bytes) -> None:
    """The budget holds over the change of owners: nothing leaves before all of it may be free again."""
    worker = await Played(channels_for(increff={"budget": {"requests": 5, "window_s": 300}})).start()
    worker.give(*(create(f"O-{number}") for number in range(5)))
    await worker.clock.run_for(100)
    assert len(worker.sender.arrivals) == 5
    key = permits_key(INCREFF, 0)
    worker.durable.of(HOME)[PERMITS].values[key] = value
    worker = await worker.restart()
    worker.give(*(create(f"P-{number}") for number in range(5)))
    await worker.clock.run_for(299_000)
    spent = len(worker.sender.arrivals)
    await worker.clock.run_for(310_000)
    assert worker.crashes == []
    assert (spent, len(worker.sender.arrivals)) == (5, 10)
    assert UNREADABLE.counted(PERMITS) == 1


async def test_without_a_budget_unreadable_permits_close_the_gate_for_a_minute() -> None:
    worker = await with_waiting(create("O-1"))
    worker.durable.of(HOME)[PERMITS].values[permits_key(INCREFF, 0)] = b"of another version"
    worker = await worker.restart()
    sent = len(worker.sender.arrivals)
    await worker.clock.run_for(59_000)
    assert len(worker.sender.arrivals) == sent
    await worker.clock.run_for(30_000)
    assert len(worker.sender.arrivals) == sent + 1
