"""kill -9 of one of two orders workers under steady traffic: the time until all partitions move again, and repeats.

Orders are created at a steady rate, spread over all partitions. A partition moves again when an order that was sent to
it after the kill gets its verdict. Every order must get a verdict; a second one is a duplicate.

The stages between the kill and the last partition's verdict are measured by the survivor
(streams.runtime.durability.rebalance_steps).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.orders.job import CHANNEL, STEPS, code_of, input_of
from bench.processes import Started, VoidRunError, cpu_each, cpu_now, metric, places, start_role
from streams.runtime.durability.rebalance_steps import STEPS as REBALANCE_STEPS
from streams.runtime.limits import Tuning
from topics.configuration.settings import Settings
from topics.records.keys import order_key, partition_of

PER_S = 500
BEFORE_S = 5.0
"""Traffic before the kill, so that both workers decide."""
AFTER_S = 5.0
"""Traffic after the last partition moves again, so that repeated decisions are seen."""
MARGIN_S = 3.0
DUPLICATES_GOAL_PERCENT = 2.0
STANDBY_BYTES_MAX = 4 << 30
"""Room for all orders: the default has room for 200,000."""
STANDBY_READY_S = 180.0
_SETTLE_S = 60.0
_POLL_S = 0.5
_STEP_S = 0.01
_FIRST = 500_000_000
"""First number of orders, beyond those of other parts."""
KEPT_UP = 0.95


@dataclass
class Failover:
    """Orders sent and verdicts seen, with times of one clock."""

    session_timeout_s: float
    sent: dict[bytes, tuple[int, float]] = field(default_factory=dict)
    """Event id -> partition and when it was sent."""
    answered: Counter[bytes] = field(default_factory=Counter)
    moved: dict[int, float] = field(default_factory=dict)
    """Partition -> seconds after the kill at which an order sent after it had its verdict."""
    partitions: int = 0
    sending_s: float = 0.0
    wanted: int = 0
    killed_at: float = 0.0
    """Unix time."""
    cpu: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    """Stage -> seconds, in order: the first ends when the survivor learns of it, the last with the last verdict."""

    @property
    def moved_s(self) -> float:
        return max(self.moved.values()) if len(self.moved) == self.partitions else float("inf")

    @property
    def duplicates_percent(self) -> float:
        return 100 * sum(count - 1 for count in self.answered.values()) / max(1, len(self.sent))

    def void(self) -> str | None:
        lost = len(self.sent) - len(self.answered)
        if lost:
            return f"{lost} of {len(self.sent)} orders got no verdict"
        if len(self.sent) < KEPT_UP * self.wanted:
            return f"only {len(self.sent)} of {self.wanted} orders could be sent in time"
        return None

    def met(self) -> bool:
        in_time = self.moved_s <= self.session_timeout_s + MARGIN_S
        return self.void() is None and in_time and self.duplicates_percent < DUPLICATES_GOAL_PERCENT

    def result(self) -> dict[str, Any]:
        return {
            "offered_per_s": PER_S,
            "achieved_per_s": round(len(self.sent) / self.sending_s),
            "events": len(self.sent),
            "moved_s": round(self.moved_s, 2),
            "goal_s": self.session_timeout_s + MARGIN_S,
            "session_timeout_s": self.session_timeout_s,
            "stages_s": {stage: round(took, 2) for stage, took in self.stages.items()},
            "cpu": self.cpu,
            "duplicates": sum(count - 1 for count in self.answered.values()),
            "duplicates_percent": round(self.duplicates_percent, 3),
            "duplicates_goal_percent": DUPLICATES_GOAL_PERCENT,
            "void": self.void(),
        }


async def fail_over(settings: Settings, directory: Path, records: int, say: Callable[[str], None]) -> Failover:
    """`records`: how many the state's topics have; each worker has read the other's before one is killed."""
    seen = Failover(Tuning().session_timeout_s, partitions=settings.partitions)
    standby = {"SLUICE_STANDBY_BYTES_MAX": str(STANDBY_BYTES_MAX)}
    workers = [start_role("orders", settings, directory, str(number), standby) for number in range(2)]
    sender: Any = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", linger_ms=2)
    reader: Any = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)
    await sender.start()
    await reader.start()
    try:
        for worker in workers:
            await asyncio.to_thread(worker.wait_ready)
        say("both workers are ready; each reads the other's orders")
        await asyncio.to_thread(_wait_for_standbys, workers, records)
        replies = places(settings, "replies")
        reader.assign(replies)
        await reader.seek_to_beginning(*replies)
        stop = asyncio.Event()
        before = cpu_now()
        killed_at: list[float] = []
        sending = asyncio.create_task(_send(sender, settings, seen, stop))
        reading = asyncio.create_task(_read(reader, seen, killed_at))
        await asyncio.sleep(BEFORE_S)
        say(f"kill -9 of one of two workers; the session time-out is {seen.session_timeout_s:.0f} s")
        workers[0].process.kill()
        killed_at.append(time.monotonic())
        seen.killed_at = time.time()
        await _until(lambda: len(seen.moved) == seen.partitions, seen.session_timeout_s + _SETTLE_S)
        if workers[1].process.poll() is None:
            seen.stages = stages_of(workers[1], seen)
        await asyncio.sleep(AFTER_S)
        stop.set()
        await sending
        seen.cpu = cpu_each("event", len(seen.sent), before)
        await _until(lambda: len(seen.answered) >= len(seen.sent), _SETTLE_S)
        await asyncio.sleep(1.0)  # a second verdict comes right behind the first
        reading.cancel()
        await asyncio.wait([reading])
    finally:
        await sender.stop()
        await reader.stop()
        for worker in workers:
            await asyncio.to_thread(worker.end)
    return seen


def _wait_for_standbys(workers: Sequence[Started], records: int) -> None:
    deadline = time.monotonic() + STANDBY_READY_S
    while (read := sum(metric(worker, "standby_records_total") for worker in workers)) < records:
        if time.monotonic() > deadline:
            raise VoidRunError(f"void: the standbys have read {read:,.0f} of {records:,} records")
        time.sleep(_POLL_S)


def stages_of(survivor: Started, seen: Failover) -> dict[str, float]:
    """The stages of the time between the kill and the last partition's first verdict."""
    noticed = metric(survivor, "rebalance_began_timestamp_seconds") - seen.killed_at
    stages = {"session": noticed}
    stages |= {step: metric(survivor, f'rebalance_seconds{{step="{step}"}}') for step in REBALANCE_STEPS}
    return stages | {"verdict": seen.moved_s - sum(stages.values())}


async def _send(sender: Any, settings: Settings, seen: Failover, stop: asyncio.Event) -> None:
    (commands, *_) = places(settings, "orders.commands")
    started = time.monotonic()
    number = 0
    while not stop.is_set():
        due = int((time.monotonic() - started) * PER_S)
        while number < due:
            one = input_of(_FIRST + number, (*STEPS[0], 0), time.time_ns() // 1_000_000)
            partition = partition_of(order_key(CHANNEL, code_of(_FIRST + number)), settings.partitions)
            seen.sent[dict(one.headers)["ce_id"]] = (partition, time.monotonic())
            await sender.send(commands.topic, one.value, one.key, partition, headers=list(one.headers))
            number += 1
        await asyncio.sleep(_STEP_S)
    await sender.flush()
    seen.sending_s = time.monotonic() - started
    seen.wanted = int(seen.sending_s * PER_S)


async def _read(reader: Any, seen: Failover, killed_at: list[float]) -> None:
    while True:
        for records in (await reader.getmany(timeout_ms=500)).values():
            now = time.monotonic()
            for record in records:
                seen.answered[record.key] += 1
                partition, sent_at = seen.sent[record.key]
                if killed_at and sent_at > killed_at[0]:
                    seen.moved.setdefault(partition, now - killed_at[0])


async def _until(true: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not true() and time.monotonic() < deadline:  # noqa: ASYNC110 - what is waited for is seen by a reader's task
        await asyncio.sleep(_STEP_S)
