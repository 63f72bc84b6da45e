"""The receiver of the delivery benchmarks, in a process of its own: it answers, counts, and checks the order of lanes.

As little as that takes, so that what it costs hardly counts beside its senders. A path begins with how it behaves:
`/well`, `/hang` (no answer), `/reset`, `/throttle` (429, with a Retry-After). `/_` paths are for the benchmark.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
THROTTLED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
ID, SEQUENCE, ORDER = b"\r\nwebhook-id: ", b"\r\nsluice-sequence: ", b'"order":"'
BACKLOG = 2_048
"""Connections that may come at once: each of a thousand keys may be in the air."""


@dataclass(slots=True)
class Seen:
    """What came since the benchmark last asked to forget."""

    requests: int = 0
    inversions: int = 0
    first: dict[bytes, float] = field(default_factory=dict)
    """Delivery id -> when it came first, epoch milliseconds."""
    last: dict[bytes, int] = field(default_factory=dict)
    """Path and order -> the sequence that came last."""
    sample: bytes = b""
    latency_s: float = 0.0

    def take(self, head: bytes, body: bytes, path: bytes) -> None:
        self.requests += 1
        name = _after(head, ID, b"\r")
        if not name:
            return  # the bare loop's
        self.first.setdefault(name, time.time() * 1000)
        order = path + _after(body, ORDER, b'"')
        sequence = int(_after(head, SEQUENCE, b"\r") or 0)
        self.inversions += sequence < self.last.get(order, 0)
        self.last[order] = sequence
        if not self.sample:
            self.sample = head + b"\r\n\r\n" + body


class Server:
    def __init__(self) -> None:
        self.seen = Seen()

    def ask(self, path: bytes) -> bytes:
        """What the benchmark asks."""
        what, _, argument = path.decode().partition("?")
        told: dict[str, Any] = {}
        if what == "/_begin":
            self.seen = Seen(latency_s=float(argument) / 1000)
        elif what == "/_arrivals":
            told = {name.decode(): at_ms for name, at_ms in self.seen.first.items()}
        else:
            seen = self.seen
            told = {
                "requests": seen.requests,
                "deliveries": len(seen.first),
                "inversions": seen.inversions,
                "sample": seen.sample.decode("latin-1"),
            }
        body = json.dumps(told).encode()
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not say so

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        if end < 0 or len(received) < end + 4 + content_length(received[:end]):
            self._received = received
            return
        self._received = b""
        head, body = received[:end], received[end + 4 :]
        path = head[head.find(b" ") + 1 : head.find(b" HTTP/")]
        if path.startswith(b"/_"):
            self._transport.write(self._server.ask(path))
            return
        seen = self._server.seen
        seen.take(head, body, path)
        if path.startswith(b"/well"):
            if seen.latency_s:
                self._loop.call_later(seen.latency_s, self._answer, OK)
            else:
                self._transport.write(OK)
        elif path.startswith(b"/throttle"):
            self._transport.write(THROTTLED)
        elif path.startswith(b"/reset"):
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


def content_length(head: bytes) -> int:
    return int(_after(head.lower(), b"\r\ncontent-length: ", b"\r") or 0)


def _after(text: bytes, name: bytes, end: bytes) -> bytes:
    start = text.find(name)
    if start < 0:
        return b""
    start += len(name)
    stop = text.find(end, start)
    return text[start:] if stop < 0 else text[start:stop]


async def run(port: int) -> None:
    server = Server()
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Connection(server), "127.0.0.1", port, backlog=BACKLOG)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1])))
