"""The base of all limiters: units are reserved durably before they are used, so a crash only under-spends. Pure.

A unit is free, reserved (durable, not used), in flight, or resting: its request ended, and the shape says how long it
still counts. The order of calls is: `plan_reserve`, write `state()` with it, `add_reserved`, `acquire`, send,
`request_ended`.

The durable state has the known ends, and how many units may be in use without a known end. After a crash the new owner
counts each of these as given up now, which is never earlier than it was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from math import ceil

from streams.runtime.invariants import violated

BLOCK_SHARE = 20
"""A block is 1/20 of the limit: a crash under-spends by no more than 5 %, and a durable write serves many requests."""
LATE_MS = 500
"""A request without an answer may still arrive: its bytes were on their way when we gave up, or were killed."""
SKEW_MS = 500
"""Ends that another worker wrote are by its clock. The clocks of two machines with NTP differ by less."""


@dataclass(slots=True)
class PoolState:
    """The durable state of a pool. `ended`: units by the moment at which their requests ended. `open`: units whose
    requests may be in flight."""

    ended: list[tuple[int, int]]
    open: int

    @property
    def units(self) -> int:
        return self.open + sum(units for _, units in self.ended)


class PermitPool(ABC):
    """The units of one limit of one shard of one destination. Times are epoch milliseconds that never go back."""

    __slots__ = ("_in_flight", "_late", "_unused", "block", "limit")

    def __init__(self, limit: int, block: int = 0) -> None:
        """`block`: units reserved at once; 0: a BLOCK_SHARE-th of the limit."""
        self.limit = limit
        self.block = block or max(1, limit // BLOCK_SHARE)
        self._in_flight = 0
        self._unused = 0
        self._late: deque[tuple[int, int]] = deque()

    # How a shape counts ended units

    @abstractmethod
    def _rest(self, end_ms: int, units: int) -> None:
        """Units ended then. Ends come in the order of time."""

    @abstractmethod
    def _resting(self, now_ms: int) -> float:
        """How many ended units still count."""

    @abstractmethod
    def _rested_ms(self, now_ms: int, units: float) -> int | None:
        """When so many resting units will be free; None when fewer are resting."""

    @abstractmethod
    def _ends(self, now_ms: int) -> list[tuple[int, int]]:
        """The resting units, for the next owner."""

    @abstractmethod
    def _clear(self) -> None:
        """Forget the resting units."""

    # Used by `Limits`

    def take_over(self, left: PoolState, now_ms: int) -> None:
        """Start from what another owner left. An end in the future is by a clock that was ahead: it counts as now."""
        self._in_flight = self._unused = 0
        self._late.clear()
        self._clear()
        for end_ms, units in sorted((min(end_ms + SKEW_MS, now_ms), units) for end_ms, units in left.ended):
            self._rest(end_ms, units)
        if left.open:
            self._late.append((now_ms + LATE_MS, left.open))

    @property
    def unused(self) -> int:
        """Units that are reserved durably and not used."""
        return self._unused

    def held(self, now_ms: int) -> int:
        """Units that are not free."""
        self._settle(now_ms)
        late = sum(units for _, units in self._late)
        # A tiny rest below a whole unit is a rounding error of floating point.
        return ceil(self._resting(now_ms) - 1e-6) + late + self._in_flight + self._unused

    def plan_reserve(self, now_ms: int, need: int = 1) -> int:
        """How many units to reserve so that `need` can be acquired, a block at least; 0 when they are spent."""
        count = min(max(self.block, need - self._unused), self.limit - self.held(now_ms))
        return count if count + self._unused >= need else 0

    def state(self, now_ms: int, *, reserving: int = 0) -> PoolState:
        """The state to write before `reserving` more units may be used."""
        self._settle(now_ms)
        late = sum(units for _, units in self._late)
        return PoolState(self._ends(now_ms), late + self._in_flight + self._unused + reserving)

    def add_reserved(self, count: int) -> None:
        """The state with `count` more units is durable."""
        self._unused += count

    def acquire(self, units: int = 1) -> None:
        """Use reserved units; the request may be sent after this, never before."""
        if self._unused < units:
            raise RuntimeError("a permit was acquired that was not reserved")
        self._unused -= units
        self._in_flight += units

    def return_unsent(self, units: int = 1) -> None:
        """The request was not sent: its units are reserved and unused again."""
        self._in_flight -= units
        self._unused += units

    def request_ended(self, now_ms: int, units: int = 1, *, answered: bool = True) -> None:
        """A request in flight was answered, or given up: then it may still arrive a little later."""
        if units > self._in_flight:
            violated("permit_ends_once", f"{units} units ended, {self._in_flight} were in flight")
            return
        self._settle(now_ms)
        self._in_flight -= units
        if answered:
            self._rest(now_ms, units)
        else:
            self._late.append((now_ms + LATE_MS, units))

    def give_back(self) -> None:
        """Free the reserved units (a clean stop); durable with the next state."""
        self._unused = 0

    def free_at_ms(self, now_ms: int, need: int = 1) -> int | None:
        """When `need` units may be free by time alone; None when only the end of a request in flight can free them."""
        lacking = self.held(now_ms) - self._unused + need - self.limit
        if lacking <= 0:
            return now_ms
        rested_ms = self._rested_ms(now_ms, lacking)
        moments = [rested_ms] if rested_ms is not None else []
        if self._late:
            moments.append(self._late[0][0])
        return max(now_ms + 1, min(moments)) if moments else None

    def _settle(self, now_ms: int) -> None:
        while self._late and self._late[0][0] <= now_ms:
            self._rest(*self._late.popleft())
