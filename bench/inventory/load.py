"""Batches of stock, produced to inventory.updates in a process of its own, each when it is due. Prints one JSON object.

`steady`: positions after the warm-up; `due_ms`: when each of their SKUs went out of stock. `late`: batches that this
process itself wrote too late; with many of them nothing was measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from bench.delivery.job import producer
from bench.delivery.load import LATE_S, WARM_UP_S, due_s
from bench.inventory.job import StockWork
from bench.processes import places
from topics.configuration.settings import load_settings


async def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Produce the day's batches at `per_s` batches a second, after a warm-up; without it, the shelf, at full speed."""
    settings = load_settings(kafka=spec["kafka"], topic_prefix=spec["prefix"])
    work, per_s = StockWork.of(spec["work"]), spec.get("per_s")
    batches = list(work.day() if per_s else work.shelf())
    now_ms = time.time_ns() // 1_000_000
    # Made in advance, so that making them takes no processor time from the role that is measured.
    records = [batch.record(number, now_ms, settings.partitions) for number, batch in enumerate(batches)]
    (topic, *_) = places(settings, "inventory.updates")
    sending = producer(settings)
    await sending.start()
    late, steady, due_ms = 0, 0, {}
    begun_s = WARM_UP_S if per_s else 0.0
    try:
        started, epoch = time.perf_counter(), time.time()
        for number, (partition, key, value, headers) in enumerate(records):
            due = due_s(number, per_s) if per_s else 0.0
            if (pause := due - (time.perf_counter() - started)) > 0:
                await asyncio.sleep(pause)
            late += time.perf_counter() - started - due > LATE_S
            at_ms = (epoch + due) * 1000
            await sending.send(
                topic.topic, value, key=key, partition=partition, headers=list(headers), timestamp_ms=int(at_ms)
            )
            if due >= begun_s:
                steady += len(batches[number].quantities)
                if (gone := batches[number].gone) is not None:
                    due_ms[gone] = at_ms
        seconds = time.perf_counter() - started - begun_s
        await sending.flush()
    finally:
        await sending.stop()
    return {
        "offered": len(records),
        "steady": steady,
        "seconds": seconds,
        "late": late if per_s else 0,
        "due_ms": due_ms,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
