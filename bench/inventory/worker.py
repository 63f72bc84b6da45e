"""The inventory worker: positions read, decided and recorded per second, and the time to rebuild ten million.

The rate is measured between 20 and 90 % of what the mix makes it write, beside a reference without rules that takes
turns with it on the same Kafka (bench.inventory.reference). All work is produced before
either begins, so no generator has to keep up; `offered_per_s` is the rate of producing it. Every record of the outputs
is compared with the expected ones.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.inventory.stock import (
    CHANNEL,
    PARTITIONS,
    SKUS,
    Rows,
    UpdateSet,
    channels_file,
    fill,
    location,
    make,
    partition_of_location,
    rows_of,
    sku,
)
from bench.processes import (
    VoidRunError,
    cpu_each,
    cpu_median,
    cpu_now,
    cpu_s,
    end,
    held,
    memory_mib,
    metric,
    places,
    records_of,
    running,
    start_module,
    start_role,
)
from bench.runtime.job import make_topics
from bench.runtime.watch import FROM, TO
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create
from topics.records.keys import position_key
from topics.records.reading import MADE_BY
from topics.schema_base import SKUS_MAX
from topics.stock.position_map import encode_plain
from topics.stock.positions import is_position

WORKER_GOAL = 650_000
"""Positions per second of one process, on the machine that the goal was set for."""
REFERENCE_GOAL = 0.8
"""Share of a worker without rules, which has no framework, no offsets and no headers either."""
MIX_PER_SECOND = 200_000
MIX_MIN = 200_000
ROUNDS = 3
"""Turns of each side; the median of the ratios counts."""
TURN_S = 300.0
QUIET_S = 1.0
"""After so long without a new record, all work is done. A group takes a tenth of that."""
CONFLATED = 0.9
"""Least share of the changes that is written: of several changes within one chunk, only the last is."""
_POLL_S = 0.02

REBUILD_PER_SECOND = 1_000_000
"""Positions for each second of `--seconds`: ten million by default."""
REBUILD_MIN = 100_000
REBUILD_GOAL_S = 120.0
REBUILD_GOAL_MIB = 4_096


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of the worker or of its reference. `wrong` says what is wrong with its outputs."""

    positions_per_s: float
    cpu: dict[str, Any]
    """CPU of each part for a position (bench.processes.cpu_each)."""
    memory_mib: float
    wrong: str


def worker(kafka: str, directory: Path, seconds: float) -> dict[str, Any]:
    work = make(max(MIX_MIN, int(seconds * MIX_PER_SECOND)))
    file = channels_file(directory)
    ours: list[Turn] = []
    reference: list[Turn] = []
    offered = []
    for number in range(ROUNDS):
        settings = load_settings(
            kafka=kafka, topic_prefix=f"bench-worker-{number}", partitions=PARTITIONS, channels_file=file
        )
        asyncio.run(create(settings, load_channels(file)))
        began = time.monotonic()
        count = asyncio.run(fill(settings, "inventory.updates", rows_of([*work.first, *work.mix])))
        offered.append(count * SKUS_MAX / (time.monotonic() - began))
        turns: list[tuple[list[Turn], Callable[[], Turn]]] = [
            (ours, lambda s=settings: _ours(s, directory, work, file)),  # type: ignore[misc]
            (reference, lambda s=settings: _reference(s, directory, work)),  # type: ignore[misc]
        ]
        for runs, turn in turns if number % 2 else reversed(turns):
            runs.append(turn())
    ratios = [mine.positions_per_s / theirs.positions_per_s for mine, theirs in zip(ours, reference, strict=True)]
    wrong = [turn.wrong for turn in (*ours, *reference) if turn.wrong]
    achieved = max(turn.positions_per_s for turn in ours)
    ratio = statistics.median(ratios)
    return {
        "offered_per_s": round(min(offered)),
        "achieved_per_s": round(achieved),
        "goal_per_s": WORKER_GOAL,
        "reference_per_s": round(max(turn.positions_per_s for turn in reference)),
        "ratio": round(ratio, 3),
        "ratios": [round(one, 3) for one in ratios],
        "ratio_goal": REFERENCE_GOAL,
        "positions": work.positions,
        "changed": work.changed,
        "cpu": {
            "rules": cpu_median([turn.cpu for turn in ours]),
            "without rules": cpu_median([turn.cpu for turn in reference]),
        },
        "memory_mib": round(max(turn.memory_mib for turn in ours)),
        "checked": not wrong,
        **({"void": "; ".join(wrong)} if wrong else {}),
        "met": not wrong and achieved >= WORKER_GOAL and ratio >= REFERENCE_GOAL,
    }


def worker_described(found: Mapping[str, Any]) -> str:
    return (
        f"goal {found['goal_per_s']:,}/s; {found['ratio']} of a worker without rules ({found['reference_per_s']:,}/s,"
        f" goal {found['ratio_goal']}); {found['changed']:,} of {found['positions']:,} positions changed"
    )


def _ours(settings: Settings, directory: Path, work: UpdateSet, file: Path) -> Turn:
    role = start_role("inventory", settings, directory, more={"SLUICE_CHANNELS_FILE": str(file)})
    try:
        rate, cpu, memory = asyncio.run(_watch(settings, "inventory.positions", work, role.process))
    finally:
        role.end()
    return Turn(rate, cpu, memory, asyncio.run(_wrong(settings, work)))


def _reference(settings: Settings, directory: Path, work: UpdateSet) -> Turn:
    target = f"{settings.topic_prefix}.reference.v1"
    asyncio.run(make_topics(settings.kafka, [target]))
    [source, *_] = places(settings, "inventory.updates")
    arguments = (settings.kafka, source.topic, target, str(PARTITIONS))
    with (directory / f"{settings.topic_prefix}-reference.log").open("wb") as log:
        process = start_module("bench.inventory.reference", *arguments, stdout=log, stderr=log)
    try:
        rate, cpu, memory = asyncio.run(_watch(settings, target, work, process))
    finally:
        end(process)
    return Turn(rate, cpu, memory, "")


async def _watch(
    settings: Settings, topic: str, work: UpdateSet, process: subprocess.Popen[bytes]
) -> tuple[float, dict[str, Any], float]:
    """Return positions of the mix per second, the CPU of each part for one, and the memory at the end.

    The records that the process has written say how far it is. It is done when it writes no more.
    """
    partitions = places(settings, topic) if topic == "inventory.positions" else _partitions(topic)
    fixed = len(work.last) + (PARTITIONS if topic == "inventory.positions" else 0)  # each partition begins with a claim
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    samples: list[tuple[float, int, Mapping[str, float]]] = []
    deadline = time.monotonic() + TURN_S
    least = fixed + CONFLATED * work.changed
    try:
        while not (samples and samples[-1][1] >= least and samples[-1][0] - _since(samples) > QUIET_S):
            if process.poll() is not None or time.monotonic() > deadline:
                raise VoidRunError(f"void: {process.args!r} ended, or did not finish within {TURN_S:.0f} s")
            samples.append((time.monotonic(), await held(consumer, partitions), cpu_now()))
            await asyncio.sleep(_POLL_S)
    finally:
        await consumer.stop()
    written = samples[-1][1] - fixed
    first = next(sample for sample in samples if sample[1] >= fixed + FROM * written)
    last = next(sample for sample in samples if sample[1] >= fixed + TO * written)
    done = (last[1] - first[1]) / written * work.positions
    return done / (last[0] - first[0]), cpu_each("position", done, first[2], last[2]), memory_mib(process.pid)


def _since(samples: list[tuple[float, int, Mapping[str, float]]]) -> float:
    """Return when the last record was first seen."""
    return next(at for at, count, _ in samples if count == samples[-1][1])


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in range(PARTITIONS)]


async def _wrong(settings: Settings, work: UpdateSet) -> str:
    """Return what is wrong with the outputs of a turn; empty when nothing is."""
    last: dict[bytes, bytes | None] = {}
    for record in await records_of(settings.kafka, places(settings, "inventory.positions")):
        if is_position(record.key):
            last[record.key] = record.value
    expected = {position_key(CHANNEL, at, code): encode_plain(code, n) for (at, code), n in work.last.items()}
    wrong = sum(last.get(key) != value for key, value in expected.items()) + len(last.keys() - expected.keys())
    records = await records_of(settings.kafka, places(settings, "inventory.changes"))
    changes = sum(len(orjson.loads(record.value)["changes"]) for record in records)
    found = []
    if wrong:
        found.append(f"{wrong:,} positions are not what the updates say")
    if changes != len(work.last) + work.changed:
        found.append(f"inventory.changes has {changes:,} changes of {len(work.last) + work.changed:,}")
    return ", ".join(found)


def rebuild(kafka: str, directory: Path, seconds: float) -> dict[str, Any]:
    """Measure the time until a new worker without local state has every position."""
    count = max(REBUILD_MIN, int(seconds * REBUILD_PER_SECOND))
    file = channels_file(directory)
    environment = {"SLUICE_CHANNELS_FILE": str(file)}
    settings = load_settings(kafka=kafka, topic_prefix="bench-rebuild", partitions=PARTITIONS, channels_file=file)
    asyncio.run(create(settings, load_channels(file)))
    with running("inventory", settings, directory, more=environment) as role:
        empty_mib = memory_mib(role.process.pid)
    began = time.monotonic()
    asyncio.run(fill(settings, "inventory.positions", _positions(count)))
    offered = count / (time.monotonic() - began)
    began, before = time.monotonic(), cpu_now()
    role = start_role("inventory", settings, directory, more=environment)
    try:
        role.wait_ready(TURN_S)
        cold_s = time.monotonic() - began
        full_mib, peak_mib = memory_mib(role.process.pid), memory_mib(role.process.pid, peak=True)
        cpu, used_s = cpu_each("position", count, before), cpu_s(role.process.pid)
        keys = metric(role, 'table_keys{table="inventory.positions"}')
        read_s = metric(role, "recovery_seconds")
    finally:
        role.end()
    if keys != count:
        raise VoidRunError(f"void: {keys:,.0f} positions were rebuilt of {count:,}")
    return {
        "offered_per_s": round(offered),
        "achieved_per_s": round(count / cold_s),
        "positions": count,
        "cold_s": round(cold_s, 1),
        "goal_s": REBUILD_GOAL_S,
        "read_s": round(read_s, 1),
        "cpu": {"until it is ready": cpu},
        "cpu_s": round(used_s, 1),
        "memory_mib": {"empty": round(empty_mib), "full": round(full_mib), "peak": round(peak_mib)},
        "memory_goal_mib": REBUILD_GOAL_MIB,
        "bytes_per_position": round((full_mib - empty_mib) * 1_048_576 / count),
        "met": cold_s <= REBUILD_GOAL_S and peak_mib <= REBUILD_GOAL_MIB,
    }


def rebuild_described(found: Mapping[str, Any]) -> str:
    memory = found["memory_mib"]
    return (
        f"{found['positions']:,} positions after {found['cold_s']} s (goal {found['goal_s']}),"
        f" {found['cpu_s']} s of CPU; {memory['full']:,} MiB,"
        f" {memory['peak']:,} at its highest: {found['bytes_per_position']} bytes a position"
    )


def _positions(count: int) -> Rows:
    """Yield positions as the worker writes them."""
    for number in range(count):
        at, code = location(number // SKUS), sku(number % SKUS)
        made_by = [(MADE_BY, b"1/%d" % (number // SKUS_MAX))]
        yield partition_of_location(at), position_key(CHANNEL, at, code), encode_plain(code, number % 1_000), made_by
