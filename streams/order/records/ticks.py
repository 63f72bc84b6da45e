"""Ticks: the passing of time as records of the log, so that its consequences are decided like any other event.

The owner of a partition writes a tick to it when an entity in it is due. A tick names a time, and a key among those due
at that very time: every entity that is due by then is decided. That depends on nothing but the log, so a tick decided
again after a crash decides the same entities, under the same ids and at the same time. A tick of a former owner, or one
that comes late or twice, finds nothing more to do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple
from uuid import uuid4

import orjson

from streams.order.model.limits import TICK_BYTES_MAX, TICK_ENTITIES_MAX
from streams.order.storage.glance import AT_ONCE, due_of, look
from streams.runtime.role import Committer, Effect, PartitionLost, Poison, Record, Table
from topics.records.envelope import NO_CHANNEL, ORDERS_SOURCE, TICK, Envelope
from topics.records.keys import TICK_KEY
from topics.records.unreadable import UNREADABLE

log = logging.getLogger(__name__)

_SPAN_MS = 10_000
"""Keys are grouped by the ten seconds in which they are due: that takes a few bytes per entity, and the keys of a span
are few enough to be sorted at once when it is due."""


class Until(NamedTuple):
    """The bound of a tick: entities that are due before `ms`, and those due at `ms` up to `key`."""

    ms: int
    key: bytes | None = None
    """None: all that are due at `ms`."""

    def covers(self, due_ms: int, key: bytes) -> bool:
        if due_ms != self.ms:
            return 0 < due_ms < self.ms
        return due_ms > 0 and (self.key is None or key <= self.key)


class DueIndex:
    """An index of one partition's entities by the time at which they are due.

    Only an index: the due time in the state counts. It may list an entity that is due later by now, or not at all. It
    lacks only entities that could not be decided, until their next event.

    Keys of a span are in a list until the span is due. Then they are sorted, once, and each tick takes the first.
    """

    __slots__ = ("_due", "_keys", "_left_out", "_opened", "_spans", "_table", "asked")

    def __init__(self, table: Table) -> None:
        """Empty: `add_all` lists what the table has."""
        self._table = table
        self._keys: defaultdict[int, list[bytes]] = defaultdict(list)
        self._spans: list[int] = []
        """The spans that have keys, as a heap."""
        self._due: list[tuple[int, bytes]] = []
        """Times and keys of the spans that were due, as a heap."""
        self._opened = -1
        """The last of those spans."""
        self._left_out: set[bytes] = set()
        """Keys that a tick decided and that are due as before: they are not listed, or in a wrong place."""
        self.asked = False
        """A tick is in the log, and is not decided yet."""

    def rebuild(self) -> None:
        """Build the index anew from the table, without decoding anything."""
        self.asked = False
        self._keys.clear()
        self._spans.clear()
        self._due.clear()
        self._opened = -1
        self._left_out.clear()
        self.add_all()

    def add_all(self) -> list[bytes]:
        """List all entities of the table. Returns the states of those that are stuck.

        One walk and one look at each: there may be a million, and nothing else runs meanwhile.
        """
        stuck = []
        for key, raw in self._table.items():
            due_ms, is_stuck = look(raw)
            self._add(key, due_ms)
            if is_stuck:
                stuck.append(raw)
        return stuck

    def _add(self, key: bytes, due_ms: int) -> None:
        """List an entity that is not listed yet. A key that no entity has is left out: no tick could name it."""
        if due_ms == AT_ONCE and not _is_text(key):
            UNREADABLE.note("orders.state", key, "its key is not UTF-8")
        elif due_ms:
            self._put(key, due_ms)

    def on_due_change(self, key: bytes, before_ms: int, due_ms: int) -> None:
        """List an entity that is due at another time (ms; 0: never). One that is due later than before is still found
        in its old place."""
        if due_ms <= 0:
            return
        span, before_span = due_ms // _SPAN_MS, before_ms // _SPAN_MS
        is_sooner = span < before_span or (due_ms < before_ms and span <= self._opened)
        # A key that was left out stays marked until a tick finds it: this record may yet be undone.
        if before_ms <= 0 or is_sooner or key in self._left_out:
            self._put(key, due_ms)

    def pop_due(self, until: Until) -> list[bytes]:
        """Take out the keys that are due by then. `put_back` or `put_back_decided` must follow for each."""
        self._open(until.ms)
        taken: dict[bytes, None] = {}
        while self._due and until.covers(*self._due[0]):
            due_ms, key = self._pop()
            if due_ms and until.covers(due_ms, key):
                taken[key] = None
            else:
                self._put(key, due_ms)
        return list(taken)

    def put_back(self, key: bytes) -> None:
        """List a key by the due time in its state now."""
        self._put(key, self._due_of(key))

    def put_back_decided(self, key: bytes, until: Until) -> None:
        """List a key again after its tick. One that is due as before is left out: it would be due at once, for ever."""
        if until.covers(self._due_of(key), key):
            log.error("%s is still due after its tick: no tick decides it any more until its next event", key)
            self._left_out.add(key)
        else:
            self.put_back(key)

    def next_until(self, now_ms: int) -> Until | None:
        """The bound of the next tick, longest due first: so many entities, and so many bytes of their states, as a tick
        may decide. None when nothing is due."""
        self._open(now_ms)
        due: list[tuple[int, bytes]] = []
        size = 0
        while self._due and self._due[0][0] <= now_ms and len(due) <= TICK_ENTITIES_MAX and size <= TICK_BYTES_MAX:
            due_ms, key = self._pop()
            if not 0 < due_ms <= now_ms:
                self._put(key, due_ms)
            elif not due or due[-1] != (due_ms, key):
                due.append((due_ms, key))
                size += len(self._table.get(key) or b"")
        for one in due:
            heappush(self._due, one)
        if len(due) > 1 and (len(due) > TICK_ENTITIES_MAX or size > TICK_BYTES_MAX):
            return Until(*sorted(due)[-2])
        return Until(now_ms) if due else None

    def _open(self, now_ms: int) -> None:
        """Sort the keys of spans that are due."""
        while self._spans and self._spans[0] * _SPAN_MS <= now_ms:
            span = heappop(self._spans)
            self._opened = max(self._opened, span)
            for key in self._keys.pop(span):
                self._left_out.discard(key)
                self._put(key, self._due_of(key))

    def _pop(self) -> tuple[int, bytes]:
        """Take out the first key, with the due time in its state now."""
        _, key = heappop(self._due)
        self._left_out.discard(key)
        return self._due_of(key), key

    def _due_of(self, key: bytes) -> int:
        raw = self._table.get(key)
        return due_of(raw) if raw is not None else 0

    def _put(self, key: bytes, due_ms: int) -> None:
        if not due_ms:
            return
        span = due_ms // _SPAN_MS
        if span <= self._opened:
            heappush(self._due, (due_ms, key))
            return
        if span not in self._keys:
            heappush(self._spans, span)
        self._keys[span].append(key)


class Ticker:
    """Writes the ticks of this worker's partitions."""

    def __init__(self, tick_s: float, clock_ms: Callable[[], int] | None = None) -> None:
        self._tick_s = tick_s
        self._clock_ms = clock_ms or (lambda: time.time_ns() // 1_000_000)
        self._due: dict[int, DueIndex] = {}
        self._committer: Committer | None = None
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, committer: Committer) -> None:
        self._committer = committer
        self._task = asyncio.create_task(self._run(committer), name="ticks")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def on_assigned(self, partition: int, table: Table) -> DueIndex:
        """Returns the partition's index, empty: the caller adds the entities of the table."""
        self._due[partition] = DueIndex(table)
        return self._due[partition]

    def on_revoked(self, partition: int) -> None:
        self._due.pop(partition, None)

    def due(self, partition: int) -> DueIndex | None:
        return self._due.get(partition)

    def on_tick_decided(self, due: DueIndex) -> None:
        """A tick was decided: the next one is written at once if more is due."""
        due.asked = False
        if due.next_until(self._clock_ms()):
            self._more.set()

    async def tick(self, committer: Committer) -> None:
        """Write one tick to each partition in which something is due."""
        for partition, due in list(self._due.items()):
            now_ms = self._clock_ms()
            until = None if due.asked or self._due.get(partition) is not due else due.next_until(now_ms)
            if until is not None:
                due.asked = True
                try:
                    await committer.commit(partition, [tick_record(partition, until, uuid4().hex, now_ms)], [])
                except PartitionLost:
                    due.asked = False

    async def _run(self, committer: Committer) -> None:
        try:
            while True:
                await self.tick(committer)
                try:
                    async with asyncio.timeout(self._tick_s):
                        await self._more.wait()
                except TimeoutError:
                    continue
                self._more.clear()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - without ticks no alarm would be raised
            committer.fail(error)


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


def tick_record(partition: int, until: Until, name: str, now_ms: int) -> Effect:
    envelope = Envelope(id=f"tick-{name}", type=TICK, source=ORDERS_SOURCE, channel=NO_CHANNEL, time_ms=now_ms)
    body: dict[str, int | str] = {"untilMs": until.ms}
    if until.key is not None:
        body["untilKey"] = until.key.decode(errors="replace")
    return Effect("orders.commands", TICK_KEY, orjson.dumps(body), envelope.headers(), partition)


def until_of(record: Record) -> Until:
    """The bound in a tick's record, which never lies after its own time. Raises Poison."""
    try:
        body = orjson.loads(record.value)
        until_ms, key = body["untilMs"], body.get("untilKey")
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Poison("BAD_DATA", f"not a tick: {error!r}") from error
    if type(until_ms) is not int:
        raise Poison("BAD_DATA", "a tick's untilMs must be a whole number")
    if key is not None and type(key) is not str:
        raise Poison("BAD_DATA", "a tick's untilKey must be a text")
    if until_ms > record.timestamp_ms:
        return Until(record.timestamp_ms)
    return Until(until_ms, key.encode() if key is not None else None)
