"""A chunk with large records is decided in parts, and large records are prepared: others have their turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable
from typing import Any
from unittest.mock import AsyncMock

import pytest

from streams.runtime import preparing, worker
from streams.runtime.limits import Tuning
from streams.runtime.role import Effect, Record, Role, Tables
from streams.runtime.tables.partition_table import PartitionState
from streams.runtime.transport.chunks import Chunk
from streams.runtime.worker import Worker
from tests.fakes.runtime import raw_record
from topics.configuration.settings import Settings


class Slow(Role):
    """Notes what happens in which order. A record with the value `raise` cannot be decided, nor prepared."""

    name = "slow"
    source = "orders.commands"
    tables = ("orders.state",)

    def __init__(self) -> None:
        self.story: list[Any] = []

    def prepare(self, record: Record) -> Generator[None, None, Any]:
        for step in (1, 2):
            self.story.append(("step", record.offset, step))
            yield
        if record.value == b"raise":
            raise RuntimeError("told to raise")
        return record.value.decode()

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        self.story.append((record.offset, record.prepared))
        if record.value == b"raise":
            raise RuntimeError("told to raise")
        return ()


class Owner:
    """A worker that owns partition 0 and decides without Kafka."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failed_in_a_row_max: int = 100) -> None:
        self.role = Slow()
        self.worker = Worker(self.role, Settings(), Tuning(failed_in_a_row_max=failed_in_a_row_max))
        self.worker.app.loop = asyncio.get_running_loop()
        self.worker.app.consumer = AsyncMock()
        self.worker.partitions.assigned({0}, 1)
        self.state = PartitionState(0, Slow.tables)
        self.worker.partitions.recovered([self.state])
        self.worker.assigned({0}, 2)
        self.worker.partitions.open()
        self.worker.resumed(self.worker.assignments)
        self.parts: list[int] = []
        commit = self.worker.group_commit
        monkeypatch.setattr(commit, "add_chunk", lambda _partition, last: self.parts.append(last))
        monkeypatch.setattr(commit, "add_effects", lambda *_: None)
        monkeypatch.setattr(worker, "DECIDE_HOLD_S", 0.0)
        monkeypatch.setattr(preparing, "PREPARED_BYTES_MIN", 1)

    async def decide(self, *values: bytes, beside: Callable[[], None] = lambda: None) -> None:
        """Decides the values from offset 10 on. `beside` is called whenever another task has its turn."""
        self.worker.ledger.handed_out(0, 10 + len(values) - 1)
        records = [raw_record(10 + n, value) for n, value in enumerate(values)]
        task = asyncio.create_task(self.worker._decide(Chunk(self.worker.assignments, 0, 0, records)))
        while not task.done():
            await asyncio.sleep(0)
            beside()
        await task

    def finish(self) -> dict[int, int]:
        """The groups of all parts are durable. Returns the offsets that may be committed."""
        for last in self.parts:
            self.worker.ledger.finished(0, last)
        return self.worker.ledger.committable()


async def test_parts_of_a_chunk_are_chunks_and_others_run_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(monkeypatch)
    turns = iter(range(100))
    await owner.decide(b"a", b"b", b"c", beside=lambda: owner.role.story.append(next(turns)))
    decided = [said for said in owner.role.story if isinstance(said, tuple) and said[0] != "step"]
    assert decided == [(10, "a"), (11, "b"), (12, "c")]
    assert owner.role.story.index((11, "b")) - owner.role.story.index((10, "a")) > 1, "nobody ran in between"
    assert owner.parts == [10, 11, 12]
    owner.worker.ledger.handed_out(0, 20)
    assert owner.finish() == {0: 13}


async def test_a_part_that_is_durable_counts_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(monkeypatch)
    committable: list[dict[int, int]] = []
    await owner.decide(b"a", b"b", beside=lambda: committable.append(owner.finish()) if owner.parts == [10] else None)
    assert {0: 11} in committable
    owner.parts = owner.parts[1:]
    assert owner.finish() == {0: 12}


async def test_a_partition_that_leaves_between_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of the chunk is its next owner's."""
    owner = Owner(monkeypatch)
    await owner.decide(b"a", b"b", b"c", beside=lambda: owner.worker.revoking() if owner.parts == [10] else None)
    assert owner.parts == [10]
    assert owner.finish() == {0: 11}


async def test_a_record_that_waits_in_a_later_part_leaves_no_chunk_that_nothing_finishes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = Owner(monkeypatch, failed_in_a_row_max=1)
    await owner.decide(b"a", b"raise", b"c")
    owner.worker.app.consumer.hold.assert_awaited_once_with(0, 11)
    assert owner.finish() == {0: 11}
    assert owner.worker.ledger.is_idle(0)


async def test_a_chunk_of_usual_records_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(monkeypatch)
    monkeypatch.setattr(preparing, "PREPARED_BYTES_MIN", 5)
    await owner.decide(b"a", b"b", b"c")
    assert owner.parts == [12]


async def test_large_records_are_prepared_before_their_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(monkeypatch)
    monkeypatch.setattr(preparing, "PREPARED_BYTES_MIN", 5)
    await owner.decide(b"a", b"large", b"raise", b"b")
    assert owner.role.story == [
        *(("step", offset, step) for offset in (11, 12) for step in (1, 2)),
        (10, None),
        (11, "large"),
        (12, None),
        (13, None),
    ]


async def test_a_partition_that_leaves_while_a_record_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(monkeypatch)
    monkeypatch.setattr(preparing, "PREPARED_BYTES_MIN", 5)
    await owner.decide(b"a", b"large", beside=lambda: owner.worker.revoking() if owner.role.story else None)
    assert [said for said in owner.role.story if said[0] != "step"] == []
    assert owner.finish() == {}
