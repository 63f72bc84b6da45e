"""PURE: what one location must still send to its channel, and in which calls. Time and chance are arguments.

State, not a queue: a SKU is dirty while what is wanted (inventory.positions, as the channel's rules offer it) differs
from what was sent (inventory.sent), so changes conflate while they wait and a crash loses nothing. Why the channel ends
with the newest value:

1. A SKU in flight is locked, so calls that overlap have no SKU in common. A change during the call is compared when the
   call ends.
2. An answer that leaves open whether the call was applied makes its SKUs *doubtful*: they are sent until a call
   succeeds, even if the position returns to the value that was sent before.
3. A call whose answer is lost may still arrive until the far side's time-out. Its SKUs are sent at once with their
   newest value, and once more when the lost call can no longer arrive.
4. The SKUs of a call must be durable as doubtful before it leaves, and stay so while `is_doubtful`, so that 2 and 3
   survive a crash (`recover`).

Order: out of stock, back in stock, then the largest relative change; an eighth of each call is for the SKUs that have
waited longest. So a SKU with n older ones before it is sent within 8 (n + 1) / batch_max calls that are not searches,
whatever else changes; one that goes out of stock is in the next call.

A call that is refused, or fails again and again, is searched for the SKU at fault: its SKUs go on in halves, in at most
every second call, while all others go in full calls. A SKU that fails alone is tried seldom.

The work per change, and per SKU of a call, does not depend on how many wait. A dirty SKU takes some 230 bytes, measured
over a million.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from streams.delivery.stock.queue.backoff import FAILURES_BEFORE_HALVING, Backoff, QueuePolicy
from streams.delivery.stock.queue.comparison import Comparison
from streams.delivery.stock.queue.entries import ALONE, NOWHERE, SUSPECT, DirtyEntry, WaitingSkus
from streams.delivery.stock.queue.ordering import Fifo
from streams.runtime.invariants import violated

WOKEN_AT_ONCE = 2_000
"""Due SKUs that one call of `pop_batch` looks at: some milliseconds of the event loop."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One call: SKU -> the position it carries."""

    id: int
    items: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Refused:
    """A SKU that failed so often that it is reported."""

    sku: str
    failures: int
    since_ms: int


@dataclass(slots=True)
class RefusalChanges:
    """Which SKUs count as refused from now on, and which do not any more."""

    refused: list[Refused] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.refused or self.accepted)


class DirtyQueue:
    """The queue of one (channel, location)."""

    def __init__(self, comparison: Comparison, policy: QueuePolicy, chance: Callable[[], float]) -> None:
        """`chance` is uniform in [0, 1)."""
        self._comparison = comparison
        self._policy = policy
        self._backoff = Backoff(policy, chance)
        self._entries: dict[str, DirtyEntry] = {}
        self._by_since = Fifo()
        """All entries, in the order of `since_ms`."""
        self._waiting = WaitingSkus(self._entries, policy.batch_max, policy.gather_ms)
        self._again: OrderedDict[str, int] = OrderedDict()
        """SKUs to send again, each with the last call before: only a later one counts."""
        self._refused: set[str] = set()
        self._refusal_changes = RefusalChanges()
        self._calls: dict[int, Batch] = {}
        self._serial = 0

    # What comes in

    def compare(self, sku: str, now_ms: int) -> None:
        """The position of a SKU may have changed. A new value of a SKU that waits after a failure is tried soon."""
        entry = self._entries.get(sku)
        if entry is None:
            rank = self._comparison.rank(sku)
            if rank is not None:
                self._waiting.enter(sku, self._new_entry(sku, now_ms), rank, now_ms)
            elif self._refused:
                self._take_back_refusal(sku)
        elif not entry.in_flight:
            if entry.not_before_ms:
                entry.not_before_ms = min(entry.not_before_ms, self._backoff.sku_soon_ms(now_ms))
            self._place(sku, entry, now_ms)

    def recover(self, doubtful: Iterable[str], now_ms: int) -> None:
        """After a crash or a takeover: SKUs of calls whose answers are not known. `compare` follows for every SKU."""
        for sku in doubtful:
            if self._comparison.wanted(sku) is None:
                continue
            entry = self._entries.get(sku) or self._new_entry(sku, now_ms)
            entry.unsure = True
            entry.late_until_ms = now_ms + self._policy.late_ms
            self._place(sku, entry, now_ms)

    def send_again(self, skus: Iterable[str]) -> None:
        """Sends these SKUs once more when nothing is dirty. One that goes anyway is not sent twice."""
        for sku in skus:
            self._again[sku] = self._serial

    def resends(self, sku: str) -> bool:
        """Whether no call that began since `send_again` was acknowledged."""
        entry = self._entries.get(sku)
        return sku in self._again or (entry is not None and entry.again > 0)

    def is_settled(self, sku: str) -> bool:
        """Whether nothing of it is in flight or waits to be sent."""
        return sku not in self._entries and sku not in self._again

    def is_refused(self, sku: str) -> bool:
        return sku in self._refused

    def count_as_refused(self, skus: Iterable[str]) -> None:
        """These SKUs counted as refused before this queue began."""
        self._refused.update(skus)

    # What goes out

    def pop_batch(self, now_ms: int) -> Batch | None:
        """The next call, or None. Locks its SKUs: calls in flight have no SKU in common."""
        if now_ms < self._backoff.until_ms:
            return None
        self._wake(now_ms)
        if self._waiting.is_gathering(now_ms):
            return None
        items = self._lock(self._waiting.pick(), now_ms) or self._lock(self._pick_again(now_ms), now_ms)
        if not items:
            return None
        self._waiting.taken()
        self._serial += 1
        batch = self._calls[self._serial] = Batch(self._serial, items)
        return batch

    def next_ms(self) -> int | None:
        """When `pop_batch` may next give a call; None: only after a change or the end of a call."""
        next_ms = self._waiting.next_ms()
        if self._again and not self._waiting.ready:
            next_ms = 0
        return None if next_ms is None else max(next_ms, self._backoff.until_ms)

    @property
    def is_urgent(self) -> bool:
        """Whether a SKU that is out of stock may go."""
        return self._waiting.urgent > 0

    @property
    def calls_due(self) -> int:
        """How many calls the SKUs that may go make. At least one: a timer may be due."""
        return max(1, -(-self._waiting.ready // self._policy.batch_max))

    @property
    def only_resends(self) -> bool:
        """Whether all SKUs that may go are clean, and only sent again."""
        return not self._waiting.ready and bool(self._again)

    def is_doubtful(self, sku: str) -> bool:
        """Whether it is not known what the channel has of a SKU. While it is in flight, it is not."""
        entry = self._entries.get(sku)
        return entry is not None and (entry.unsure or entry.in_flight or entry.late_until_ms > 0)

    # How a call ended

    def ends_doubt(self, sku: str, started_ms: int, *, took: bool) -> bool:
        """Whether a 2xx to a call that left at `started_ms` will say what the channel has of a SKU in it."""
        entry = self._entries[sku]
        return (took or not entry.unsure) and started_ms >= entry.late_until_ms

    def answered(
        self, batch: Batch, failed: Collection[str], started_ms: int, now_ms: int, in_doubt: Collection[str] = ()
    ) -> None:
        """A 2xx; `failed`: the SKUs that the channel did not acknowledge, `in_doubt`: those of them that it may have
        taken. `sent` must have the acknowledged values already."""
        self._land(batch)
        self._backoff.answered(now_ms)
        for sku in batch.items:
            entry = self._entries[sku]
            if sku in failed:
                entry.most = 0
                entry.unsure = entry.unsure or sku in in_doubt
                self._set_back(sku, entry, now_ms)
            else:
                self._settle(sku, entry, started_ms, now_ms)
                if entry.again <= batch.id:
                    entry.again = 0
                if self._again.get(sku, batch.id) < batch.id:
                    del self._again[sku]
            self._place(sku, entry, now_ms)

    def refused(self, batch: Batch, now_ms: int, *, in_doubt: bool = False) -> None:
        """The channel refused the call as a whole and applied nothing of it. `in_doubt`: it may have applied some, and
        does not say which."""
        self._land(batch)
        self._backoff.refused(now_ms)
        for sku in batch.items:
            entry = self._entries[sku]
            entry.most = max(1, len(batch.items) // 2)
            entry.unsure = entry.unsure or in_doubt
            if len(batch.items) == 1:
                self._set_back(sku, entry, now_ms)
            self._place(sku, entry, now_ms, first=True)

    def failed(self, batch: Batch, now_ms: int, *, lost_since_ms: int | None = None, not_before_ms: int = 0) -> None:
        """No usable answer: what was applied is unknown. `lost_since_ms`: the call left then and may still arrive."""
        self._land(batch)
        self._backoff.failed(now_ms, not_before_ms)
        for sku in batch.items:
            entry = self._entries[sku]
            entry.unsure = True
            if lost_since_ms is not None:
                entry.late_until_ms = max(entry.late_until_ms, lost_since_ms + self._policy.late_ms)
            if len(batch.items) == 1:
                # It may be this SKU that breaks the far side: when the location goes on, another one goes first.
                entry.most = 1
                self._count_failure(sku, entry, now_ms, other=self._backoff.succeeded_ms)
                entry.not_before_ms = self._backoff.alone_until_ms(entry.failures)
            elif self._backoff.failures >= FAILURES_BEFORE_HALVING:
                entry.most = max(1, len(batch.items) // 2)
            self._place(sku, entry, now_ms, first=True)

    def throttled(self, batch: Batch, now_ms: int, not_before_ms: int = 0, *, in_doubt: bool = False) -> None:
        """The channel asked for a pause and applied nothing. `in_doubt`: it broke down, and may have applied some."""
        self._backoff.throttled(now_ms, not_before_ms)
        for sku in batch.items if in_doubt else ():
            self._entries[sku].unsure = True
        self.returned(batch, now_ms)

    def returned(self, batch: Batch, now_ms: int) -> None:
        """The call was not sent."""
        self._land(batch)
        for sku in batch.items:
            self._place(sku, self._entries[sku], now_ms, first=True)

    # What operators see

    def __len__(self) -> int:
        """SKUs that are dirty, doubtful or in flight."""
        return len(self._entries)

    @property
    def in_flight(self) -> int:
        """Calls that are not over."""
        return len(self._calls)

    @property
    def resending(self) -> int:
        """SKUs that wait to be sent again although they are clean."""
        return len(self._again)

    @property
    def refusals(self) -> int:
        """SKUs that count as refused."""
        return len(self._refused)

    def since_ms(self, sku: str) -> int:
        """From when a SKU that is in the queue differs."""
        return self._entries[sku].since_ms

    def dirty_since_ms(self) -> int | None:
        """Since when the SKU that has waited longest waits."""
        return self._entries[next(iter(self._by_since))].since_ms if self._entries else None

    @property
    def has_refusal_changes(self) -> bool:
        """Whether a SKU was refused, or no longer is, since `pop_refusal_changes`."""
        return bool(self._refusal_changes.refused or self._refusal_changes.accepted)

    def pop_refusal_changes(self) -> RefusalChanges:
        changes, self._refusal_changes = self._refusal_changes, RefusalChanges()
        return changes

    # Inside: what becomes of a SKU

    def _new_entry(self, sku: str, now_ms: int) -> DirtyEntry:
        entry = self._entries[sku] = DirtyEntry(now_ms, self._by_since.add(sku))
        return entry

    def _drop(self, sku: str, entry: DirtyEntry) -> None:
        self._by_since.remove(sku, entry.since_place)
        del self._entries[sku]

    def _settle(self, sku: str, entry: DirtyEntry, started_ms: int, now_ms: int) -> None:
        """The channel took it. Doubt about a lost call ends if this one left when that one could no longer arrive."""
        entry.failures = entry.most = entry.not_before_ms = 0
        entry.unsure = False
        entry.since_ms = now_ms
        self._by_since.remove(sku, entry.since_place)
        entry.since_place = self._by_since.add(sku)
        if started_ms >= entry.late_until_ms:
            entry.late_until_ms = 0
        self._take_back_refusal(sku)

    def _set_back(self, sku: str, entry: DirtyEntry, now_ms: int) -> None:
        self._count_failure(sku, entry, now_ms, other=now_ms)
        entry.not_before_ms = self._backoff.sku_until_ms(entry.failures, now_ms)

    def _count_failure(self, sku: str, entry: DirtyEntry, now_ms: int, *, other: int) -> None:
        """`other`: when the channel last took anything. If before the first failure, the channel is at fault."""
        if not entry.failures:
            entry.failing_since_ms = now_ms
        entry.failures += 1
        is_at_fault = entry.failures >= self._policy.refused_after and other >= entry.failing_since_ms
        if is_at_fault and sku not in self._refused:
            self._refused.add(sku)
            self._refusal_changes.refused.append(Refused(sku, entry.failures, entry.failing_since_ms))

    def _take_back_refusal(self, sku: str) -> None:
        if sku in self._refused:
            self._refused.discard(sku)
            self._refusal_changes.accepted.append(sku)

    def _place(self, sku: str, entry: DirtyEntry, now_ms: int, *, first: bool = False) -> None:
        """Puts an entry that is not in flight where it belongs: ready, waiting for a time, or forgotten. `first`: it
        was taken from there and not sent, so it goes before all others there."""
        if entry.late_until_ms and entry.late_until_ms <= now_ms:
            entry.unsure = True
        in_doubt = entry.unsure or entry.again
        rank = self._comparison.rank_in_doubt(sku) if in_doubt else self._comparison.rank(sku)
        where, due_ms = NOWHERE, 0
        if rank is None:
            due_ms = 0 if in_doubt else entry.late_until_ms
            if not due_ms:
                self._forget(sku, entry, now_ms)
                return
        elif entry.not_before_ms > now_ms:
            due_ms = entry.not_before_ms
        elif entry.most:
            where = ALONE if entry.failures and entry.most == 1 else SUSPECT
        else:
            where = rank
        self._waiting.move(sku, entry, where, due_ms, now_ms, first=first)

    def _forget(self, sku: str, entry: DirtyEntry, now_ms: int) -> None:
        """The channel has what it should have."""
        self._waiting.move(sku, entry, NOWHERE, 0, now_ms)
        self._drop(sku, entry)
        self._take_back_refusal(sku)

    def _wake(self, now_ms: int) -> None:
        for sku in self._waiting.pop_due(now_ms, WOKEN_AT_ONCE):
            self._place(sku, self._entries[sku], now_ms)

    # Inside: what goes into a call

    def _pick_again(self, now_ms: int) -> list[str]:
        """SKUs to send again that are clean. One that is dirty by now, or in flight, is sent again as such."""
        picked: list[str] = []
        while self._again and len(picked) < self._policy.batch_max:
            sku, serial = self._again.popitem(last=False)
            if self._comparison.wanted(sku) is None:
                continue
            entry = self._entries.get(sku)
            if entry is None:
                entry = self._new_entry(sku, now_ms)
                picked.append(sku)
            entry.again = serial + 1
        return picked

    def _lock(self, skus: Iterable[str], now_ms: int) -> dict[str, bytes]:
        items: dict[str, bytes] = {}
        for sku in skus:
            entry, value = self._entries[sku], self._comparison.wanted(sku)
            self._waiting.move(sku, entry, NOWHERE, 0, now_ms)
            if value is not None:
                if entry.in_flight:
                    violated("stock_sku_in_one_call", f"{sku} is in flight already")
                entry.in_flight = True
                items[sku] = value
            else:
                self._drop(sku, entry)
        return items

    def _land(self, batch: Batch) -> None:
        """Ends a call and unlocks its SKUs."""
        if self._calls.pop(batch.id, None) is None:
            raise RuntimeError(f"call {batch.id} is not in flight: a call ends once")
        for sku in batch.items:
            self._entries[sku].in_flight = False
