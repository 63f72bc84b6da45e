"""Which partitions a worker keeps over a rebalance, and what it tells those who commit meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from unittest.mock import AsyncMock

import pytest

from streams.runtime.durability.group import Group
from streams.runtime.limits import GROUP_RECORDS_MAX, Tuning
from streams.runtime.partitions import Partitions
from streams.runtime.role import Change, Effect, Record, Role, Tables
from streams.runtime.tables.partition_table import PartitionState
from streams.runtime.transport.chunks import Chunk
from streams.runtime.worker import Worker
from tests.fakes.runtime import raw_record
from topics.configuration.settings import Settings


class Broken(Role):
    name = "broken"
    source = "orders.commands"
    tables = ("orders.state",)

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        raise RuntimeError("told to raise")


class Idle(Role):
    name = "idle"
    source = "orders.commands"
    tables = ("orders.state",)

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        return ()


class Followed(Idle):
    has_standby = True


async def test_a_rebalance_that_follows_at_once_does_not_look_like_a_lost_partition() -> None:
    """Opened and closed again before the waiter's turn: it waits on, for a partition that is still owned."""
    worker = Worker(Idle(), Settings(), Tuning())
    worker.app.loop = asyncio.get_running_loop()
    worker.partitions.assigned({0}, 1)
    worker.partitions.recovered([PartitionState(0, Idle.tables)])
    waiting = asyncio.create_task(worker.commit(0, [], [Change("orders.state", b"k", b"v")]))
    await asyncio.sleep(0)
    worker.partitions.open()
    worker.partitions.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_who_waits_to_commit_is_not_passed_by_who_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value would come behind the newer one, and a note that is deleted behind the one that took its place."""
    worker = Worker(Idle(), Settings(), Tuning())
    worker.app.loop = asyncio.get_running_loop()
    worker.partitions.assigned({0}, 1)
    state = PartitionState(0, Idle.tables)
    worker.partitions.recovered([state])
    worker.partitions.open()
    group_commit = worker.group_commit
    monkeypatch.setattr(group_commit, "add_state", lambda _state: None)
    group_commit._gathering.records = GROUP_RECORDS_MAX
    first = asyncio.create_task(worker.commit(0, [], [Change("orders.state", b"k", b"first")]))
    await asyncio.sleep(0)
    second = asyncio.create_task(worker.commit(0, [], [Change("orders.state", b"k", b"second")]))
    group_commit._gathering = Group()
    await group_commit._announce()
    for _ in range(5):
        await asyncio.sleep(0)
    assert state.tables["orders.state"].get(b"k") == b"second"
    for task in (first, second):
        task.cancel()


async def test_a_record_that_waits_again_after_a_rebalance_leaves_no_chunk_that_nothing_finishes() -> None:
    """It is read again from an offset that lies before those that this worker decided."""
    worker = Worker(Broken(), Settings(), Tuning(failed_in_a_row_max=1))
    worker.app.loop = asyncio.get_running_loop()
    worker.app.consumer = AsyncMock()
    worker.partitions.assigned({0}, 1)
    state = PartitionState(0, Broken.tables)
    worker.partitions.recovered([state])
    state.last_decided = 50
    worker.assigned({0}, 2)
    worker.partitions.open()
    worker.resumed(worker.assignments)
    worker.ledger.handed_out(0, 12)
    await worker._decide(Chunk(worker.assignments, 0, 0, [raw_record(offset, b"v") for offset in (10, 11, 12)]))
    worker.app.consumer.hold.assert_awaited_once_with(0, 10)
    assert worker.ledger.is_idle(0)
    worker.ledger.handed_out(0, 12)
    worker.ledger.finished(0, 12)
    assert worker.ledger.committable() == {0: 13}


def _owning(generation: int) -> tuple[Partitions, PartitionState]:
    partitions = Partitions(Idle())
    partitions.assigned({0}, generation)
    state = PartitionState(0, Idle.tables)
    partitions.recovered([state])
    return partitions, state


def test_state_is_kept_from_one_generation_to_the_next() -> None:
    partitions, state = _owning(3)
    partitions.assigned({0, 1}, 4)
    assert partitions.owned == {0: state}
    assert partitions.missing() == [1]


def test_state_is_read_again_after_a_generation_that_this_worker_missed() -> None:
    """In between, another may have owned the partition and written it."""
    partitions, _ = _owning(3)
    partitions.assigned({0}, 5)
    assert partitions.missing() == [0]


async def test_standbys_are_dropped_after_a_generation_that_this_worker_missed() -> None:
    """It may have been away for longer than a changelog keeps deletions."""
    worker = Worker(Followed(), Settings(kafka="127.0.0.1:1"), Tuning())
    worker.standby.start()
    worker.assigned({0}, 1)
    worker.standby.follow({1, 2})
    worker.assigned({0}, 2)
    assert worker.standby.take(1) is not None
    worker.assigned({0}, 4)
    assert worker.standby.take(2) is None
    await worker.standby.stop()


async def test_a_generation_that_comes_twice_means_that_the_instance_name_is_taken() -> None:
    """Two workers of one name take the membership from each other; neither may go on."""
    worker = Worker(Idle(), Settings(instance="twin"), Tuning())
    worker.assigned({0}, 1)
    assert not worker.failed
    worker.assigned({0}, 1)
    assert worker.failed
