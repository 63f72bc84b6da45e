"""A role's life on a real broker: start, partitions ready, background commits, partitions lost, stop.

What a role commits on its own is visible at once, durable when `commit` returns, and refused for a partition that is
another worker's.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from streams.runtime.role import Change, Committer, Effect, PartitionLost, Record, Role, Tables
from streams.runtime.worker import Worker
from tests.support.eventually import TIMEOUT_S, eventually
from tests.support.kafka import Kafka
from tests.support.runtime.lab import PARTITIONS, Lab
from tests.support.runtime.worker import FAST, OUT, SOURCE, STATE
from topics.configuration.settings import Settings
from topics.records.reading import OWNER_KEY

KEYS = 40


class Acting(Role):
    """Keeps each record, and acts on its own through the committer."""

    name = "acting"
    source = SOURCE
    tables = (STATE,)

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ready_tables: dict[int, Tables] = {}
        self.changes: list[Change] = []
        self.committer: Committer | None = None
        self.not_ready: str | None = None

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        tables[STATE].put(record.key, record.value)
        return []

    async def start(self, committer: Committer) -> None:
        self.calls.append("start")
        self.committer = committer

    def on_assigned(self, partition: int, tables: Tables) -> None:
        self.ready_tables[partition] = tables

    def on_revoked(self, partition: int) -> None:
        del self.ready_tables[partition]

    def changed(self, partition: int, changes: list[Change]) -> None:
        assert partition in self.ready_tables
        self.changes += changes

    async def stop(self) -> None:
        self.calls.append("stop")
        await self.commit(min(self.ready_tables), [Effect(OUT, b"stop", b"1", partition=0)], [])

    def ready(self) -> str | None:
        return self.not_ready

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        assert self.committer is not None
        await self.committer.commit(partition, effects, changes)


@pytest.fixture
async def lab(kafka: Kafka, prefix: str, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = await Lab(kafka.bootstrap, prefix, tmp_path).open()
    yield lab
    await lab.close()


@asynccontextmanager
async def running(lab: Lab, instance: str = "0") -> AsyncIterator[tuple[Acting, Worker]]:
    role = Acting()
    settings = Settings(kafka=lab.bootstrap, topic_prefix=lab.prefix, instance=instance, admin_port=0)
    worker = Worker(role, settings, FAST)
    task = asyncio.create_task(worker.run())
    try:
        await eventually(lambda: worker.not_ready() is None or task.done(), what=lambda: worker.not_ready() or "")
        yield role, worker
    finally:
        worker.terminate()
        assert await task == 0


def status(worker: Worker, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.admin.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_background_commits_are_visible_at_once_and_durable_when_they_return(lab: Lab) -> None:
    async with running(lab) as (role, _):
        assert role.calls == ["start"]
        assert sorted(role.ready_tables) == list(range(PARTITIONS))
        committing = asyncio.create_task(
            role.commit(
                1, [Effect(OUT, b"e", b"effect", partition=1)], [Change(STATE, b"k", b"v"), Change(STATE, b"d", b"1")]
            )
        )
        await eventually(lambda: role.ready_tables[1][STATE].get(b"k") == b"v")
        await committing
        assert [(r.key, r.value, r.partition) for r in await lab.read(OUT)] == [(b"e", b"effect", 1)]
        await role.commit(1, [], [Change(STATE, b"d", None)])
        assert dict(role.ready_tables[1][STATE].items()) == {b"k": b"v"}
        written = [(r.key, r.value) for r in await lab.read(STATE) if r.key != OWNER_KEY]
        assert written == [(b"k", b"v"), (b"d", b"1"), (b"d", None)]
    assert role.calls == ["start", "stop"]
    assert sorted(r.key for r in await lab.read(OUT)) == [b"e", b"stop"], "commits still work while the role stops"

    async with running(lab) as (again, _):
        assert dict(again.ready_tables[1][STATE].items()) == {b"k": b"v"}, "recovered, deletion included"


async def test_a_role_learns_of_changes_and_of_partitions_that_leave(lab: Lab) -> None:
    async with running(lab, "a") as (first, _):
        await lab.producer.send_and_wait(lab.name(SOURCE), b"v", key=b"k", partition=0)
        await eventually(lambda: first.changes == [Change(STATE, b"k", b"v")])
        async with running(lab, "b") as (second, _):
            await eventually(lambda: len(first.ready_tables) == PARTITIONS // 2)
            owned = set(first.ready_tables) | set(second.ready_tables)
            assert owned == set(range(PARTITIONS))
            theirs = next(iter(second.ready_tables))
            with pytest.raises(PartitionLost):
                await first.commit(theirs, [Effect(OUT, b"not mine", b"1", partition=theirs)], [])
        await eventually(lambda: len(first.ready_tables) == PARTITIONS)
        assert first.ready_tables[0][STATE].get(b"k") == b"v"
    assert b"not mine" not in {record.key for record in await lab.read(OUT)}


async def test_live_ready_and_metrics(lab: Lab) -> None:
    async with running(lab) as (role, worker):
        assert await asyncio.to_thread(status, worker, "/live") == (200, '{"live": true}')
        assert await asyncio.to_thread(status, worker, "/ready") == (200, '{"ready": true}')
        role.not_ready = "still reading attempts"
        assert await asyncio.to_thread(status, worker, "/ready") == (
            503,
            '{"ready": false, "reason": "still reading attempts"}',
        )
        await lab.feed(5, 1, 3)
        await eventually(lambda: len(role.changes) == 15)
        await worker.group_commit.drain()
        code, text = await asyncio.to_thread(status, worker, "/metrics")
        assert code == 200
        assert "sluice_runtime_records_decided_total 15.0" in text
        assert 'sluice_runtime_table_keys{table="runtime.state"} 5.0' in text
        assert 'sluice_runtime_lag_records{partition="0"} 0.0' in text


async def test_live_says_when_nothing_moves_while_records_wait(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(lab) as (role, worker):
        monkeypatch.setattr(worker, "lag", lambda: {0: 1})
        worker._progress_at -= FAST.live_timeout_s + 1
        worker.group_commit.progress_at -= FAST.live_timeout_s + 1
        code, text = await asyncio.to_thread(status, worker, "/live")
        assert code == 503
        assert "no progress" in text
        monkeypatch.undo()
        await lab.feed(1, 1, 1)
        await eventually(lambda: bool(role.changes))
        assert (await asyncio.to_thread(status, worker, "/live"))[0] == 200


async def test_what_a_poll_takes_amid_a_rebalance_is_read_again_although_nothing_is_committed(lab: Lab) -> None:
    """The poll began before the rebalance and takes records after it. It drops them as those of another assignment."""
    async with running(lab, "a") as (first, worker):
        consumer: Any = worker.app.consumer
        poll, waits = consumer._getmany, asyncio.Event()

        async def patient_poll(active: set[TP], _: float) -> Any:
            waits.set()
            return await poll(active, TIMEOUT_S)

        consumer._getmany = patient_poll
        await waits.wait()
        consumer._getmany = poll
        async with running(lab, "b") as (second, _):
            await eventually(lambda: len(first.ready_tables) == PARTITIONS // 2 and worker.partitions.is_open())
            assert not consumer._no_poll.is_set(), "the poll is the one from before"
            await lab.feed(KEYS, 1, 1)
            await eventually(lambda: len(first.changes) + len(second.changes) == KEYS)
            assert first.changes, "some of the keys are in its partitions"
