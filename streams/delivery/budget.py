"""At most N requests in any W seconds, as the far side counts them; exact, and kept over crashes. Pure.

The far side counts a request when it arrives, at some moment between our send and our end (answer, error or time-out).
So a permit is held from before the send until W after the end.

Why that is enough: take any k requests that arrive within W of each other, and the one of them sent last. When it was
sent, each other one had been sent, and none had arrived more than W before the last one's arrival, so none had ended
more than W before it: all k permits were held at that moment. At most N are held at any moment, so k <= N.
MARGIN_MS covers what the proof leaves out: clocks that tick differently, and bytes that arrive just after we gave up.

Permits are reserved durably in blocks before they are used. The record keeps the ends that are known, and how many
permits may be in use without a known end. Whoever takes over after a crash counts each of those as ended now, which is
never before it ended: a crash can only under-spend.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import orjson

MARGIN_MS = 500
"""Added to the window. Clocks of two machines that keep time by NTP differ by less."""
BLOCK_SHARE = 20
"""A block is 1/20 of the budget: a crash under-spends by no more than 5 %, and a durable write serves many requests."""


@dataclass(slots=True)
class PermitRecord:
    """What is durable about a destination's shard: value on deliveries.permits. `gate_ms` ends an imposed quiet."""

    ended_ms: list[int]
    open: int
    gate_ms: int = 0

    def encode(self) -> bytes:
        return orjson.dumps({"ended_ms": self.ended_ms, "open": self.open, "gate_ms": self.gate_ms})


def decode_permits(raw: bytes | None) -> PermitRecord:
    if raw is None:
        return PermitRecord([], 0)
    data = orjson.loads(raw)
    return PermitRecord(ended_ms=data["ended_ms"], open=data["open"], gate_ms=data["gate_ms"])


class SlidingWindow:
    """The permits of one shard of one destination.

    A permit is free, reserved (durable, not used), in the air, or ended (held for the window). The order of calls is:
    `plan_reserve` -> write `record()` with it -> `reserved` -> `take` ... `ended`.
    """

    __slots__ = ("_ended", "_hold_ms", "_in_air", "_unused", "block", "requests")

    def __init__(self, requests: int, window_ms: int, *, margin_ms: int = MARGIN_MS, block: int | None = None) -> None:
        self.requests = requests
        self.block = block if block is not None else max(1, requests // BLOCK_SHARE)
        self._hold_ms = window_ms + margin_ms
        self._ended: deque[int] = deque()
        self._in_air = 0
        self._unused = 0

    def take_over(self, record: PermitRecord, now_ms: int) -> None:
        """Start from what another owner left. An end in the future is a clock that was ahead: it counts as now."""
        ends = [min(end, now_ms) for end in record.ended_ms] + [now_ms] * record.open
        self._ended = deque(sorted(ends)[-self.requests :])
        self._in_air = self._unused = 0
        self._forget(now_ms)

    @property
    def unused(self) -> int:
        """Permits that are reserved durably and not used yet."""
        return self._unused

    def held(self, now_ms: int) -> int:
        self._forget(now_ms)
        return len(self._ended) + self._in_air + self._unused

    def plan_reserve(self, now_ms: int) -> int:
        """How many permits to reserve next; 0 when the budget is spent."""
        return min(self.block, self.requests - self.held(now_ms))

    def record(self, now_ms: int, *, reserving: int = 0, gate_ms: int = 0) -> PermitRecord:
        """What to write before `reserving` more permits may be used."""
        self._forget(now_ms)
        return PermitRecord(list(self._ended), self._in_air + self._unused + reserving, gate_ms)

    def reserved(self, count: int) -> None:
        """The record with `count` more permits is durable."""
        self._unused += count

    def take(self) -> None:
        """Use one reserved permit: the request is sent after this returns, never before."""
        if self._unused < 1:
            raise RuntimeError("a permit was taken that was not reserved")
        self._unused -= 1
        self._in_air += 1

    def untake(self) -> None:
        """The request was not sent after all: its permit is reserved and unused again."""
        self._in_air -= 1
        self._unused += 1

    def ended(self, now_ms: int) -> None:
        """One request in the air has its answer, or was given up."""
        self._in_air -= 1
        # Ends come in the order of time, also when the clock stands still.
        self._ended.append(max(now_ms, self._ended[-1]) if self._ended else now_ms)

    def give_back(self) -> None:
        """What is reserved and not used is free again (a clean stop); durable with the next record."""
        self._unused = 0

    def free_at_ms(self, now_ms: int) -> int | None:
        """When a permit becomes free by time alone; None when only the end of a request in the air can free one."""
        if self.held(now_ms) < self.requests:
            return now_ms
        return self._ended[0] + self._hold_ms if self._ended else None

    def _forget(self, now_ms: int) -> None:
        while self._ended and self._ended[0] + self._hold_ms <= now_ms:
            self._ended.popleft()
