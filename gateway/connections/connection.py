"""One connection of a caller: where its requests begin and end, what may still come, and until when.

aiohttp parses and answers one request at a time. Bytes of the next one are held here until the present one is answered,
so each request begins at a known place: there the Admission is asked, before anything is parsed.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from gateway.connections.framing import HEAD_END, ChunkedBody, body_length, keeps_alive
from gateway.connections.refusal import Refusal
from gateway.connections.registry import Registry

HEAD: Final = 0
"""Between two requests, or in a head."""
BODY: Final = 1
"""In a body."""
WHOLE: Final = 2
"""All of a request has come, and its answer has not left."""
DISCARD: Final = 3
"""In the body of a request that was refused."""
OVER: Final = 4
"""The last answer has left. What still comes is thrown away, so that the client can read the answer."""


class Connection(RequestHandler):
    __slots__ = ("_chunks", "_held", "_in_hand", "_last", "_left", "_registry", "_stage", "_wire", "peer", "ticket")

    def __init__(self, server: Server, registry: Registry, **options: Any) -> None:
        super().__init__(server, **options)
        self._registry = registry
        self._stage: int = HEAD
        self._held = b""
        """The beginning of a head; in WHOLE, what has come of the next requests."""
        self._left = 0
        """Bytes of the body that have not come; in OVER, bytes that may still be thrown away."""
        self._chunks: ChunkedBody | None = None
        self._in_hand = False
        """Whether an admitted request is not answered yet."""
        self._last = False
        """Whether the connection ends with the answer of the present request."""
        self._wire: asyncio.Transport | None = None
        self.peer = ""
        """The address of the other side."""
        self.ticket: object = None
        """Notes of the Admission about the present request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = transport  # type: ignore[assignment]
        address = transport.get_extra_info("peername")
        self.peer = address[0] if isinstance(address, tuple) else ""
        super().connection_made(transport)

    # What comes.

    def data_received(self, data: bytes) -> None:
        stage = self._stage
        if not data:
            self._feed(data)
        elif stage == HEAD:
            if self._held:
                held, self._held = self._held, b""
                self._heads(held + data, max(0, len(held) + 1 - len(HEAD_END)))
            else:
                self._heads(data)
        elif stage == BODY:
            self._on_body(data)
        elif stage == WHOLE:
            self._hold_next(data)
        elif stage == DISCARD:
            self._on_discarded(data)
        else:
            self._left -= len(data)
            if self._left < 0 and self._wire is not None:
                self._wire.abort()

    def _heads(self, data: bytes, searched: int = 0) -> None:
        """Takes the request that begins with `data`, and those behind it that are refused."""
        admission = self._registry.admission
        while not (self._close or self._force_close):
            if not 65 <= data[0] <= 90:
                data, searched = data.lstrip(b"\r\n"), 0
                if not data:
                    return
            end = data.find(HEAD_END, searched) + len(HEAD_END)
            if end < len(HEAD_END):
                self._held = data
                return
            head = data[:end]
            lowered = head.lower()
            length = body_length(lowered)
            refusal = None if admission is None else admission.admit(head, lowered, self)
            if refusal is not None:
                data, searched = self._refuse(refusal, lowered, data[end:], length), 0
                if not data:
                    return
                continue
            self._in_hand = True
            self._take(data, end, length)
            return

    def _take(self, data: bytes, end: int, length: int) -> None:
        """Gives a request to aiohttp, as far as it has come."""
        if length >= 0:
            over = len(data) - end - length
        else:
            self._chunks = ChunkedBody()
            stop = self._chunks.end(data, end)
            over = len(data) - stop if stop >= 0 else -1
        if over >= 0:
            self._stage = WHOLE
            if over:
                self._hold_next(data[-over:])
                data = data[:-over]
        else:
            self._stage, self._left = BODY, -over
        self._feed(data)

    def _on_body(self, data: bytes) -> None:
        if self._chunks is not None:
            stop = self._chunks.end(data)
            over = len(data) - stop if stop >= 0 else -1
        else:
            over = len(data) - self._left
            self._left = -over
        if over < 0:
            self._feed(data)
            return
        self._chunks = None
        self._stage = WHOLE if self._in_hand else HEAD
        if not over:
            self._feed(data)
            return
        self._feed(data[:-over])
        self._hold_next(data[-over:])
        if self._stage == HEAD:
            self._loop.call_soon(self._go_on)

    def _hold_next(self, data: bytes) -> None:
        """Holds what comes of the next requests until the present one is answered."""
        self._held += data
        if not self._buffer_paused:
            self._pause_reading_for_buffer()

    def _go_on(self) -> None:
        """Takes the next request from what was held."""
        if self._stage != HEAD or not self._buffer_paused:
            return
        data, self._held = self._held, b""
        self._resume_reading_for_buffer()
        if data:
            self._heads(data)

    def _feed(self, data: bytes) -> None:
        if self._close or self._force_close or self._parser is None:
            return
        messages, upgraded, _tail = self._parser.feed_data(data)
        self._upgraded = upgraded
        if messages:
            self._messages.extend(messages)
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _resume_reading_if_drained(self) -> None:
        """Does not go on reading while bytes of the next request are held: `_go_on` does."""
        if not self._held:
            super()._resume_reading_if_drained()

    # Answers.

    def _refuse(self, refusal: Refusal, lowered: bytes, rest: bytes, length: int) -> bytes:
        """Answers a request before it is parsed. Returns what follows it in `rest`; nothing while its body comes."""
        over = len(rest) - length
        large = length < 0 or -over > self._registry.limits.discard_bytes_max
        if large or b"\r\nexpect:" in lowered or not keeps_alive(lowered):
            self._finish(refusal.last)
            return b""
        if self._wire is not None:
            self._wire.write(refusal.answer)
        if over < 0:
            self._stage, self._left = DISCARD, -over
            return b""
        rest = rest[len(rest) - over :]
        if rest and self._paused:
            # The client does not read its answers, so it gets no more of them.
            self._hold_next(rest)
            return b""
        return rest

    def _on_discarded(self, data: bytes) -> None:
        over = len(data) - self._left
        self._left = -over
        if over >= 0:
            self._stage = HEAD
            if over:
                self._heads(data[-over:])

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._held:
            self._go_on()

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:  # noqa: ARG002
        """Called by aiohttp when an answer has been written: the request is over. (Responder writes the access log.)"""
        self._give_back()
        if self._last:
            self._linger()
        elif self._stage == WHOLE:
            self._stage = HEAD
            if self._held:
                self._loop.call_soon(self._go_on)

    def _give_back(self) -> None:
        if self._in_hand:
            self._in_hand = False
            if self._registry.admission is not None:
                self._registry.admission.ended(self)

    def _finish(self, answer: bytes) -> None:
        """Writes the last answer of this connection."""
        if self._wire is not None:
            self._wire.write(answer)
        self._linger()

    def _linger(self) -> None:
        """Ends this connection in the way that lets the client read the last answer."""
        self._stage, self._left, self._held = OVER, self._registry.limits.linger_bytes_max, b""
        self.close()
        self.transport = None  # aiohttp closes it no more
        if self._wire is not None and not self._wire.is_closing():
            self._wire.write_eof()
            self._wire.resume_reading()

    async def start(self) -> None:
        try:
            await super().start()
        finally:
            self._give_back()
