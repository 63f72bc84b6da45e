"""The life of a connection: it is counted, its waits have deadlines, and it ends so that its last answer is read."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from aiohttp import StreamReader
from aiohttp.web_server import Server

from gateway.connections.incoming_body import IncomingBody
from gateway.connections.refusal import NO_ROOM_ANSWER, STOPS, refusal_for, too_late
from gateway.connections.registry import Registry
from topics.configuration.networks import peer_of
from topics.http_faults import QuietHandler

HEAD: Final = 0
"""Between two requests, or in a head."""
BODY: Final = 1
"""In a body."""
WHOLE: Final = 2
"""All of a request has come, and its answer has not left."""
DISCARD: Final = 3
"""In the body of a request that was refused."""
OVER: Final = 4
"""No more is taken: the last answer leaves or has left. What still comes is thrown away, so that the client can read
the answer."""


class TimedConnection(QuietHandler):
    __slots__ = (
        "_at_end",
        "_blocked_since",
        "_body",
        "_counted",
        "_guarded",
        "_held",
        "_in_hand",
        "_last",
        "_left",
        "_payload",
        "_registry",
        "_since",
        "_stage",
        "_was_closing",
        "_wire",
        "made",
        "peer",
        "ticket",
    )

    def __init__(self, manager: Server, registry: Registry, **options: Any) -> None:
        super().__init__(manager, registry.faults, **options)
        self._registry = registry
        self._stage: int = HEAD
        self._held = b""
        """The beginning of a head; in WHOLE, what has come of the next requests."""
        self._body: IncomingBody | None = None
        self._payload: StreamReader | None = None
        """The body of the present request as its handler reads it."""
        self._left = 0
        """Bytes that may still be thrown away, in OVER."""
        self._in_hand = False
        """Whether an admitted request is not answered yet."""
        self._last = False
        """Whether the connection ends with the answer of the present request."""
        self._at_end = False
        """Whether the client said that it sends no more."""
        self._guarded = False
        """Whether a request is looked at before it is admitted: the connection is surplus, or the server stops."""
        self._since = 0.0
        """The beginning of the wait that is watched."""
        self._blocked_since: float | None = None
        """The time since when the client does not read."""
        self._was_closing = False
        self._counted = False
        """Whether this is one of the connections that are counted, as surplus ones are not."""
        self._wire: asyncio.Transport | None = None
        self.peer = ""
        self.made = time.perf_counter()
        """When it was accepted."""
        self.ticket: object = None
        """Notes of the Admission about the present request."""

    # From the accepted socket to the closed one.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        registry = self._registry
        self._wire = transport  # type: ignore[assignment]
        address = transport.get_extra_info("peername")
        self.peer = peer_of(str(address[0])) if isinstance(address, tuple) else ""
        why = registry.peers.enter(self)
        if why is None:
            self._counted = True
            registry.peers.rest(self)
        else:
            registry.ended[f"too-many-{why}"] += 1
            if registry.stopping or len(registry.surplus) >= registry.limits.surplus_max:
                self._stage = OVER
                transport.write(NO_ROOM_ANSWER)  # type: ignore[attr-defined]
                transport.close()
                return
            registry.surplus[self] = None
            self._guarded = True
        registry.open[self] = None
        self._watch()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._leave()
        self._unhold()
        registry = self._registry
        registry.slow_lane.leave(self)
        for known in (registry.open, registry.watched, registry.surplus):
            known.pop(self, None)
        super().connection_lost(exc)

    def _leave(self) -> None:
        """Ends the counting of this connection."""
        if self._counted:
            self._counted = False
            self._registry.peers.leave(self)

    def _rest(self) -> None:
        """Waits for the next request."""
        if self._counted:
            self._registry.peers.rest(self)

    async def start(self) -> None:
        try:
            await super().start()
        finally:
            self._give_back()

    # The last answer.

    def _unhold(self) -> bytes:
        data, self._held = self._held, b""
        self._registry.held_bytes -= len(data)
        return data

    def _give_back(self) -> None:
        if self._in_hand:
            self._in_hand = False
            if self._registry.admission is not None:
                self._registry.admission.ended(self)

    def _cut(self, error: Exception) -> None:
        """Ends the body that comes; its handler meets `error`, and its answer is the last."""
        payload = self._payload
        self._stage, self._left = OVER, self._registry.limits.linger_bytes_max
        self._body = self._payload = None
        self._unwatch()
        self._ends_with_this()
        if payload is not None:
            payload.set_exception(error)
            payload.feed_eof()

    def _ends_with_this(self) -> None:
        """Makes the answer to the present request the last, and lets it say so."""
        self._last = True
        self.say_last()

    def _finish(self, answer: bytes) -> None:
        """Writes the last answer of this connection."""
        if self._wire is not None:
            self._wire.write(answer)
        self._linger()

    def _linger(self) -> None:
        """Ends this connection in the way that lets the client read the last answer."""
        self._stage, self._left = OVER, self._registry.limits.linger_bytes_max
        self._body = self._payload = None
        self._unhold()
        self._registry.slow_lane.leave(self)
        self.close()
        self.transport = None  # aiohttp closes it no more
        wire = self._wire
        if wire is None or wire.is_closing():
            return
        if self._at_end:
            wire.close()
            return
        wire.write_eof()
        wire.resume_reading()
        self._watch(again=True)

    # Deadlines.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._registry.slow_lane.leave(self)
        self._blocked_since = self._loop.time()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._blocked_since = None
        if self._stage == WHOLE or (self._stage == HEAD and not self._held):
            self._unwatch()

    def _watch(self, *, again: bool = False) -> None:
        """Begins a wait with a deadline. It has begun before, if this is not done `again`."""
        if again or self not in self._registry.watched:
            self._since = self._loop.time()
            self._registry.watched[self] = None

    def _unwatch(self) -> None:
        if self._blocked_since is None:
            self._registry.watched.pop(self, None)

    def check(self, now: float) -> None:
        """Ends what has passed its deadline."""
        limits, stage, waited = self._registry.limits, self._stage, now - self._since
        if self._blocked_since is not None:
            if now - self._blocked_since > limits.answer_s:
                self._abort("answer-unread")
        elif stage == HEAD:
            if waited > (limits.head_s if self._counted else limits.surplus_s):
                self._registry.ended["head-late"] += 1
                if self._held:
                    self._finish(refusal_for(self._held, too_late(f"head: did not come within {limits.head_s:g} s")))
                else:
                    self.force_close()
        elif stage == BODY:
            if self._reading_paused and self._body is not None:
                self._body.grant(limits.sweep_s)
            late = self._body.lateness(now, limits) if self._in_hand and self._body is not None else None
            if late is not None:
                self._registry.ended["body-late"] += 1
                self._cut(too_late(late))
        elif not self._in_hand and waited > limits.linger_s:
            self._abort("linger")

    def cut_if_closed(self) -> None:
        """Ends a connection that was to close after its answer had left, and whose client does not read."""
        if self._wire is not None and self._wire.is_closing():
            if self._was_closing:
                self._abort("answer-unread")
            self._was_closing = True

    def _process_keepalive(self) -> None:
        """Called by aiohttp when the connection has been idle for long. A head that comes has its own deadline."""
        if self._held:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def _abort(self, reason: str) -> None:
        self._registry.ended[reason] += 1
        self._registry.watched.pop(self, None)
        if self._wire is not None:
            self._wire.abort()

    # The end of the server, and of idle connections.

    def end_idle(self) -> None:
        """Makes room for another connection."""
        self._registry.ended["room"] += 1
        self._leave()
        self.force_close()

    def stop(self) -> bool:
        """Takes no more requests. Returns whether one is in hand."""
        self._guarded = True
        if self._in_hand:
            self._ends_with_this()
        elif self._stage == HEAD and not self._held:
            self.force_close()
        return self._in_hand

    def stop_waiting(self) -> None:
        """Answers a request that does not come to its end, and leaves a client that does not read."""
        if self._blocked_since is not None:
            self._abort("stop")
        elif self._stage == HEAD and self._held:
            self._finish(refusal_for(self._held, STOPS))
        elif self._stage == BODY and self._body is not None and self._in_hand:
            if not (self._body.stream and self._body.moves()):
                self._cut(STOPS)
        elif not self._in_hand and self._wire is not None:
            self._wire.close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's
        """Ends this connection. A handler that still works gets no more of the body, and has `timeout` to end."""
        self._force_close = True
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        self.end_reading()
        task = self._task_handler
        if task is not None:
            if self._in_hand:
                await asyncio.wait([task], timeout=timeout)
            task.cancel()
        self.force_close()
        if self._wire is not None:
            self._wire.close()
