"""PURE: sending every position of a location once more: on demand, and daily at a time of the channel's.

The location sends again what it is given behind everything that is dirty, in idle budget only
(streams/delivery/stock/ports.py). A resync gives it a few thousand SKUs at a time. Deltas win: what is sent is always
the newest value, and whatever changed is sent as a change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from streams.delivery.stock.operations.step import Step, fact_effect
from streams.delivery.stock.operations.sweep import Sweep, SweepRecord, Walk
from streams.delivery.stock.ports import StockLocation
from topics.records.facts.stock import ResyncDone
from topics.stock.controls import Ask
from topics.stock.positions import RESYNC
from topics.stock.status import Resyncing, SweepCause

IN_HAND_MAX = 5_000
"""SKUs that a location is to send again at once: some dozen calls, so that it does not wait for the next portion, and
checking each of them costs a millisecond or two."""
WINDOW_MAX = 100_000
"""SKUs that may be sent while one before them waits: a bad one is known as refused after some minutes."""


class ResyncRecord(SweepRecord):
    """The record under `~resync|channel|location`.

    `told`: SKUs that are sent again. `changed`: changes of positions that were taken in meanwhile.
    """

    told: int = 0
    changed: int = 0
    done: bool = False

    @property
    def is_over(self) -> bool:
        return self.done

    @property
    def swept(self) -> int:
        return self.told


class Resync(Sweep[ResyncRecord]):
    """The resync of one location."""

    record_type = ResyncRecord
    mark = RESYNC

    def __init__(self, location: StockLocation, last: bytes | None, now_ms: int) -> None:
        super().__init__(location, last, now_ms)
        self._walk: Walk | None = None
        self._window: deque[str] = deque()
        """Given to the location in this order, from the first that is not sent on."""
        self._waiting: list[str] = []
        """Those of the window that are not sent yet."""
        self._changes_before = 0

    @property
    def ended(self) -> str | None:
        """The id of the last one, when it is over."""
        return self._record.id if self._record is not None and self._record.is_over else None

    @property
    def progress(self) -> Resyncing | None:
        record = self._record
        if record is None or record.is_over:
            return None
        total = max(self._walk.total if self._walk is not None else 0, record.told)
        return Resyncing(id=record.id, cause=record.cause, told=record.told, total=total, started_ms=record.started_ms)

    def skip(self, ask: Ask, now_ms: int) -> Step:
        """For a location that came after the resync was asked for: all of it is sent for the first time anyway."""
        return self._save(ResyncRecord(id=ask.id, cause="asked", at_ms=ask.at_ms, started_ms=now_ms, done=True))

    def begin(self, ask: Ask, cause: SweepCause, now_ms: int) -> Step:
        self._walk = None
        self._window.clear()
        self._waiting = []
        return super().begin(ask, cause, now_ms)

    def sort_some(self) -> bool:
        """Whether all SKUs are sorted; to be called until they are. Only then `move` does something."""
        if not self.goes_on:
            return True
        if self._walk is None:
            self._walk = Walk(self._location.skus(), self.cursor)
            self._changes_before = self._location.figures().changes
        return self._walk.sort_some()

    def move(self, *, is_refused: Callable[[str], bool], now_ms: int) -> Step | None:
        """Goes on a little. Returns what must become durable before the next move, if anything."""
        if not self.goes_on or self._walk is None:
            return None
        record = self._present()
        # A SKU that the channel refuses is reported as such, and is tried on without the resync.
        self._waiting = [sku for sku in self._waiting if self._location.resends(sku) and not is_refused(sku)]
        told, cursor = self._pass_sent()
        new = self._walk.next_skus(self._room())
        if new:
            self._window.extend(new)
            again = [sku for sku in new if not is_refused(sku)]
            self._waiting += again
            self._location.send_again(again)
        ended = not self._window
        if not told and not ended:
            return None
        changes = self._location.figures().changes
        changed = record.changed + changes - self._changes_before
        self._changes_before = changes
        update = {"cursor": cursor or record.cursor, "told": record.told + told, "changed": changed, "done": ended}
        record = record.model_copy(update=update)
        step = self._save(record)
        if not ended:
            return step
        self._walk = None
        done = fact_effect(
            self._location,
            ResyncDone,
            record.id,
            now_ms,
            resync=record.id,
            cause=record.cause,
            positions=record.told,
            changed=record.changed,
            startedMs=record.started_ms,
        )
        return Step((done,), step.changes)

    def _pass_sent(self) -> tuple[int, str]:
        """Drops what is sent from the front of the window: how many SKUs they are, and the last of them."""
        waiting, told, cursor = set(self._waiting), 0, ""
        while self._window and self._window[0] not in waiting:
            cursor = self._window.popleft()
            told += 1
        return told, cursor

    def _room(self) -> int:
        if len(self._waiting) > IN_HAND_MAX // 2:
            return 0
        return min(IN_HAND_MAX - len(self._waiting), WINDOW_MAX - len(self._window))
