"""A worker that stands still past its session, at any step of a group, changes nothing that anyone believes.

It is stopped (SIGSTOP) or cut off, another takes its partitions and decides on, and then it wakes up: before a step it
finds its lease gone; within one it truly writes, and what it writes counts nowhere. Then compaction comes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.runtime.stuck.ending import EXIT_FAILED
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.runtime.lab import PARTITIONS, Lab, WorkerProcess
from tests.support.runtime.proxy import Proxy
from tests.support.runtime.worker import OUT, STATE, STOP_POINTS
from topics.configuration.settings import load_settings
from topics.kafka.compacted_view import CompactedView
from topics.records.reading import FactReader, Found, made_by

KEYS, LAST = 12, 40
COMPACTED_SOON = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "3000",
    "message.timestamp.type": "LogAppendTime",
    "segment.ms": "1000",
}


@pytest.fixture
async def lab(kafka: Kafka, prefix: str, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = await Lab(kafka.bootstrap, prefix, tmp_path).open(state_config=COMPACTED_SOON)
    yield lab
    await lab.close()


async def _woken_behind_its_successor(lab: Lab, point: str, **successor: str) -> tuple[WorkerProcess, WorkerProcess]:
    """The zombie after it went on and ended or joined again, and the worker that took over meanwhile."""
    zombie = await lab.start("zombie", STOP_AT=f"{point}:4").ready()
    feeding = asyncio.create_task(lab.feed(KEYS, 1, LAST, pause_s=0.02))
    await zombie.stopped()
    owner = await lab.start("owner", **successor).ready()
    await feeding
    await lab.decided(KEYS, LAST)
    zombie.wake()
    await eventually(
        lambda: zombie.process.poll() is not None or zombie.metric("rebalances_total") >= 2,
        30,
        what="the zombie ends, or joins again",
    )
    return zombie, owner


def _late(records: list[Any]) -> list[Any]:
    """Those written under an older epoch than one before them in their partition."""
    newest: dict[int, int] = defaultdict(int)
    found = []
    for record in records:
        epoch = made_by(record.headers).epoch
        if epoch < newest[record.partition]:
            found.append(record)
        newest[record.partition] = max(newest[record.partition], epoch)
    return found


async def _is_written_over(lab: Lab) -> bool:
    """No former owner's record is the last of its key, so compaction cannot keep one instead of the owner's."""
    records = await lab.read(STATE)
    last = {(record.partition, record.key): record.offset for record in records}
    return not any(last[record.partition, record.key] == record.offset for record in _late(records))


async def _check_what_readers_believe(lab: Lab, last: int) -> None:
    """Per key exactly one sequence without a gap, whatever was written twice or too late; ids never differ."""
    reader = FactReader()
    taken: dict[bytes, list[int]] = defaultdict(list)
    ids: dict[tuple[bytes, int], set[str]] = defaultdict(set)
    for record in await lab.read(OUT):
        effect = orjson.loads(record.value)
        ids[record.key, effect["seq"]].add(effect["id"])
        found = reader.judge(record.partition, record.key, effect["seq"], record.headers)
        if found in {Found.NEW, Found.GAP}:
            taken[record.key].append(effect["seq"])
    assert dict(taken) == {b"k%d" % key: list(range(1, last + 1)) for key in range(KEYS)}
    assert all(len(found) == 1 for found in ids.values())
    # And those who follow the table's topic, from its beginning, as after a restart.
    followed: dict[bytes, bytes | None] = {}

    def follow(_partition: int, key: bytes, value: bytes | None) -> None:
        followed[key] = value

    view = CompactedView(load_settings(kafka=lab.bootstrap), lab.name(STATE), follow, lambda _partition: None)
    await view.start()
    await view.set_partitions(None)
    await eventually(lambda: view.unready() is None, what="the view has read all")
    await view.stop()
    assert {key: orjson.loads(value or b"{}") for key, value in followed.items()} == await lab.states()


@pytest.mark.parametrize("point", STOP_POINTS)
async def test_stopped_at_each_step_and_woken_behind_its_successor(lab: Lab, point: str) -> None:
    """Its successor has nothing to write then, and finds what was written late when it looks."""
    zombie, _ = await _woken_behind_its_successor(lab, point, AUDIT_S="0.5")
    if point != "between_state_and_offsets":  # there all was durable while it was the owner: it may simply join again
        assert await zombie.ended() == EXIT_FAILED
    late = {topic: len(_late(await lab.read(topic))) for topic in (OUT, STATE)}
    # The test is worth something only when a step under way truly writes; all others must not.
    assert (late[OUT] > 0) == (point in {"in_effects", "in_both"})
    assert (late[STATE] > 0) == (point in {"in_state", "in_both"})
    await eventually(lambda: _is_written_over(lab), 30, every_s=0.3, what="what was put over is written again")
    await lab.check(KEYS, LAST)
    await _check_what_readers_believe(lab, LAST)


@pytest.mark.parametrize("point", ["in_effects", "in_state"])
async def test_cut_off_at_a_step_and_heard_again_behind_its_successor(lab: Lab, point: str) -> None:
    """It runs all the while, and what it has sent arrives when the network is whole again."""
    proxy = await Proxy(int(lab.bootstrap.rpartition(":")[2])).start()
    try:
        zombie = await lab.start("zombie", STOP_AT=f"{point}:4", PROXY_PORT=str(proxy.port)).ready()
        feeding = asyncio.create_task(lab.feed(KEYS, 1, LAST, pause_s=0.02))
        await zombie.stopped()
        proxy.cut()
        zombie.wake()
        await lab.start("owner", AUDIT_S="0.5").ready()
        await feeding
        await lab.decided(KEYS, LAST)
        proxy.heal()
        assert await zombie.ended() == EXIT_FAILED
    finally:
        await proxy.stop()
    late = {topic: len(_late(await lab.read(topic))) for topic in (OUT, STATE)}
    assert (late[OUT] > 0, late[STATE] > 0) == (point == "in_effects", point == "in_state")
    await eventually(lambda: _is_written_over(lab), 30, every_s=0.3, what="what was put over is written again")
    await lab.check(KEYS, LAST)
    await _check_what_readers_believe(lab, LAST)


@pytest.mark.parametrize("finder", ["its successor, by its next write", "the one after it, at its recovery"])
async def test_compaction_never_keeps_what_was_written_late(lab: Lab, finder: str) -> None:
    """Kafka compacts here as soon as the lag is over: what it leaves is the owner's state, and nothing of the late."""
    zombie, owner = await _woken_behind_its_successor(lab, "in_state", AUDIT_S="600")
    assert await zombie.ended() == EXIT_FAILED
    assert _late(await lab.read(STATE))
    assert not await _is_written_over(lab), "nobody has looked yet"
    if finder.startswith("the one after"):
        await owner.kill()
        owner = await lab.start("after", AUDIT_S="600").ready()
    # Others' records in all partitions: they leave the late ones alone, and let Kafka begin new segments.
    filling = asyncio.create_task(lab.feed(PARTITIONS * 4, 1, 400, pause_s=0.1, name="other"))

    async def is_compacted() -> bool:
        records = [record for record in await lab.read(STATE) if record.key.startswith(b"k")]
        return len(records) == KEYS and not _late(records)

    try:
        await eventually(lambda: _is_written_over(lab), 30, every_s=0.3, what="what was put over is written again")
        assert owner.metric("records_late_total") > 0
        await eventually(is_compacted, 60, every_s=0.5, what="compaction leaves one record per key")
    finally:
        filling.cancel()
    exact = {"n": LAST, "last": LAST, "missing": 0, "repeated": 0}
    last = {record.key: orjson.loads(record.value) for record in await lab.read(STATE) if record.key.startswith(b"k")}
    assert last == {b"k%d" % key: exact for key in range(KEYS)}
