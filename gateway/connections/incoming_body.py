"""A body that did not come in one piece with its head: how much of it is missing, and whether it comes too slowly."""

from __future__ import annotations

from gateway.connections.framing import ChunkedBody
from gateway.connections.limits import Limits


class IncomingBody:
    """`length`: its bytes, or negative for chunks; `stream`: a body of any size, as a snapshot is."""

    __slots__ = ("_chunks", "_left", "_received", "_seen", "_since", "stream")

    def __init__(self, length: int, now: float, *, stream: bool = False) -> None:
        self.stream = stream
        self._chunks = ChunkedBody() if length < 0 else None
        self._left = length
        self._received = self._seen = 0
        self._since = now

    @property
    def broken(self) -> bool:
        """Whether its bytes are no chunks although they should be."""
        return self._chunks is not None and self._chunks.broken

    def excess(self, data: bytes) -> int:
        """How many of these bytes are behind the body's end. Negative: the body goes on behind them."""
        self._received += len(data)
        if self._chunks is not None:
            end = self._chunks.end(data)
            return len(data) - end if end >= 0 else -1
        self._left -= len(data)
        return -self._left

    def grant(self, seconds: float) -> None:
        """Gives more time: the gateway itself did not read."""
        self._since += seconds

    def lateness(self, now: float, limits: Limits) -> str | None:
        """Why the body is given up now, or None."""
        took = now - self._since
        if took > limits.body_s and not self.stream:
            return f"body: did not come within {limits.body_s:g} s"
        counted = took - (limits.stream_grace_s if self.stream else limits.body_grace_s)
        if counted > 0 and self._received < counted * limits.body_rate_min:
            return f"body: comes with less than {limits.body_rate_min} bytes a second"
        return None

    def moves(self) -> bool:
        """Whether bytes have come since this was asked before."""
        seen, self._seen = self._seen, self._received
        return self._received > seen
