"""Open-loop HTTP load in a process of its own: requests leave at their times, whatever became of those before.

A request's time counts from when it was due, so one that had to wait for a free connection has waited. Prints one JSON
object. `late`: requests that this process itself sent too late; with many of them nothing was measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from typing import cast

import uvloop

from bench.ingress.load import DRAIN_S, Load, content_length, quantile

LATE_S = 0.01
"""A generator that wakes up later than this was not given the processor."""


class Connection(asyncio.Protocol):
    """One keep-alive connection; free again when its answer is in."""

    def __init__(self, load: Load, free: deque[Connection], waiting: deque[float]) -> None:
        self._load, self._free, self._waiting = load, free, waiting
        self._received = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not say so
        self._free.append(self)

    def send(self, due: float) -> None:
        self._due = due
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0 or len(received) < end + 4 + content_length(received, end):
            self._received = received
            return
        self._received = b""
        if received[9:12] == b"200":
            self._load.accepted += 1
            self._load.took.append(time.perf_counter() - self._due)
        else:
            self._load.failures.append(received[:300].decode("latin-1"))
        if self._waiting:
            self.send(self._waiting.popleft())
        else:
            self._free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.stopping:
            self._load.failures.append(f"connection lost: {exc}")


async def run(spec: dict[str, object]) -> dict[str, object]:
    load = Load.of(spec)
    per_s, seconds = float(str(spec["per_s"])), float(str(spec["seconds"]))
    free: deque[Connection] = deque()
    waiting: deque[float] = deque()
    loop = asyncio.get_running_loop()
    for _ in range(int(str(spec["connections"]))):
        await loop.create_connection(lambda: Connection(load, free, waiting), "127.0.0.1", int(str(spec["port"])))
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
