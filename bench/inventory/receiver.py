"""A channel that takes stock, in a process of its own: it knows what it was told last, and whether that ever went back.

As little as that takes, so that what it costs hardly counts beside its sender. `/_` paths are for the benchmark.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import uvloop

from bench.delivery.receiver import OK, content_length
from bench.inventory.job import GONE


@dataclass(slots=True)
class Told:
    """`stock`: location -> SKU -> its item as it came last. `gone`: when each SKU was first told to be out of stock."""

    requests: int = 0
    positions: int = 0
    backwards: int = 0
    stock: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)

    def take(self, body: bytes, now_ms: float) -> None:
        call = orjson.loads(body)
        known = self.stock.setdefault(call["locationCode"], {})
        self.requests += 1
        self.positions += len(call["inventories"])
        for item in call["inventories"]:
            sku, quantity = item["channelSkuCode"], item["quantity"]
            before = known.get(sku)
            if sku.startswith(GONE):
                self.backwards += before is not None and before["quantity"] < quantity
                if not quantity:
                    self.gone.setdefault(sku, now_ms)
            elif before is not None:
                self.backwards += before["quantity"] > quantity
            known[sku] = item

    def count_anew(self) -> None:
        """What was told stays."""
        self.requests = self.positions = self.backwards = 0
        self.gone = {}


@dataclass(slots=True)
class Server:
    told: Told = field(default_factory=Told)
    latency_s: float = 0.0

    def ask(self, path: bytes) -> bytes:
        """What the benchmark asks."""
        what, _, argument = path.decode().partition("?")
        answer: Any = {}
        if what == "/_begin":
            self.told, self.latency_s = Told(), float(argument) / 1000
        elif what == "/_anew":
            self.told.count_anew()
        elif what == "/_stock":
            answer = self.told.stock
        elif what == "/_gone":
            answer = self.told.gone
        else:
            told = self.told
            answer = {"requests": told.requests, "positions": told.positions, "backwards": told.backwards}
        body = orjson.dumps(answer)
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
        path = received[received.find(b" ") + 1 : received.find(b" HTTP/")]
        if path.startswith(b"/_"):
            self._transport.write(self._server.ask(path))
            return
        self._server.told.take(received[end + 4 :], time.time() * 1000)
        if self._server.latency_s:
            self._loop.call_later(self._server.latency_s, self._answer)
        else:
            self._transport.write(OK)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(OK)


async def run(port: int) -> None:
    server = Server()
    await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1])))
