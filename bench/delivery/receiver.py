"""The receiver of the delivery benchmarks, in a process of its own: it answers, counts, and checks the order of lanes.

It does as little as that takes, so that it costs hardly anything beside its senders. A path begins with how the
receiver behaves: `/well`, `/hang` (no answer), `/reset`, `/throttle` (429, with a Retry-After). Paths that begin with
`/_` are questions of the benchmark. `ReceiverConnection` and `serve` are for other receivers, too.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
THROTTLED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
RESET = b"reset"
"""Instead of an answer: end the connection with a reset."""
ID, SEQUENCE, ORDER = b"\r\nwebhook-id: ", b"\r\nsluice-sequence: ", b'"order":"'
BACKLOG = 2_048
"""Connections that may be opened at once: each of a thousand keys may have a request in flight."""


class Site(Protocol):
    """A receiver behind its connections."""

    latency_s: float
    """Pause before each OK."""

    def ask(self, what: str, argument: str) -> bytes:
        """Return the answer to a question of the benchmark, as JSON."""

    def on_request(self, head: bytes, body: bytes, path: bytes) -> bytes:
        """Return the answer to a request: OK, THROTTLED, RESET, or nothing for none."""


class ReceiverConnection(asyncio.Protocol):
    def __init__(self, site: Site) -> None:
        self._site = site
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
            self._transport.write(self._ask(path))
            return
        answer = self._site.on_request(head, body, path)
        if answer is OK and self._site.latency_s:
            self._loop.call_later(self._site.latency_s, self._write, OK)
        elif answer is RESET:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        elif answer:
            self._transport.write(answer)

    def _ask(self, path: bytes) -> bytes:
        what, _, argument = path.decode().partition("?")
        body = self._site.ask(what, argument)
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def _write(self, answer: bytes) -> None:
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


async def serve(site: Site, port: int) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: ReceiverConnection(site), "127.0.0.1", port, backlog=BACKLOG)
    await asyncio.Event().wait()


@dataclass(slots=True)
class Seen:
    """The requests that arrived since the benchmark last said `_begin`."""

    requests: int = 0
    inversions: int = 0
    first: dict[bytes, float] = field(default_factory=dict)
    """Delivery id -> when it first arrived, epoch milliseconds."""
    last: dict[bytes, int] = field(default_factory=dict)
    """Path and order -> the sequence that arrived last."""
    sample: bytes = b""

    def count(self, head: bytes, body: bytes, path: bytes) -> None:
        self.requests += 1
        name = _after(head, ID, b"\r")
        if not name:
            return  # from the bare loop
        self.first.setdefault(name, time.time() * 1000)
        order = path + _after(body, ORDER, b'"')
        sequence = int(_after(head, SEQUENCE, b"\r") or 0)
        self.inversions += sequence < self.last.get(order, 0)
        self.last[order] = sequence
        if not self.sample:
            self.sample = head + b"\r\n\r\n" + body


@dataclass(slots=True)
class DeliverySite:
    seen: Seen = field(default_factory=Seen)
    latency_s: float = 0.0

    def ask(self, what: str, argument: str) -> bytes:
        seen = self.seen
        answer: dict[str, Any] = {}
        if what == "/_begin":
            self.seen, self.latency_s = Seen(), float(argument) / 1000
        elif what == "/_arrivals":
            answer = {name.decode(): at_ms for name, at_ms in seen.first.items()}
        else:
            answer = {
                "requests": seen.requests,
                "deliveries": len(seen.first),
                "inversions": seen.inversions,
                "sample": seen.sample.decode("latin-1"),
            }
        return json.dumps(answer).encode()

    def on_request(self, head: bytes, body: bytes, path: bytes) -> bytes:
        self.seen.count(head, body, path)
        if path.startswith(b"/well"):
            return OK
        if path.startswith(b"/throttle"):
            return THROTTLED
        return RESET if path.startswith(b"/reset") else b""


if __name__ == "__main__":
    uvloop.run(serve(DeliverySite(), int(sys.argv[1])))
