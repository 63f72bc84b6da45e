"""Latency from producing a record to reading its effect, at a rate far below the capacity of the runtime."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.runtime.job import KEYS, PARTITIONS, SOURCE, full_name, make_topics, order
from topics.records.keys import partition_of

OFFERED_PER_S = 1_000
SECONDS = 3
WARM_UP = 500
"""First answers, which are not counted: they include imports and first fetches."""
_STEP_S = 0.005
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Latency:
    offered_per_s: int
    p50_ms: float
    p99_ms: float


async def measure(bootstrap: str, start: Callable[[str], subprocess.Popen[bytes]]) -> Latency:
    """Start the job anew, let it finish the backlog, then offer orders at a steady rate."""
    name = "sluice-latency"
    out = full_name(f"{name}.out")
    await make_topics(bootstrap, [out, full_name(f"{name}.state")])
    process = start(name)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    producer: Any = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0)
    await consumer.start()
    await producer.start()
    try:
        await _caught_up(consumer, out)
        partitions = [TopicPartition(out, partition) for partition in range(PARTITIONS)]
        consumer.assign(partitions)
        # aiokafka's default of 0.1 s would be most of the measured latency, and it belongs to the reader.
        consumer._fetcher._prefetch_backoff = 0.001
        await consumer.seek_to_end(*partitions)
        for partition in partitions:
            await consumer.position(partition)
        took = await _offer(producer, consumer)
    finally:
        await producer.stop()
        await consumer.stop()
        process.terminate()
        await asyncio.to_thread(process.wait)
    took = sorted(took[WARM_UP:])
    return Latency(OFFERED_PER_S, round(took[len(took) // 2] * 1e3, 1), round(took[len(took) * 99 // 100] * 1e3, 1))


async def _caught_up(consumer: Any, out: str) -> None:
    sources = [TopicPartition(full_name(SOURCE), partition) for partition in range(PARTITIONS)]
    outs = [TopicPartition(out, partition) for partition in range(PARTITIONS)]
    wanted = sum((await consumer.end_offsets(sources)).values())
    async with asyncio.timeout(_TIMEOUT_S):
        while sum((await consumer.end_offsets(outs)).values()) < wanted:  # noqa: ASYNC110 - offsets have no event
            await asyncio.sleep(_STEP_S * 10)


async def _offer(producer: Any, consumer: Any) -> list[float]:
    sent: dict[int, float] = {}
    took: list[float] = []
    count = OFFERED_PER_S * SECONDS
    first = 1 << 40  # ids that the backlog does not use
    offering = asyncio.create_task(_produce(producer, sent, first, count))
    async with asyncio.timeout(_TIMEOUT_S):
        while len(took) < count:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                now = time.monotonic()
                took.extend(now - sent[orjson.loads(record.value)["id"]] for record in records)
        await offering
    return took


async def _produce(producer: Any, sent: dict[int, float], first: int, count: int) -> None:
    started = time.monotonic()
    done = 0
    while done < count:
        due = min(count, int((time.monotonic() - started) * OFFERED_PER_S))
        while done < due:
            number = first + done
            code = f"O{number % KEYS}"
            key = code.encode()
            sent[number] = time.monotonic()
            await producer.send(
                full_name(SOURCE), order(number, code), key=key, partition=partition_of(key, PARTITIONS)
            )
            done += 1
        await asyncio.sleep(_STEP_S)
