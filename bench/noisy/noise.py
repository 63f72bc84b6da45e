"""The noisy channel, in a process of its own: the same large body again and again on a few connections, closed loop.

Every answer is counted by its status, and the next request follows at once, whatever it says. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import cast

import uvloop

from bench.ingress.load import Load, content_length, quantile
from bench.noisy import bodies


class NoisyConnection(asyncio.Protocol):
    """One keep-alive connection, made anew when it is closed."""

    def __init__(self, load: Load, statuses: Counter[str], gone: asyncio.Event) -> None:
        self._load = load
        self._statuses = statuses
        self._gone = gone
        self._received = b""
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._since = time.perf_counter()
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0 or len(received) < end + 4 + content_length(received, end):
            return
        self._received = b""
        self._statuses[received[9:12].decode("latin-1")] += 1
        self._load.took.append(time.perf_counter() - self._since)
        if self._load.stopping or b"\r\nconnection: close" in received[:end].lower():
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._gone.set()


async def _keep_sending(load: Load, statuses: Counter[str], port: int) -> None:
    while not load.stopping:
        gone = asyncio.Event()
        await asyncio.get_running_loop().create_connection(
            lambda gone=gone: NoisyConnection(load, statuses, gone),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        await gone.wait()


async def run(spec: dict[str, object]) -> dict[str, object]:
    body = getattr(bodies, str(spec["kind"]))()
    load, statuses = Load.of({**spec, "body": body.decode()}), Counter[str]()
    started = time.perf_counter()
    tasks = [
        asyncio.create_task(_keep_sending(load, statuses, int(str(spec["port"]))))
        for _ in range(int(str(spec["connections"])))
    ]
    await asyncio.sleep(float(str(spec["seconds"])))
    load.stopping = True
    took_s = time.perf_counter() - started
    for task in tasks:
        task.cancel()
    took = sorted(load.took)
    return {
        "bytes": len(body),
        "answers": dict(statuses),
        "achieved_per_s": round(sum(statuses.values()) / took_s, 1),
        "p50_ms": quantile(took, 0.5),
        "p99_ms": quantile(took, 0.99),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
