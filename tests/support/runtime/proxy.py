"""A network between one worker and Kafka that can be cut: connections stay open, what is under way arrives later."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import conn

from sluice.dev.local.broker import HOST

_READ_BYTES = 1 << 16


class Proxy:
    """Forwards to the broker at `port`; after `cut` nothing passes, after `heal` all of it does, in order."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> Proxy:
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    def cut(self) -> None:
        self._whole.clear()

    def heal(self) -> None:
        self._whole.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.close()  # the broker is not there, which is what the worker sees then
            return
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(_READ_BYTES):
                await self._whole.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass  # one side is gone; so is the other then
        finally:
            sink.close()


def go_through(port: int) -> None:
    """From here on aiokafka in this process connects to a proxy at `port`, whatever address a broker tells."""
    made = conn.AIOKafkaConnection.__init__

    def through(self: Any, host: str, _port: int, **options: Any) -> None:
        made(self, host, port, **options)

    conn.AIOKafkaConnection.__init__ = through
