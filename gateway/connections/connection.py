"""One connection of a caller: where its requests begin and end, what may still come, and until when.

aiohttp parses and answers one request at a time. Bytes of the next one are held here until the present one is answered,
so each request begins at a known place: there the Admission is asked, before anything is parsed.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.connections.content_encoding import NAMED, REFUSED, in_one_spelling
from gateway.connections.framing import AMBIGUOUS, HEAD_END, body_length, can_go_on
from gateway.connections.incoming_body import IncomingBody
from gateway.connections.refusal import (
    NO_ROOM,
    STOPS,
    Refusal,
    is_probe,
    is_stream,
    malformed,
    refusal_for,
    shape_for,
)
from gateway.connections.timed_connection import BODY, DISCARD, HEAD, OVER, WHOLE, TimedConnection
from topics.http_faults import fault_of


class Connection(TimedConnection):
    __slots__ = ()

    # What comes.

    def data_received(self, data: bytes) -> None:
        stage = self._stage
        if not data:
            self._feed(data)
        elif stage == HEAD:
            if self._held:
                held = self._unhold()
                self._heads(held + data, max(0, len(held) + 1 - len(HEAD_END)))
            elif len(self._registry.slow_lane) and self._is_refused_as_known(data):
                self._unwatch()
                if self._wire is not None and not self._paused:
                    self._registry.slow_lane.enter(self, self._wire)
            else:
                self._registry.peers.busy(self)
                self._heads(data)
        elif stage == BODY:
            self._on_body(data)
        elif stage == WHOLE:
            self._hold_next(data)
        elif stage == DISCARD:
            self._on_discarded(data)
        else:
            self._left -= len(data)
            if self._left < 0:
                self._abort("unread-body")

    def slow_data_received(self, data: bytes) -> None:
        """Takes what has come on a connection of the slow lane."""
        if not self._is_refused_as_known(data):
            self.data_received(data)

    def _is_refused_as_known(self, data: bytes) -> bool:
        """Whether this was a request that is refused like others before it; then it is answered."""
        admission = self._registry.admission
        if self._stage != HEAD or self._held or self._guarded or admission is None or self._wire is None:
            return False
        refusal = admission.again(data, self)
        if refusal is None:
            return False
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._wire.write(refusal.answer)
        return True

    def _heads(self, data: bytes, searched: int = 0) -> None:
        """Takes the request that begins with `data`, and those behind it that are refused."""
        registry = self._registry
        admission = registry.admission
        while not (self._close or self._force_close):
            if not 65 <= data[0] <= 90:
                data, searched = data.lstrip(b"\r\n"), 0
                if not data:
                    self._between()
                    return
                if not 65 <= data[0] <= 90:
                    self._malformed("tls" if data.startswith(b"\x16\x03") else "method", data)
                    return
            end = data.find(HEAD_END, searched) + len(HEAD_END)
            if end < len(HEAD_END):
                self._hold_head(data)
                return
            head = data[:end]
            lowered = head.lower()
            if not lowered.startswith(b" http/1.", lowered.find(b"\r\n") - 9):
                self._malformed("http2" if head.startswith(b"PRI *") else "request-line", head)
                return
            length = body_length(lowered)
            if end > registry.limits.head_bytes_max or length == AMBIGUOUS:
                self._malformed("framing" if length == AMBIGUOUS else "too-large", head)
                return
            if self._guarded and (registry.stopping or not is_probe(head)):
                self._finish(refusal_for(head, STOPS if registry.stopping else NO_ROOM))
                return
            if NAMED in lowered:
                spelt = in_one_spelling(head, length)
                if spelt is None:
                    self.faults.note("encoding", self.peer)
                    data, searched = self._refuse(Refusal.of(shape_for(head, REFUSED)), lowered, data[end:], length), 0
                    if not data:
                        return
                    continue
                data, head, end, lowered = spelt + data[end:], spelt, len(spelt), spelt.lower()
            refusal = None if admission is None else admission.admit(head, lowered, self)
            if refusal is None:
                self._in_hand = True
                if len(registry.slow_lane):
                    registry.slow_lane.leave(self)
                self._take(data, end, length, head)
                return
            data, searched = self._refuse(refusal, lowered, data[end:], length), 0
            if not data:
                return

    def _take(self, data: bytes, end: int, length: int, head: bytes) -> None:
        """Gives a request to aiohttp, as far as it has come."""
        over = len(data) - end - length
        if length < 0 or over < 0:
            self._body = IncomingBody(length, self._loop.time(), stream=is_stream(head))
            over = self._body.excess(data[end:])
            if self._body.broken:
                self._malformed("body", head)
                return
        if over >= 0:
            self._stage, self._body = WHOLE, None
            self._unwatch()
            if over:
                self._hold_next(data[-over:])
                data = data[:-over]
        else:
            self._stage = BODY
            self._watch()
        self._feed(data, head)
        if self._guarded:
            self._ends_with_this()

    def _on_body(self, data: bytes) -> None:
        body = self._body
        over = -1 if body is None else body.excess(data)
        if over < 0:
            if body is not None and body.broken:
                self._malformed("body", b"")
            else:
                self._feed(data)
            return
        self._stage, self._body = WHOLE, None
        self._unwatch()
        self._feed(data[: len(data) - over])
        if self._stage == OVER:
            return
        if over:
            self._hold_next(data[-over:])
        if not self._in_hand:
            self._when_parsed()

    def _feed(self, data: bytes, head: bytes = b"") -> None:
        """Gives bytes to the parser: with `head` those of one request from its beginning, otherwise more of a body."""
        if self._close or self._force_close or self._parser is None:
            return
        try:
            messages, self._upgraded, _tail = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._malformed(fault_of(error, head) if head else "body", head)
            return
        if len(messages) != bool(head):
            # The parser understands the head differently: where the request ends is not known.
            self._malformed("framing", head)
            return
        if messages:
            if "#" in messages[0][0].path:
                # The parser takes what follows for no part of the path: it would be another code.
                self._malformed("target", head)
                return
            self._payload = messages[0][1]
            self._messages.append(messages[0])
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Lets a client that has closed its half read the answer."""
        self._at_end = True
        if not self._in_hand:
            return None
        if self._stage == BODY:
            self._cut(web.RequestPayloadError("the body ended early"))
        self._ends_with_this()
        return True

    # What is held.

    def _hold_head(self, data: bytes) -> None:
        """Holds the beginning of a head until the rest comes."""
        registry = self._registry
        registry.held_bytes += len(data)
        self._held = data
        self._watch()
        newline = data.find(b"\n")
        if len(data) > registry.limits.head_bytes_max:
            self._malformed("too-large", data)
        elif newline >= 0 and not data.startswith(b"\r", newline - 1):
            self._malformed("request-line", data)
        elif registry.held_bytes > registry.limits.held_heads_bytes_max:
            self._finish(refusal_for(data, NO_ROOM))

    def _hold_next(self, data: bytes) -> None:
        """Holds what comes of the next requests until the present one is answered."""
        registry = self._registry
        registry.held_bytes += len(data)
        self._held += data
        if not self._buffer_paused:
            self._pause_reading_for_buffer()
        if registry.held_bytes > registry.limits.held_heads_bytes_max:
            self._unhold()
            self._ends_with_this()

    def _between(self) -> None:
        """Begins with the next request, or comes to rest."""
        if self._held:
            self._loop.call_soon(self._go_on)
        else:
            self._rest()

    def _go_on(self) -> None:
        """Takes the next request from what was held."""
        if self._stage == HEAD and self._buffer_paused:
            data = self._unhold()
            self._resume_reading_for_buffer()
            if data:
                self._heads(data)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._held:
            self._go_on()

    def _resume_reading_if_drained(self) -> None:
        """Does not go on reading while bytes of the next request are held: `_go_on` does."""
        if not self._held:
            super()._resume_reading_if_drained()

    # Answers.

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:  # noqa: ARG002
        """Called by aiohttp when an answer has been written: the request is over. (Responder writes the access log.)"""
        self._give_back()
        if self._last:
            self._linger()
        elif self._stage == WHOLE and response.keep_alive:
            self._when_parsed()

    def _when_parsed(self) -> None:
        """Goes on behind a request that is answered, once its body is parsed to the end: the parser waits while nobody
        reads what it has found, as of a compressed body that was refused."""
        payload, self._payload = self._payload, None
        if payload is not None and not payload.is_eof():
            payload.on_eof(self._when_parsed)
        elif self._last:
            self._linger()
        elif self._stage == WHOLE:
            self._stage = HEAD
            self._between()

    def _refuse(self, refusal: Refusal, lowered: bytes, rest: bytes, length: int) -> bytes:
        """Answers a request before it is parsed. Returns what follows it in `rest`; nothing while its body comes."""
        over = len(rest) - length
        large = length < 0 or -over > self._registry.limits.discard_bytes_max
        if large or refusal.closes or self._guarded or not can_go_on(lowered):
            last = refusal.last
            self._finish(last[: last.find(HEAD_END) + len(HEAD_END)] if lowered.startswith(b"head ") else last)
            return b""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._wire is not None:
            self._wire.write(refusal.answer)
            if not self._paused:
                self._registry.slow_lane.enter(self, self._wire)
        if over < 0:
            self._stage, self._body = DISCARD, IncomingBody(-over, self._loop.time())
            self._watch(again=True)
            return b""
        self._unwatch()
        if not over:
            self._rest()
            return b""
        rest = rest[-over:]
        if self._paused:
            # The client does not read its answers, so it gets no more of them.
            self._hold_next(rest)
            return b""
        return rest

    def _on_discarded(self, data: bytes) -> None:
        over = -1 if self._body is None else self._body.excess(data)
        if over >= 0:
            self._stage, self._body = HEAD, None
            self._unwatch()
            if over:
                self._heads(data[-over:])
            else:
                self._rest()

    def _malformed(self, fault: str, head: bytes) -> None:
        """Answers what is no HTTP, and ends the connection. `head`: empty if it is the body of a request in hand."""
        self.faults.note(fault, self.peer)
        if head:
            self._give_back()
            self._finish(refusal_for(head, malformed(fault)))
        elif self._in_hand:
            self._cut(web.RequestPayloadError(fault))
        else:
            self._linger()
