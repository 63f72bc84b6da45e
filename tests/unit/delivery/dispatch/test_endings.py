"""What ends, and what stays behind: a clean stop, requests that are set aside, lanes that are forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from streams.delivery.outbox.header_sweeper import SWEEP_EVERY_MS, HeaderSweeper
from streams.delivery.outbox.records import HEADER_KEPT_MS, LateHeader
from streams.delivery.shutdown import DRAIN_S, GIVE_BACK_S, STOCK_DRAIN_S
from streams.runtime.limits import STOP_ROLE_S
from streams.runtime.role import Change, Record
from streams.runtime.tables.partition_table import PartitionState
from tests.fakes.delivery import START_MS, Played, channels_for, request_for
from tests.support.subscriptions import fact_request, index
from topics.records.deliveries import OutcomeKind, decode_outcome
from topics.records.keys import INCREFF, destination_partition, header_key

CREATE = "create-outward-order"
UPDATE = "update-order-properties"


def create(code: str, request_id: str | None = None, **more: Any) -> Any:
    return request_for(CREATE, code, request_id or code, **more)


async def test_a_lane_is_remembered_past_its_last_request_and_then_forgotten() -> None:
    worker = await Played(channels_for()).start()
    request = create("A", "A.0")
    outbox = worker.durable.of(destination_partition(INCREFF, 0, 8))["deliveries.outbox"]
    worker.give(request)
    await worker.clock.run_for(HEADER_KEPT_MS - 2 * SWEEP_EVERY_MS)
    assert list(outbox.values) == [header_key(request.lane)]
    await worker.clock.run_for(4 * SWEEP_EVERY_MS)
    assert outbox.values == {}


async def test_a_lane_is_remembered_as_long_as_something_waits_in_it_though_nobody_sends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its positions would begin again, and what comes would pass what waits. Keys of one lane lie among others'."""
    monkeypatch.setattr("streams.delivery.outbox.header_sweeper.SWEEP_KEYS", 2)
    worker = await Played(channels_for(), subscriptions=index()).start()
    waiting = [fact_request(code, 1) for code in ("A", "A-2", "A|", "B")]
    worker.give(*waiting)
    idle = [create(code, f"{code}.0") for code in ("A", "A-2", "C")]
    worker.give(*idle)
    await worker.clock.run_for(1_000)
    worker.clock._now_ms += HEADER_KEPT_MS
    await worker.clock.run_for(3 * SWEEP_EVERY_MS)
    kept = {key for tables in worker.durable.tables.values() for key in tables["deliveries.outbox"].values}
    assert {header_key(request.lane) for request in waiting} == {key for key in kept if b"||" not in key}


async def test_a_lane_that_comes_back_while_it_is_being_forgotten_keeps_its_header() -> None:
    worker = await Played(channels_for()).start()
    first = create("A", "A.0", sequence=1)
    worker.give(first)
    await worker.clock.run_for(100)
    partition = destination_partition(INCREFF, 0, 8)
    outbox = worker.durable.of(partition)["deliveries.outbox"]
    sweeper = HeaderSweeper(partition, outbox, worker.durable, worker.clock, worker.role._is_idle)
    room = asyncio.Event()
    commit = worker.durable.commit

    async def commit_later(partition: int, effects: Any, changes: Any) -> None:
        changes = list(changes)
        await room.wait()
        await commit(partition, effects, changes)

    worker.clock._now_ms += HEADER_KEPT_MS + 1
    sweeper._walk = outbox.walk()
    worker.durable.commit = commit_later  # type: ignore[method-assign]
    sweeping = asyncio.create_task(sweeper.sweep())
    await asyncio.sleep(0)
    second = request_for(UPDATE, "A", "A.1", sequence=2)
    worker.give(second)
    room.set()
    await sweeping
    assert outbox.get(header_key(first.lane)) is not None
    await worker.clock.run_for(100)
    worker.give(second)  # the orders role decided again after a crash
    await worker.clock.run_for(100)
    assert worker.sender.ids() == ["A.0", "A.1"]


async def test_stop_lets_what_is_in_the_air_end_and_gives_unused_permits_back() -> None:
    worker = await Played(channels_for()).start()
    worker.sender.takes_ms = lambda _: round(DRAIN_S * 1000) - 100
    worker.give(create("A"))
    await worker.clock.run_for(10)
    stopping = asyncio.create_task(worker.role.stop())
    await worker.clock.run_for(round(STOP_ROLE_S * 1000) - 1)
    assert stopping.done()
    await stopping
    assert worker.final() == {"A": "delivered"}
    permits = worker.durable.of(destination_partition(INCREFF, 0, 8))["deliveries.permits"].values
    assert b'"open":0' in permits[b"increff|0"]


async def test_stop_cuts_off_what_takes_too_long_and_still_gives_unused_permits_back() -> None:
    worker = await Played(channels_for()).start()
    worker.sender.takes_ms = lambda _: 30_000
    worker.give(create("A"))
    await worker.clock.run_for(10)
    stopping = asyncio.create_task(worker.role.stop())
    await worker.clock.run_for(round(STOP_ROLE_S * 1000) - 1)
    assert stopping.done()
    permits = worker.durable.of(destination_partition(INCREFF, 0, 8))["deliveries.permits"].values
    # What was cut off may still arrive: it counts for the next owner.
    assert b'"open":1' in permits[b"increff|0"]


def test_the_steps_of_stop_fit_into_what_the_runtime_gives_them() -> None:
    assert DRAIN_S < STOCK_DRAIN_S
    assert max(DRAIN_S + GIVE_BACK_S, STOCK_DRAIN_S) < STOP_ROLE_S


async def test_what_cannot_be_sent_is_set_aside_with_its_reason() -> None:
    worker = await Played(channels_for()).start()
    good = create("A")
    worker.give(replace(good, touchpoint="nope"), replace(good, channel="nope"), replace(good, destination="nope"))
    worker.give(replace(good, shard=7))
    told = worker.outcomes()
    assert [outcome.kind for outcome in told] == [OutcomeKind.DEAD] * 4
    assert [outcome.message for outcome in told] == [poison.reason for poison in worker.poisoned]
    assert all(outcome.attempt is not None for outcome in told), "the order takes a DEAD as news by its attempt"
    assert [poison.code for poison in worker.poisoned] == [
        "UNKNOWN_TOUCHPOINT",
        "UNKNOWN_CHANNEL",
        "UNKNOWN_DESTINATION",
        "WRONG_PARTITION",
    ]


async def test_an_error_ends_the_process_as_a_failure() -> None:
    worker = await Played(channels_for()).start()
    error = ZeroDivisionError("played")
    worker.role._failure.report(error)
    assert worker.durable.failures == [error]
    assert worker.role.ready() == "ended by an error: played"
    await worker.role.stop()


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"null", b'{"id":1}'])
def test_what_is_no_request_has_no_order_to_tell(value: bytes) -> None:
    role = Played(channels_for()).role
    assert list(role.set_aside(Record(0, 0, START_MS, b"k", value, ()), "BAD_REQUEST", "no")) == []


def test_of_a_traceback_the_order_is_told_the_last_line() -> None:
    role = Played(channels_for()).role
    record = Record(0, 0, START_MS, b"k", create("A").encode(), ())
    [effect] = role.set_aside(record, "decision_failed", "Traceback:\n  File x\nKeyError: 'y'\n")
    assert decode_outcome(effect.value).message == "KeyError: 'y'"
    assert effect.key == create("A").entity.encode()


@pytest.mark.parametrize("came_back", [False, True])
def test_the_runtime_applies_a_forgetting_as_the_lane_is_at_that_moment(came_back: bool) -> None:
    """The runtime's own table, as its commit fills it after whatever it waited for."""
    state = PartitionState(0, ["deliveries.outbox"])
    [table] = state.all
    table.put(b"lane", b"old")
    table.merge()
    change: Change = LateHeader("lane", lambda raw: None if raw == b"old" else raw, state.tables["deliveries.outbox"])
    if came_back:
        table.put(b"lane", b"new")
        table.merge()
    table.overlay[change.key] = change.value
    table.merge()
    assert table.get(b"lane") == (b"new" if came_back else None)


async def test_stop_goes_on_when_nothing_can_be_made_durable() -> None:
    worker = await Played(channels_for()).start()

    async def never(*_about: Any) -> None:
        await asyncio.Event().wait()

    worker.durable.commit = never  # type: ignore[method-assign,assignment]
    async with asyncio.timeout(STOP_ROLE_S):
        await worker.role.stop()
