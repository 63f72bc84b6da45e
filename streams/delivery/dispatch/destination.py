"""One destination in one partition: the dispatchers of its shards that live there, and how they load the backlog.

A dispatcher sends nothing before it has everything that the table holds for it, so no lane begins in its middle. A
backlog takes long to load, and is loaded in slices (tasks.py). A change that comes meanwhile is deferred under its key,
and applied at the end as the table has it then; a change in a lane without a deferred one is applied at once.

A subscription may change while it is sent to. Other settings need other dispatchers: the old ones finish their requests
in flight, then the new ones load the backlog, so no lane is sent by two. If the subscription changes while its backlog
is loaded, it is looked at again at the end. The backlog of a deleted subscription is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice

from streams.delivery import metrics
from streams.delivery.destinations import Destinations, runs_alike
from streams.delivery.dispatch.dispatcher import Dispatcher
from streams.delivery.dispatch.dispatcher_factory import DispatcherFactory
from streams.delivery.dispatch.shard import Worker
from streams.delivery.outbox.records import (
    OUTBOX,
    OutboxEntry,
    check_lane,
    decode_entry,
    decode_header,
    read_entry,
)
from streams.delivery.tasks import REQUEST, ROW, BackgroundTasks, TimeSlicer
from streams.runtime.role import Change, Tables
from topics.records.keys import SEPARATOR, entry_key, is_entry_key, join, subscription_of
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.subscriptions.index import SubscriptionIndex

DROPPED_AT_ONCE_MAX = 1_000
"""Requests of a deleted subscription that are dropped in one commit."""
RENEW_MARGIN_MS = 5_000
"""A request in flight ends by its time-out; then its outcome must become durable, too."""

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class DispatchDependencies:
    """Parts that all destinations in all partitions share."""

    channels: Collection[str]
    destinations: Destinations
    subscriptions: SubscriptionIndex
    factory: DispatcherFactory
    slicer: TimeSlicer
    tasks: BackgroundTasks
    worker: Worker


@dataclass(kw_only=True)
class PartitionContext:
    """State shared by the destinations of one partition. `closed`: the partition was revoked or the process shuts down;
    nothing new starts. `unroutable`: requests whose destination is not known, or has no dispatcher."""

    shared: DispatchDependencies
    partition: int
    tables: Tables
    destinations: dict[str, PartitionDestination] = field(default_factory=dict)
    closed: bool = False
    unroutable: int = 0

    def count_unroutable(self, more: int) -> None:
        self.unroutable += more
        metrics.UNKNOWN_DESTINATION.labels(str(self.partition)).set(self.unroutable)

    def run_sliced(self, work: Iterator[int]) -> None:
        """Do `work` in slices, in the background; it ends when the partition is closed."""
        self.shared.tasks.start(self.shared.slicer.run(self._until_closed(work)))

    def _until_closed(self, work: Iterator[int]) -> Iterator[int]:
        while not self.closed and (cost := next(work, None)) is not None:
            yield cost


@dataclass
class _Loading:
    """State of one load of a backlog. `deferred`: requests, by lane, that came, changed or left meanwhile. `walked`:
    the whole table was passed, so a lane without a deferred request is loaded. `changed`: the subscription has
    changed since the load began."""

    deferred: dict[str, dict[str, None]] = field(default_factory=dict)
    walked: bool = False
    changed: bool = False

    def defer(self, lane: str, request: str) -> bool:
        """Note a request that came or left; False when it can be applied at once."""
        if self.walked and lane not in self.deferred:
            return False
        requests = self.deferred.setdefault(lane, {})
        requests.pop(request, None)
        requests[request] = None
        return True


class PartitionDestination:
    """See the module. Requests are accepted also while nothing is sent."""

    def __init__(self, destination: str, context: PartitionContext) -> None:
        self.destination = destination
        self.prefix = join(destination) + b"|"
        self._context = context
        self._shared = context.shared
        self._subscription = subscription_of(destination)
        self._started: dict[int, Dispatcher] = {}
        """Dispatchers that have their whole backlog and send, by shard."""
        self._new: dict[int, Dispatcher] = {}
        """Dispatchers whose backlog is being loaded, by shard."""
        self._draining: list[Dispatcher] = []
        """Dispatchers that end before others with new settings are created."""
        self._loading: _Loading | None = None
        self._unroutable = 0
        self._held: set[str] = set()
        """Lanes with something that this version cannot read."""

    @property
    def dispatchers(self) -> dict[int, Dispatcher]:
        """The dispatchers that accept requests, by shard."""
        return {**self._started, **self._new}

    @property
    def all_dispatchers(self) -> list[Dispatcher]:
        """The dispatchers that accept requests, and those that are draining."""
        return [*self.dispatchers.values(), *self._draining]

    def defer_all(self) -> None:
        """Defer every change until `load` begins, which must follow."""
        self._loading = _Loading()

    def add_dispatcher(self, shard: int) -> None:
        """Create the dispatcher of a shard even if it has no backlog; `load`, which starts it, must follow."""
        context = self._context
        if self._subscription is not None:
            self._create(shard)
        else:
            factory = self._shared.factory
            self._new[shard] = factory.create(self.destination, shard, context.partition, context.tables)

    # Requests that come and go

    def on_entry(self, entry: OutboxEntry) -> None:
        """A request came, or changed."""
        request = entry.request
        if request.shard in self._started:
            self._enqueue(entry)
        elif self._draining:
            return  # it is in the table, from which the next dispatcher loads it
        elif self._loading is None or not self._loading.defer(request.lane, request.id):
            self._enqueue(entry)

    def on_entry_removed(self, lane: str, request: str) -> None:
        """A request left by another way than being sent."""
        for dispatcher in self.dispatchers.values():
            dispatcher.remove(lane, request)
        if self._loading is not None:
            self._loading.defer(lane, request)

    def is_idle(self, lane: str) -> bool:
        """Whether no request of the lane is being sent; one without a dispatcher waits in the table."""
        return not self._draining and all(dispatcher.is_empty(lane) for dispatcher in self.dispatchers.values())

    def _enqueue(self, entry: OutboxEntry) -> None:
        """Give a request to its dispatcher. Without one it waits, and counts as unroutable. In a held lane it waits."""
        request = entry.request
        if self._held and request.lane in self._held:
            return
        dispatcher = self._started.get(request.shard) or self._new.get(request.shard) or self._create(request.shard)
        if dispatcher is not None and request.channel in self._shared.channels:
            dispatcher.enqueue(entry)
            return
        if not self._unroutable:
            log.error("delivery.unknown_destination destination=%s id=%s", self.destination, request.id)
            if self._shared.destinations.is_deleted(self.destination):
                self._shared.tasks.start(self._drop_backlog())
        self._unroutable += 1
        self._context.count_unroutable(1)

    def _create(self, shard: int) -> Dispatcher | None:
        """Create a subscription's dispatcher when it is needed for the first time."""
        context = self._context
        if self._subscription is None or context.closed:
            return None
        dispatcher = self._shared.factory.create_for_subscription(
            self.destination, shard, context.partition, context.tables
        )
        if dispatcher is None:
            return None
        if self._loading is not None:
            self._new[shard] = dispatcher
        else:
            self._started[shard] = dispatcher
            self._start(dispatcher)
        return dispatcher

    def _start(self, dispatcher: Dispatcher) -> None:
        if self._subscription is not None:
            dispatcher.pause(paused=not self._shared.subscriptions.is_active(self._subscription))
        dispatcher.start()

    # Loading the backlog

    def load(self, rows: Iterator[tuple[bytes, bytes]]) -> Generator[int, None, int]:
        """Load the backlog into the new dispatchers, then start them; yields the cost of each step, returns the number
        of waiting requests. `rows`: the table's rows of this destination in the order of keys, so lane after lane."""
        loading = self._loading = self._loading or _Loading()
        self._reset_unroutable()
        self._held.clear()
        waiting = 0
        if self._shared.destinations.is_deleted(self.destination):
            loading.deferred.clear()
            for _ in rows:
                yield ROW
        else:
            waiting = yield from self._load_rows(rows, loading)
            loading.walked = True
            yield from self._apply_deferred(loading)
        self._on_loaded(loading)
        return waiting

    def _load_rows(self, rows: Iterator[tuple[bytes, bytes]], loading: _Loading) -> Generator[int, None, int]:
        loaded = 0
        headers: list[tuple[bytes, bytes]] = []
        """Those whose entries may follow: the key of each begins with the one before it. A request beside its lane has
        a lane of its own, whose key comes between the lane's header and the lane's entries."""
        for lane, of_lane in groupby(rows, key=lambda row: row[0].partition(SEPARATOR)[0]):
            while headers and not lane.startswith(headers[-1][0]):
                headers.pop()
            waiting = {}
            for key, raw in of_lane:
                if is_entry_key(key):
                    waiting[key] = raw
                else:
                    headers.append((key, raw))
            header = next((raw for key, raw in reversed(headers) if key == lane), None) if waiting else None
            for entry in self._read_lane(lane, header, waiting, loading) if waiting else ():
                if entry.request.shard not in self._started:
                    self._enqueue(entry)
            loaded += len(waiting)
            yield ROW + REQUEST * len(waiting)
        return loaded

    def _read_lane(
        self, lane: bytes, header: bytes | None, waiting: dict[bytes, bytes], loading: _Loading
    ) -> list[OutboxEntry]:
        """The waiting requests of a lane in their order, without those that came or left meanwhile. A lane with
        anything that this version cannot read is held: nothing of it may overtake that."""
        key = lane
        try:
            deferred = loading.deferred.get(lane.decode(), {})
            decode_header(header)
            entries = []
            for key, raw in waiting.items():
                entry = read_entry(key, raw)
                if entry.request.id not in deferred:
                    entries.append(entry)
        except (UnreadableError, UnicodeDecodeError) as error:
            self._held.add(lane.decode(errors="replace"))
            UNREADABLE.note(OUTBOX, key, error, partition=self._context.partition)
            return []
        # Within a lane the log's order: the times are those of the writers' clocks.
        entries.sort(key=lambda entry: entry.position)
        check_lane(entries)
        return entries

    def _apply_deferred(self, loading: _Loading) -> Iterator[int]:
        while loading.deferred:
            lane = next(iter(loading.deferred))
            requests = loading.deferred.pop(lane)
            for request in requests:
                raw = self._context.tables[OUTBOX].get(entry_key(lane, request))
                if raw is not None:
                    self._enqueue(decode_entry(raw))
                else:
                    self.on_entry_removed(lane, request)
            yield REQUEST * len(requests)

    def _on_loaded(self, loading: _Loading) -> None:
        """All dispatchers have their backlog: from here on they send, by the destination's present settings."""
        self._loading = None
        new, self._new = self._new, {}
        if loading.changed and self._unroutable:  # a dispatcher created amid it may lack what was passed before
            self.cancel(new.values())
            new = {}
        self._started |= new
        if loading.changed or self._shared.destinations.is_deleted(self.destination):
            self.on_subscription_changed()
        for shard, dispatcher in new.items():
            if self._started.get(shard) is dispatcher:
                self._start(dispatcher)

    # The subscription changed

    def on_subscription_changed(self) -> None:
        """Make the dispatchers fit the present settings of the subscription."""
        deleted = self._shared.destinations.is_deleted(self.destination)
        config = self._shared.destinations.get(self.destination)
        if self._draining:  # the load that follows reads the settings of that time
            if deleted:
                self.cancel(self._draining)
        elif self._loading is not None:
            self._loading.changed = True
        elif deleted:
            self.cancel(self._started.values())
            self._started = {}
            self._shared.tasks.start(self._drop_backlog())
        elif config is None:  # its record cannot be read: nothing is sent by the former settings
            for dispatcher in self._started.values():
                dispatcher.pause(paused=True)
        elif not all(runs_alike(dispatcher.config, config) for dispatcher in self._started.values()):
            self._draining, self._started = list(self._started.values()), {}
            self._shared.tasks.start(self._renew())
        else:
            active = self._subscription is not None and self._shared.subscriptions.is_active(self._subscription)
            for dispatcher in self._started.values():
                dispatcher.pause(paused=not active)
            if self._unroutable:
                self._reload()

    async def _renew(self) -> None:
        """Let the old dispatchers finish their requests in flight, so that no lane is sent by two; then load anew."""
        now_ms = self._shared.worker.clock.now_ms()
        drains = [
            dispatcher.drain(now_ms + round(dispatcher.config.timeout_s * 1000) + RENEW_MARGIN_MS)
            for dispatcher in self._draining
        ]
        await asyncio.gather(*drains)
        self._draining = []
        self._reload()

    def _reload(self) -> None:
        self.defer_all()
        self._context.run_sliced(self.load(self._context.tables[OUTBOX].walk(self.prefix)))

    async def _drop_backlog(self) -> None:
        """Drop the requests of a deleted subscription."""
        rows = self._context.tables[OUTBOX].walk(self.prefix)
        entries = (key for key, _ in rows if is_entry_key(key))
        partition, dropped = self._context.partition, 0
        while not self._context.closed and (keys := list(islice(entries, DROPPED_AT_ONCE_MAX))):
            await self._shared.worker.committer.commit(partition, (), [Change(OUTBOX, key, None) for key in keys])
            metrics.DROPPED.inc(len(keys))
            dropped += len(keys)
        if dropped:
            log.info("delivery.dropped partition=%d destination=%s requests=%d", partition, self.destination, dropped)
        if not self._context.closed:
            self._reset_unroutable()
            if self._context.destinations.get(self.destination) is self:
                del self._context.destinations[self.destination]

    def _reset_unroutable(self) -> None:
        if self._unroutable:
            self._context.count_unroutable(-self._unroutable)
            self._unroutable = 0

    def cancel(self, dispatchers: Collection[Dispatcher]) -> None:
        """End dispatchers at once."""
        for dispatcher in dispatchers:
            self._shared.tasks.keep(dispatcher.cancel())
