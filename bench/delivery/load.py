"""Delivery requests at a steady rate, in a process of its own: each is written when it is due. Prints one JSON object.

`late`: requests that this process itself wrote too late; with many of them nothing was measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from bench.delivery.job import DeliveryWork, producer
from bench.processes import places
from topics.configuration.settings import load_settings

LATE_S = 0.02
"""A generator that wakes up later than this did not get the processor in time."""
WARM_UP_S = 3.0
WARM_UP_SHARE = 0.25
"""Share of the rate during the warm-up, in which connections are opened and the code runs first."""


def due_s(number: int, per_s: float) -> float:
    """Return when a request is due, in seconds from the start. Requests of the warm-up come first."""
    early = int(WARM_UP_SHARE * per_s * WARM_UP_S)
    return number / (WARM_UP_SHARE * per_s) if number < early else WARM_UP_S + (number - early) / per_s


def offered(per_s: float, seconds: float) -> int:
    """Return how many requests are due in these seconds and the warm-up before."""
    return int(per_s * (WARM_UP_SHARE * WARM_UP_S + seconds))


async def run(spec: dict[str, Any]) -> dict[str, Any]:
    settings = load_settings(kafka=spec["kafka"], topic_prefix=spec["prefix"])
    per_s = float(spec["per_s"])
    count = offered(per_s, float(spec["seconds"]))
    work, now_ms = DeliveryWork(spec["subscriptions"], int(spec["orders"])), time.time_ns() // 1_000_000
    # Made in advance, so that making them takes no processor time from the role that is measured.
    records = [work.record(number, now_ms, settings.partitions) for number in range(count)]
    (topic, *_) = places(settings, "deliveries.requests")
    sending = producer(settings)
    await sending.start()
    late = 0
    try:
        started, epoch = time.perf_counter(), time.time()
        for number, (partition, key, value, headers) in enumerate(records):
            due = due_s(number, per_s)
            if (pause := due - (time.perf_counter() - started)) > 0:
                await asyncio.sleep(pause)
            late += time.perf_counter() - started - due > LATE_S
            at_ms = (epoch + due) * 1000
            await sending.send(
                topic.topic, value, key=key, partition=partition, headers=list(headers), timestamp_ms=int(at_ms)
            )
        seconds = time.perf_counter() - started - WARM_UP_S
        await sending.flush()
    finally:
        await sending.stop()
    return {
        "offered": count,
        "steady": int(per_s * float(spec["seconds"])),
        "per_s": per_s,
        "seconds": seconds,
        "late": late,
        "began_ms": epoch * 1000,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
