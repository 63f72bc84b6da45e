"""PURE: what one stock location must still tell its channel, and in which calls. No I/O; time and chance are arguments.

State, not a queue: a SKU is dirty while `wanted` (inventory.positions) differs from `sent` (inventory.sent), so changes
conflate while they wait and a crash loses nothing. What makes the channel's last word the newest value:

1. One call at a time per location: a SKU in flight is locked; what changes meanwhile is compared when the call ends.
2. An answer that leaves open whether the call was applied makes its SKUs *doubtful*: they are sent until a call
   succeeds, even if the position returns to the value that was sent before.
3. A call whose answer is lost may still arrive until the far side's time-out. Its SKUs are sent at once with their
   newest value, and once more when the lost call can no longer arrive.
4. `doubtful()` plus the batch must be durable before a call leaves, so that 2 and 3 survive a crash (`recover`).

A call that is refused or fails again and again is halved until the SKU at fault stands alone; the others go on.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from streams.delivery.stock_calls import quantity_of

BATCH_MAX = 200
"""SKUs in one call: the contract's limit (contract 0.6)."""
GATHER_MS = 50
"""How long the first change of a quiet location waits for others: a burst becomes one call, nobody notices 50 ms."""
LATE_MS = 45_000
"""How long a call without an answer may still arrive: the far side gives up after 45 s (contract 0.3)."""
SKU_RETRY_FIRST_MS = 1_000
"""First wait of a SKU that the channel named in `failureList` or refused alone."""
SKU_RETRY_MAX_MS = 900_000
"""Longest wait of such a SKU: a listing fixed at the channel gets its stock within a quarter of an hour."""
CALL_RETRY_FIRST_MS = 500
"""First wait of a location after a call that failed as a whole."""
CALL_RETRY_MAX_MS = 60_000
"""Longest wait of a location after failing calls: a channel that is back has its stock within a minute or two."""
REFUSALS_MAX = 16
"""Refusals in a row before the location waits: one bad SKU among 200 is found in 8 halvings, so 16 without any success
mean that the channel refuses everything (a wrong path, a wrong key), which more calls would not mend."""
FAILURES_BEFORE_HALVING = 3
"""Failing calls in a row before the next one is halved: an outage is likelier than a SKU that breaks the far side."""

_OUT_OF_STOCK, _IN_STOCK = 0, 1

Lookup = Callable[[str], bytes | None]
_Slot = tuple[int, int]
"""Where an entry stands in its heap: (rank, age) when ready, (due, age) when it waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The limits above, as arguments for tests and for a channel's configuration."""

    batch_max: int = BATCH_MAX
    gather_ms: int = GATHER_MS
    late_ms: int = LATE_MS
    sku_retry_first_ms: int = SKU_RETRY_FIRST_MS
    sku_retry_max_ms: int = SKU_RETRY_MAX_MS
    call_retry_first_ms: int = CALL_RETRY_FIRST_MS
    call_retry_max_ms: int = CALL_RETRY_MAX_MS


@dataclass(frozen=True, slots=True)
class Batch:
    """One call: SKU -> the position it carries. `urgent`: it tells that something is out of stock."""

    items: dict[str, bytes]
    urgent: bool


@dataclass(slots=True)
class _Entry:
    """A SKU that is dirty, doubtful or in flight. A clean SKU has none: memory follows what waits."""

    age: int
    since_ms: int
    sending: bytes | None = None
    not_before_ms: int = 0
    failures: int = 0
    alone: bool = False
    unsure: bool = False
    late_until_ms: int = 0
    ready_slot: _Slot | None = None
    wait_slot: _Slot | None = None


@dataclass(slots=True)
class _Heap:
    """A heap with lazy deletion: what is no longer true is dropped when it surfaces, or when it outnumbers the rest."""

    items: list[tuple[int, int, str]] = field(default_factory=list)

    def push(self, slot: _Slot, sku: str) -> None:
        heapq.heappush(self.items, (*slot, sku))

    def pop(self) -> tuple[_Slot, str]:
        first, age, sku = heapq.heappop(self.items)
        return (first, age), sku

    def rebuild(self, slots: Iterable[tuple[_Slot | None, str]]) -> None:
        self.items = [(*slot, sku) for slot, sku in slots if slot is not None]
        heapq.heapify(self.items)


class StockQueue:
    """The queue of one (channel, location)."""

    def __init__(self, wanted: Lookup, sent: Lookup, policy: Policy, chance: Callable[[], float]) -> None:
        """`wanted` and `sent` answer a SKU's newest and last acknowledged position; `chance` is uniform in [0, 1)."""
        self._wanted = wanted
        self._sent = sent
        self._policy = policy
        self._chance = chance
        self._entries: dict[str, _Entry] = {}
        self._ready = _Heap()
        self._waiting = _Heap()
        self._doubtful: dict[str, None] = {}
        self._flight: Batch | None = None
        self._ages = 0
        self._batch_max = policy.batch_max
        self._failures_in_row = 0
        self._refusals_in_row = 0
        self._paused_until_ms = 0
        self._gather_until_ms: int | None = None

    # What comes in

    def changed(self, sku: str, now_ms: int) -> None:
        """The position of a SKU may have moved. A new value of a SKU that waits after a failure is tried soon."""
        entry = self._entries.get(sku)
        if entry is None:
            if self._differs(sku):
                self._place(sku, self._new_entry(sku, now_ms), now_ms)
        elif entry.sending is None:
            entry.not_before_ms = min(entry.not_before_ms, now_ms + self._policy.sku_retry_first_ms)
            self._place(sku, entry, now_ms)

    def recover(self, doubtful: Iterable[str], now_ms: int) -> None:
        """After a crash or a takeover: the SKUs of calls whose end nobody saw. `changed` follows for every SKU."""
        for sku in doubtful:
            if self._wanted(sku) is None:
                continue
            entry = self._entries.get(sku) or self._new_entry(sku, now_ms)
            self._doubt(sku, entry)
            entry.late_until_ms = now_ms + self._policy.late_ms
            self._place(sku, entry, now_ms)

    # What goes out

    def take(self, now_ms: int) -> Batch | None:
        """The next call, or None: out of stock first, then what has been dirty longest. Locks what it takes."""
        if self._flight is not None or now_ms < self._paused_until_ms:
            return None
        self._wake(now_ms)
        if self._is_gathering(now_ms):
            return None
        items = self._fill()
        if not items:
            self._gather_until_ms = None
            return None
        self._gather_until_ms = now_ms if self._ready.items else None
        self._flight = Batch(items, any(_rank(value) == _OUT_OF_STOCK for value in items.values()))
        return self._flight

    def next_ms(self) -> int | None:
        """When `take` may next give something; None: only after a change or the end of the call in flight."""
        if self._flight is not None:
            return None
        times = []
        if self._ready.items:
            times.append(self._gather_until_ms or 0)
        if self._waiting.items:
            times.append(self._waiting.items[0][0])
        return max(min(times), self._paused_until_ms) if times else None

    def doubtful(self) -> set[str]:
        """SKUs of which it is not known what the far side has, those in flight included."""
        return set(self._doubtful).union(self._flight.items if self._flight else ())

    # How a call ended

    def answered(self, failed: Collection[str], started_ms: int, now_ms: int) -> None:
        """A 2xx; `failed` are the SKUs the channel did not take. `sent` must already give the acknowledged values."""
        batch = self._land()
        self._failures_in_row = self._refusals_in_row = 0
        self._paused_until_ms = 0
        self._batch_max = min(self._policy.batch_max, self._batch_max * 2)
        for sku in batch.items:
            entry = self._entries[sku]
            if sku in failed:
                self._set_back(entry, now_ms)
            else:
                self._settle(sku, entry, started_ms, now_ms)
            self._place(sku, entry, now_ms)

    def refused(self, now_ms: int) -> None:
        """The far side refused the call as a whole and applied nothing of it."""
        batch = self._land()
        self._refusals_in_row += 1
        if self._refusals_in_row >= REFUSALS_MAX:
            self._pause(self._refusals_in_row - REFUSALS_MAX + 1, now_ms)
        self._halve(batch)
        for sku in batch.items:
            entry = self._entries[sku]
            if len(batch.items) == 1:
                entry.alone = True
                self._set_back(entry, now_ms)
            self._place(sku, entry, now_ms)

    def failed(self, now_ms: int, *, lost_since_ms: int | None = None, not_before_ms: int = 0) -> None:
        """No usable answer: what was applied is not known. `lost_since_ms`: the call left then and may still arrive."""
        batch = self._land()
        self._failures_in_row += 1
        self._pause(self._failures_in_row, now_ms, not_before_ms)
        if self._failures_in_row >= FAILURES_BEFORE_HALVING:
            self._halve(batch)
        for sku in batch.items:
            entry = self._entries[sku]
            self._doubt(sku, entry)
            if lost_since_ms is not None:
                entry.late_until_ms = max(entry.late_until_ms, lost_since_ms + self._policy.late_ms)
            if len(batch.items) == 1:
                # It may be this SKU that breaks the far side: when the location goes on, another one goes first.
                entry.alone = True
                entry.failures += 1
                entry.not_before_ms = self._paused_until_ms + self._call_delay(entry.failures)
            self._place(sku, entry, now_ms)

    def throttled(self, now_ms: int, not_before_ms: int = 0) -> None:
        """The far side asked for quiet and applied nothing."""
        batch = self._land()
        self._failures_in_row += 1
        self._pause(0 if not_before_ms > now_ms else self._failures_in_row, now_ms, not_before_ms)
        for sku in batch.items:
            self._place(sku, self._entries[sku], now_ms)

    # What operators see

    def __len__(self) -> int:
        """SKUs that are dirty, doubtful or in flight."""
        return len(self._entries)

    def dirty_since_ms(self) -> int | None:
        """Since when the longest waiting SKU waits."""
        return min((entry.since_ms for entry in self._entries.values()), default=None)

    # Inside

    def _new_entry(self, sku: str, now_ms: int) -> _Entry:
        entry = self._entries[sku] = _Entry(self._next_age(), now_ms)
        return entry

    def _next_age(self) -> int:
        self._ages += 1
        return self._ages

    def _differs(self, sku: str) -> bool:
        """Never seen (`wanted` None) is nothing to send; never sent (`sent` None) differs from everything, zero too."""
        wanted = self._wanted(sku)
        return wanted is not None and wanted != self._sent(sku)

    def _doubt(self, sku: str, entry: _Entry) -> None:
        entry.unsure = True
        self._doubtful[sku] = None

    def _settle(self, sku: str, entry: _Entry, started_ms: int, now_ms: int) -> None:
        """The channel took it. Only a call that left after a lost one could arrive ends the doubt about that one."""
        entry.failures = 0
        entry.alone = entry.unsure = False
        entry.not_before_ms = 0
        entry.age = self._next_age()
        entry.since_ms = now_ms
        if started_ms >= entry.late_until_ms:
            entry.late_until_ms = 0
            self._doubtful.pop(sku, None)

    def _set_back(self, entry: _Entry, now_ms: int) -> None:
        entry.failures += 1
        policy = self._policy
        delay = self._delay(entry.failures, policy.sku_retry_first_ms, policy.sku_retry_max_ms)
        entry.not_before_ms = now_ms + delay

    def _place(self, sku: str, entry: _Entry, now_ms: int) -> None:
        """Puts an entry that is not in flight where it belongs: ready, waiting until a time, or forgotten."""
        if entry.late_until_ms and entry.late_until_ms <= now_ms:
            self._doubt(sku, entry)
        ready = wait = None
        if not entry.unsure and not self._differs(sku):
            if not entry.late_until_ms:
                del self._entries[sku]
                self._doubtful.pop(sku, None)
                return
            wait = (entry.late_until_ms, entry.age)
        elif entry.not_before_ms > now_ms:
            wait = (entry.not_before_ms, entry.age)
        else:
            ready = (_rank(self._wanted(sku)), entry.age)
        if ready is not None and ready != entry.ready_slot:
            self._ready.push(ready, sku)
            if self._gather_until_ms is None:
                self._gather_until_ms = now_ms + self._policy.gather_ms
        if wait is not None and wait != entry.wait_slot:
            self._waiting.push(wait, sku)
        entry.ready_slot, entry.wait_slot = ready, wait
        self._tidy()

    def _tidy(self) -> None:
        """Keeps the heaps within twice what is alive, however often a waiting SKU moves between them."""
        limit = 2 * len(self._entries) + 64
        if len(self._ready.items) > limit:
            self._ready.rebuild((entry.ready_slot, sku) for sku, entry in self._entries.items())
        if len(self._waiting.items) > limit:
            self._waiting.rebuild((entry.wait_slot, sku) for sku, entry in self._entries.items())

    def _wake(self, now_ms: int) -> None:
        while self._waiting.items and self._waiting.items[0][0] <= now_ms:
            slot, sku = self._waiting.pop()
            entry = self._entries.get(sku)
            if entry is not None and entry.wait_slot == slot:
                entry.wait_slot = None
                self._place(sku, entry, now_ms)

    def _is_gathering(self, now_ms: int) -> bool:
        until = self._gather_until_ms
        return until is not None and now_ms < until and len(self._ready.items) < self._batch_max

    def _fill(self) -> dict[str, bytes]:
        items: dict[str, bytes] = {}
        held: list[tuple[_Slot, str]] = []
        while self._ready.items and len(items) < self._batch_max and len(held) < self._policy.batch_max:
            slot, sku = self._ready.pop()
            entry = self._entries.get(sku)
            value = self._wanted(sku)
            if entry is None or entry.ready_slot != slot or value is None:
                continue
            if entry.alone and items:
                held.append((slot, sku))
                continue
            entry.ready_slot = None
            entry.sending = items[sku] = value
            if entry.alone:
                break
        for slot, sku in held:
            self._ready.push(slot, sku)
        return items

    def _land(self) -> Batch:
        """Ends the call in flight and unlocks its SKUs."""
        if self._flight is None:
            raise RuntimeError("no call is in flight: an answer can end only the call that was taken")
        batch, self._flight = self._flight, None
        for sku in batch.items:
            self._entries[sku].sending = None
        return batch

    def _halve(self, batch: Batch) -> None:
        self._batch_max = max(1, len(batch.items) // 2)

    def _pause(self, failures: int, now_ms: int, not_before_ms: int = 0) -> None:
        """Failures 0: no wait of our own."""
        own = now_ms + self._call_delay(failures) if failures else 0
        self._paused_until_ms = max(own, not_before_ms)

    def _call_delay(self, failures: int) -> int:
        return self._delay(failures, self._policy.call_retry_first_ms, self._policy.call_retry_max_ms)

    def _delay(self, failures: int, first_ms: int, max_ms: int) -> int:
        """Doubles up to the maximum; half of it is left to chance, so that locations do not return together."""
        whole = min(max_ms, first_ms << min(failures - 1, 30))
        return int(whole * (1 + self._chance()) / 2)


def _rank(value: bytes | None) -> int:
    return _OUT_OF_STOCK if value is not None and quantity_of(value) <= 0 else _IN_STOCK
