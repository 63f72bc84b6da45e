"""PURE: telling every position of a place once more: on demand, and daily at a time of the channel's.

The place tells again what it is given behind everything that is dirty, in idle budget only (streams/delivery/
stock_ports.py). A resync gives it a few thousand at a time, in the order of SKUs, and writes down up to where all are
told. A restart goes on from there, so that what is told twice is what was in hand. Deltas win: what is told is always
the newest, and whatever changed is told as a change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from heapq import merge
from itertools import islice
from typing import Literal

from pydantic import BaseModel, ConfigDict

from streams.delivery.stock.operations.step import SENT, Step, fact_effect
from streams.delivery.stock.ports import StockLocation
from streams.runtime.role import Change
from topics.records.facts.stock import ResyncDone
from topics.records.keys import join
from topics.stock.controls import Ask
from topics.stock.positions import RESYNC
from topics.stock.status import Resyncing

IN_HAND_MAX = 5_000
"""SKUs that a place is to tell again at once: some dozen calls, so that it does not wait for the next slice, and a look
at each of them costs a millisecond or two."""
WINDOW_MAX = 100_000
"""SKUs that may be told while one before them waits: a bad one is known as refused after some minutes."""
SORTED_AT_ONCE = 5_000
"""SKUs put into their order before other work of the process gets its turn: some 2 ms."""
DAY_MS = 86_400_000

Cause = Literal["asked", "daily"]


class Resync(BaseModel):
    """How far a resync has come: the record under `~resync|channel|location`. All up to `cursor` are told, `told` SKUs.
    `at_ms`: when it was asked for, or was due. `changed`: changes of the place that were taken in meanwhile."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    cause: Cause
    at_ms: int
    started_ms: int
    cursor: str = ""
    told: int = 0
    changed: int = 0
    done: bool = False

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


def resync_key(place: StockLocation) -> bytes:
    return join(RESYNC, place.channel, place.location)


def daily_ask(daily_at: str | None, now_ms: int) -> Ask | None:
    """The resync that was due last at this time of day (HH:MM of UTC)."""
    if daily_at is None:
        return None
    hour, _, minute = daily_at.partition(":")
    offset_ms = (int(hour) * 60 + int(minute)) * 60_000
    at_ms = now_ms - (now_ms - offset_ms) % DAY_MS
    return Ask(id=f"daily_{at_ms // 60_000}", at_ms=at_ms)


class Walk:
    """SKUs in their order, sorted in slices, so that a million of them hold up nobody."""

    def __init__(self, skus: Collection[str], after: str) -> None:
        self.total = len(skus)
        self._skus: Iterator[str] = iter(skus)
        self._after = after
        self._runs: list[list[str]] = []
        self._merged: Iterator[str] | None = None

    def sort_some(self) -> bool:
        """Whether all are sorted; to be called until they are."""
        if self._merged is None:
            some = list(islice(self._skus, SORTED_AT_ONCE))
            if some:
                self._runs.append(sorted(sku for sku in some if sku > self._after))
            else:
                self._merged = merge(*self._runs)
        return self._merged is not None

    def take(self, most: int) -> list[str]:
        return list(islice(self._merged or iter(()), most))


class PlaceResync:
    """The resync of one place, in every state: none was asked for, it goes on, it is over."""

    def __init__(self, place: StockLocation, last: bytes | None, now_ms: int) -> None:
        """`last`: what the last owner of the place wrote down."""
        self._place = place
        self._state = None if last is None else Resync.model_validate_json(last)
        self._taken_over_ms = now_ms
        self._walk: Walk | None = None
        self._window: deque[str] = deque()
        """Given to the place in this order, from the first that was not told on."""
        self._waiting: list[str] = []
        """Those of them that were not told yet."""
        self._changes_before = 0

    @property
    def goes_on(self) -> bool:
        return self._state is not None and not self._state.done

    @property
    def ended(self) -> str | None:
        """The last one, when it is over."""
        return self._state.id if self._state is not None and self._state.done else None

    @property
    def progress(self) -> Resyncing | None:
        state = self._state
        if state is None or state.done:
            return None
        total = max(self._walk.total if self._walk is not None else 0, state.told)
        return Resyncing(id=state.id, cause=state.cause, told=state.told, total=total, started_ms=state.started_ms)

    def wants(self, asked: Ask | None, daily: Ask | None) -> tuple[Ask, Cause] | None:
        """The resync to begin; None: what there is goes on, or nothing is to be done. A daily one that was due before
        anything was known of the place here was another worker's, or of a place that was not there."""
        if asked is not None and (self._state is None or asked.at_ms > self._state.at_ms):
            return asked, "asked"
        known_ms = self._taken_over_ms if self._state is None else self._state.at_ms
        if daily is not None and daily.at_ms > known_ms:
            return daily, "daily"
        return None

    def has_nothing_for(self, ask: Ask, now_ms: int) -> Step:
        """Of a place that came after it was asked for: all of it is told for the first time anyway."""
        state = Resync(id=ask.id, cause="asked", at_ms=ask.at_ms, started_ms=now_ms, done=True)
        return Step(changes=(self._now(state),))

    def begin(self, ask: Ask, cause: Cause, now_ms: int) -> Step:
        """From the first SKU on, also when another one was going on: what is asked for now is for what is true now."""
        state = Resync(id=ask.id, cause=cause, at_ms=ask.at_ms, started_ms=now_ms)
        self._walk = None
        self._window.clear()
        self._waiting = []
        return Step(changes=(self._now(state),))

    def sort_some(self) -> bool:
        """To be called until it says that all is sorted; only then it moves."""
        state = self._state
        if state is None or state.done:
            return True
        if self._walk is None:
            self._walk = Walk(self._place.skus(), state.cursor)
            self._changes_before = self._place.figures().changes
        return self._walk.sort_some()

    def move(self, *, is_refused: Callable[[str], bool], now_ms: int) -> Step | None:
        """Goes on a little. Returns what is to be made durable before the next move, if anything is."""
        state = self._state
        if state is None or state.done or self._walk is None:
            return None
        # A SKU that the channel refuses is reported as such, and is tried on without the resync.
        self._waiting = [sku for sku in self._waiting if self._place.resends(sku) and not is_refused(sku)]
        told, cursor = self._pass_told()
        new = self._walk.take(self._room())
        if new:
            self._window.extend(new)
            again = [sku for sku in new if not is_refused(sku)]
            self._waiting += again
            self._place.send_again(again)
        ended = not self._window
        if not told and not ended:
            return None
        changes = self._place.figures().changes
        changed = state.changed + changes - self._changes_before
        self._changes_before = changes
        state = state.model_copy(
            update={"cursor": cursor or state.cursor, "told": state.told + told, "changed": changed, "done": ended}
        )
        if not ended:
            return Step(changes=(self._now(state),))
        self._walk = None
        return Step((fact_effect(self._fact(state, now_ms), state.id),), (self._now(state),))

    def _pass_told(self) -> tuple[int, str]:
        """Up to the first that waits: how many they are, and the last of them."""
        waiting, told, cursor = set(self._waiting), 0, ""
        while self._window and self._window[0] not in waiting:
            cursor = self._window.popleft()
            told += 1
        return told, cursor

    def _room(self) -> int:
        if len(self._waiting) > IN_HAND_MAX // 2:
            return 0
        return min(IN_HAND_MAX - len(self._waiting), WINDOW_MAX - len(self._window))

    def _now(self, state: Resync) -> Change:
        self._state = state
        return Change(SENT, resync_key(self._place), state.encode())

    def _fact(self, state: Resync, now_ms: int) -> ResyncDone:
        return ResyncDone(
            channel=self._place.channel,
            location=self._place.location,
            atMs=now_ms,
            resync=state.id,
            cause=state.cause,
            positions=state.told,
            changed=state.changed,
            startedMs=state.started_ms,
        )
