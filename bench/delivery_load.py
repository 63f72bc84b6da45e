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

from bench.delivery_job import Work, producer
from bench.processes import places
from topics.configuration import load_settings

LATE_S = 0.02
"""A generator that wakes up later than this was not given the processor."""


async def run(spec: dict[str, Any]) -> dict[str, Any]:
    settings = load_settings(kafka=spec["kafka"], topic_prefix=spec["prefix"])
    per_s, count = float(spec["per_s"]), int(float(spec["per_s"]) * float(spec["seconds"]))
    work, now_ms = Work(spec["subscriptions"], int(spec["orders"])), time.time_ns() // 1_000_000
    # Made before: what making them costs is not to be taken from whom it is measured beside.
    ids = [work.request(number, now_ms).id for number in range(count)]
    records = [work.record(number, now_ms, settings.partitions) for number in range(count)]
    (topic, *_) = places(settings, "deliveries.requests")
    sending = producer(settings)
    await sending.start()
    due_ms: dict[str, float] = {}
    late = 0
    try:
        started, epoch = time.perf_counter(), time.time()
        for number, (partition, key, value, headers) in enumerate(records):
            due = number / per_s
            if (pause := due - (time.perf_counter() - started)) > 0:
                await asyncio.sleep(pause)
            late += time.perf_counter() - started - due > LATE_S
            at_ms = (epoch + due) * 1000
            due_ms[ids[number]] = at_ms
            await sending.send(
                topic.topic, value, key=key, partition=partition, headers=list(headers), timestamp_ms=int(at_ms)
            )
        seconds = time.perf_counter() - started
        await sending.flush()
    finally:
        await sending.stop()
    return {"offered": count, "seconds": seconds, "late": late, "due_ms": due_ms}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
