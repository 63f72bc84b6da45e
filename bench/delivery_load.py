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
    work = Work(spec["subscriptions"], int(spec["orders"]))
    per_s, count = float(spec["per_s"]), int(float(spec["per_s"]) * float(spec["seconds"]))
    (topic, *_) = places(settings, "deliveries.requests")
    sending = producer(settings, linger_ms=0)
    await sending.start()
    due_ms: dict[str, float] = {}
    late = 0
    try:
        started, epoch = time.perf_counter(), time.time()
        for number in range(count):
            due = number / per_s
            if (pause := due - (time.perf_counter() - started)) > 0:
                await asyncio.sleep(pause)
            late += time.perf_counter() - started - due > LATE_S
            at_ms = (epoch + due) * 1000
            partition, key, value, headers = work.record(number, int(at_ms), settings.partitions)
            due_ms[work.request(number, 0).id] = at_ms
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
