"""Closed-loop HTTP load in a process of its own: raw sockets, keep-alive, one request at a time per connection.

The bodies are one text of the specification, or the lines of a file, in turn. Prints one JSON object: accepted posts,
seconds and latency quantiles. Only 200s count; any other answer voids the run.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

CODE = b"BENCH-ORDER-CODE"
"""Placeholder in a body; each request has a code of its own there, of the same length."""
DRAIN_S = 10.0
"""Longest wait at the end for answers that are still due."""
FAILURES_MAX = 5


@dataclass
class Load:
    """The requests of one run, and their answers."""

    templates: Sequence[bytes]
    """Whole requests."""
    prefix: str
    sent: int = 0
    accepted: int = 0
    took: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopping: bool = False

    @classmethod
    def of(cls, spec: dict[str, object]) -> Load:
        bodies = (
            Path(str(spec["bodies"])).read_bytes().splitlines() if "bodies" in spec else [str(spec["body"]).encode()]
        )
        headers = {"Host": "bench", "Content-Type": "application/json", **cast("dict[str, str]", spec["headers"])}
        head = f"{spec.get('method', 'POST')} {spec['path']} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        templates = [head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
        return cls(templates=templates, prefix=str(spec["prefix"]))

    def next_request(self) -> bytes:
        template = self.templates[self.sent % len(self.templates)]
        self.sent += 1
        code = f"{self.prefix}{self.sent:0{len(CODE) - len(self.prefix)}d}".encode()
        return template.replace(CODE, code, 1)


class LoadConnection(asyncio.Protocol):
    """One keep-alive connection with one request at a time; `on_free` is called when it may send."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._since = 0.0

    def on_free(self) -> None:
        raise NotImplementedError

    def send(self, since: float) -> None:
        """Send the next request; its time counts from `since`."""
        self._since = since
        self._transport.write(self._load.next_request())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not say so
        self.on_free()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        if end < 0 or len(received) < end + 4 + content_length(received, end):
            self._received = received
            return
        self._received = b""
        load = self._load
        if received[9:12] == b"200":
            load.accepted += 1
            load.took.append(time.perf_counter() - self._since)
        else:
            load.failures.append(received[:300].decode("latin-1"))
        self.on_free()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.stopping and not self._load.failures:
            self._load.failures.append(f"connection lost: {exc}")


class ClosedLoopConnection(LoadConnection):
    """Sends its next request as soon as the one before is answered."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self.idle = asyncio.get_running_loop().create_future()

    def on_free(self) -> None:
        if self._load.stopping or len(self._load.failures) >= FAILURES_MAX:
            self._transport.close()
        else:
            self.send(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.idle.done():
            self.idle.set_result(None)


def content_length(received: bytes, end: int) -> int:
    start = received.find(b"Content-Length: ", 0, end)
    return 0 if start < 0 else int(received[start + 16 : received.find(b"\r", start)])


async def run(spec: dict[str, object]) -> dict[str, object]:
    load = Load.of(spec)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    connections = [
        (await loop.create_connection(lambda: ClosedLoopConnection(load), "127.0.0.1", int(str(spec["port"]))))[1]
        for _ in range(int(str(spec["connections"])))
    ]
    await asyncio.sleep(float(str(spec["seconds"])))
    accepted, seconds = load.accepted, time.perf_counter() - started
    load.stopping = True
    await asyncio.wait([connection.idle for connection in connections], timeout=DRAIN_S)
    took = sorted(load.took)
    return {
        "accepted": accepted,
        "accepted_in_all": load.accepted,
        "seconds": seconds,
        "failures": load.failures,
        "p50_ms": quantile(took, 0.5),
        "p99_ms": quantile(took, 0.99),
    }


def quantile(took: list[float], share: float) -> float:
    return round(took[int(len(took) * share)] * 1_000, 3) if took else 0.0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
