"""One connection to the receiver: requests are read with httptools, answers are bytes, so that they may be wrong."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import httptools

from sluice.dev.torture.answers import Answer

if TYPE_CHECKING:
    from sluice.dev.torture.receiver import Receiver

DRIP_S = 0.5
"""Between two bytes of an answer that drips: a time-out for each read never fires, one for the whole answer does."""
BODY_BYTES_MAX = 16 << 20
"""A request beyond it is no webhook: the connection ends."""


@dataclass(slots=True)
class Request:
    """What came, as far as it came. Header names are in lower case."""

    number: int = 0
    arrived_ms: float = 0.0
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def body(self) -> bytes:
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)


class Connection(asyncio.Protocol):
    """Reads requests one after another. `receiver` decides what each is answered with, and writes it down."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
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
        self._receiver.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter
        if self._task is not None:
            self._task.cancel()
        self._end(whole=False)
        self._receiver.closed(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.reset()
        except httptools.HttpParserError:
            self._receiver.unreadable += 1
            self.reset()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # httptools

    def on_message_begin(self) -> None:
        self._request = self._receiver.begun()

    def on_url(self, url: bytes) -> None:
        self._request.target += url.decode(errors="replace")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._receiver.headers_came(self, self._request)

    def on_body(self, body: bytes) -> None:
        self._request.chunks.append(body)
        self._request.size += len(body)
        if self._request.size > BODY_BYTES_MAX:
            self.reset()

    def on_message_complete(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._receiver.came(self, self._request)

    # Answering

    def answer(self, answer: Answer, ended: Callable[[bool], None]) -> None:
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

    async def _write(self, answer: Answer) -> None:
        for chunk in answer.chunks:
            for piece in (bytes([byte]) for byte in chunk) if answer.drip else (chunk,):
                await self._writable.wait()
                if self._transport is None or self._transport.is_closing():
                    return
                self._transport.write(piece)
                if answer.drip:
                    await asyncio.sleep(DRIP_S)
        if answer.then == "hang":
            return  # until the sender goes: connection_lost ends it
        self._end(whole=answer.whole)
        if answer.then == "reset":
            self.reset()
        elif answer.then == "close" and self._transport is not None:
            self._transport.close()

    def _end(self, *, whole: bool) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(whole)
