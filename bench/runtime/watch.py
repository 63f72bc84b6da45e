"""Rate at which a process works off a filled topic, measured by the records in its output topics."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.processes import cpu_each, cpu_now, held
from sluice.errors import StartError

FROM, TO = 0.2, 0.9
RUN_TIMEOUT_S = 300.0
_POLL_S = 0.05


class Worked(NamedTuple):
    """Records per second, and the CPU of each part for one event (bench.processes.cpu_each)."""

    records_per_s: float
    cpu: dict[str, Any]


async def watch(
    bootstrap: str,
    partitions: Sequence[TopicPartition],
    records: int,
    process: subprocess.Popen[bytes],
    events: int | None = None,
) -> Worked:
    """Measure between 20 and 90 % of the output. `events`: how many cause all of it, if not one for each record."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    samples: list[tuple[float, int, Mapping[str, float]]] = []
    deadline = time.monotonic() + RUN_TIMEOUT_S
    try:
        while not samples or samples[-1][1] < records:
            if process.poll() is not None:
                raise StartError(f"a benchmarked process ended with {process.returncode}: {process.args!r}")
            if time.monotonic() > deadline:
                raise StartError(f"{process.args!r} did not finish within {RUN_TIMEOUT_S:.0f} s")
            samples.append((time.monotonic(), await held(consumer, partitions), cpu_now()))
            await asyncio.sleep(_POLL_S)
    finally:
        await consumer.stop()
    first = next(sample for sample in samples if sample[1] >= FROM * records)
    last = next(sample for sample in samples if sample[1] >= TO * records)
    done = last[1] - first[1]
    if done <= 0:  # all output came between two looks
        first, last = next(s for s in samples if s[1] == 0), samples[-1]
        done = last[1]
    each = records / (records if events is None else events)
    return Worked(done / (last[0] - first[0]), cpu_each("event", done / each, first[2], last[2]))
