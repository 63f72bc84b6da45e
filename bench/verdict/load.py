"""Open-loop HTTP load in a process of its own: each request leaves when it is due, answered or not the ones before.

A request's time counts from when it was due, so one that had to wait for a free connection has waited. Prints one JSON
object. `late`: requests that this process itself sent too late; with many of them nothing was measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque

import uvloop

from bench.ingress.load import DRAIN_S, Load, LoadConnection, quantile

LATE_S = 0.01
"""A generator that wakes up later than this did not get the processor in time."""


class OpenLoopConnection(LoadConnection):
    """Sends the request that has waited longest, or joins the free connections."""

    def __init__(self, load: Load, free: deque[OpenLoopConnection], waiting: deque[float]) -> None:
        super().__init__(load)
        self._free, self._waiting = free, waiting

    def on_free(self) -> None:
        if self._waiting:
            self.send(self._waiting.popleft())
        else:
            self._free.append(self)


async def run(spec: dict[str, object]) -> dict[str, object]:
    load = Load.of(spec)
    per_s, seconds = float(str(spec["per_s"])), float(str(spec["seconds"]))
    free: deque[OpenLoopConnection] = deque()
    waiting: deque[float] = deque()
    loop = asyncio.get_running_loop()
    for _ in range(int(str(spec["connections"]))):
        await loop.create_connection(
            lambda: OpenLoopConnection(load, free, waiting), "127.0.0.1", int(str(spec["port"]))
        )
    late = 0
    started = time.perf_counter()
    for number in range(int(per_s * seconds)):
        due = started + number / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        late += time.perf_counter() - due > LATE_S
        if free:
            free.popleft().send(due)
        else:
            waiting.append(due)
    sent_s = time.perf_counter() - started
    deadline = time.perf_counter() + DRAIN_S
    while load.accepted + len(load.failures) < int(per_s * seconds) and time.perf_counter() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    load.stopping = True
    took = sorted(load.took)
    return {
        "offered": int(per_s * seconds),
        "accepted": load.accepted,
        "seconds": sent_s,
        "late": late,
        "failures": load.failures[:5],
        "p50_ms": quantile(took, 0.5),
        "p99_ms": quantile(took, 0.99),
        "max_ms": quantile(took, 1 - 1 / max(1, len(took))),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
