"""One connection to the receiver: requests are read with httptools; answers are raw bytes, so they may be wrong."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from sluice.dev.torture.answers import RawAnswer
from sluice.dev.torture.request import Request

DRIP_S = 0.5
"""Pause between two bytes of a dripping answer: a time-out for each read never fires, one for the whole does."""
BODY_BYTES_MAX = 16 << 20
"""A larger request is no webhook: the connection is reset."""


class Listener(Protocol):
    """Told what happens on each connection; decides the answers."""

    def on_opened(self, connection: Connection) -> None: ...

    def on_closed(self, connection: Connection) -> None: ...

    def on_begin(self) -> Request:
        """Return the record of a request whose first byte has arrived."""

    def on_headers(self, connection: Connection, request: Request) -> None: ...

    def on_request(self, connection: Connection, request: Request) -> None:
        """Answer a whole request with `connection.answer`."""


class Connection(asyncio.Protocol):
    """Reads requests one after another, and writes the answers that its listener gives."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._transport: asyncio.Transport | None = None
        self._ended: Callable[[bool], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._listener.on_opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter
        if self._task is not None:
            self._task.cancel()
        self._end(whole=False)
        self._listener.on_closed(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            self.reset()  # the peer sent something that is no HTTP

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # httptools

    def on_message_begin(self) -> None:
        self._request = self._listener.on_begin()

    def on_url(self, url: bytes) -> None:
        self._request.target += url.decode(errors="replace")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._listener.on_headers(self, self._request)

    def on_body(self, body: bytes) -> None:
        self._request.chunks.append(body)
        self._request.size += len(body)
        if self._request.size > BODY_BYTES_MAX:
            self.reset()

    def on_message_complete(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._listener.on_request(self, self._request)

    # Answering

    def answer(self, answer: RawAnswer, ended: Callable[[bool], None]) -> None:
        """Write an answer; `ended` is called once, with whether it left whole."""
        self._ended = ended
        if answer.then == "kept" and len(answer.chunks) == 1 and self._transport is not None:
            self._transport.write(answer.chunks[0])
            self._end(whole=answer.whole)
            return
        self._task = asyncio.get_running_loop().create_task(self._write(answer))

    def reset(self) -> None:
        """End the connection with a reset, as a crashed peer would."""
        if self._transport is None:
            return
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def _write(self, answer: RawAnswer) -> None:
        for chunk in answer.chunks:
            for piece in (bytes([byte]) for byte in chunk) if answer.drip else (chunk,):
                await self._writable.wait()
                if self._transport is None or self._transport.is_closing():
                    return
                self._transport.write(piece)
                if answer.drip:
                    await asyncio.sleep(DRIP_S)
        if answer.then == "hang":
            return  # connection_lost ends the answer when the sender gives up
        self._end(whole=answer.whole)
        if answer.then == "reset":
            self.reset()
        elif answer.then == "close" and self._transport is not None:
            self._transport.close()

    def _end(self, *, whole: bool) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(whole)
