"""One destination in one partition: the runners of its shards that live there, and how they come by what waits.

A runner sends from when it has been given all that the table holds for it, so no lane is begun from its middle. Giving
it takes long for a backlog, and is done in slices (slices.py). What comes or changes meanwhile is held by its key, and
given at the end, as the table has it then; what changes in a lane of which nothing is held is given at once.

A subscription changes while it runs. Other settings are other runners': the old ones end what they have in the air,
then the new ones are given what waits, so nothing is sent by two. One that changes while it is being given is looked at
again at the end. What waits for a deleted one is dropped.
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
from streams.delivery.outbox.records import (
    OUTBOX,
    SEPARATOR,
    OutboxEntry,
    decode_entry,
    entry_key,
    is_entry_key,
    names_of_entry_key,
)
from streams.delivery.ports import Clock
from streams.delivery.tasks import REQUEST, ROW, BackgroundTasks, TimeSlicer
from streams.runtime.role import Change, Committer, Tables
from topics.records.keys import join, subscription_of
from topics.subscriptions.index import SubscriptionIndex

FORGET_MAX = 1_000
"""Requests of a deleted subscription that are dropped in one commit."""
RENEW_MARGIN_MS = 5_000
"""What is in the air ends by its time-out; its outcome has to become durable, too."""

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class DispatchDependencies:
    """What the owners of all destinations in all partitions share."""

    channels: Collection[str]
    destinations: Destinations
    subscriptions: SubscriptionIndex
    runners: DispatcherFactory
    slices: TimeSlicer
    chores: BackgroundTasks
    committer: Committer
    clock: Clock


@dataclass(kw_only=True)
class PartitionState:
    """The partition. `over`: it left, or the process ends; nothing is given or begun any more. `strangers`: requests
    whose destination is not known, or has no runner."""

    shared: DispatchDependencies
    partition: int
    tables: Tables
    owners: dict[str, PartitionDestination] = field(default_factory=dict)
    over: bool = False
    strangers: int = 0

    def count_strangers(self, more: int) -> None:
        self.strangers += more
        metrics.UNKNOWN_DESTINATION.labels(str(self.partition)).set(self.strangers)

    def give(self, work: Iterator[int]) -> None:
        """Begin to do `work` in slices; it ends with the partition."""
        self.shared.chores.begin(self.shared.slices.run(self._until_over(work)))

    def _until_over(self, work: Iterator[int]) -> Iterator[int]:
        while not self.over and (cost := next(work, None)) is not None:
            yield cost


@dataclass
class _Filling:
    """Runners are given what waits. `held`: the requests, by their lanes, that came, changed or left meanwhile.
    `walked`: the table was passed, so a lane of which nothing is held has been given whole. `changed`: the subscription
    has, since it began."""

    held: dict[str, dict[str, None]] = field(default_factory=dict)
    walked: bool = False
    changed: bool = False

    def holds(self, lane: str, request: str) -> bool:
        """Note what came or left; False: it can be given at once."""
        if self.walked and lane not in self.held:
            return False
        held = self.held.setdefault(lane, {})
        held.pop(request, None)
        held[request] = None
        return True


class PartitionDestination:
    """See the module. What comes is taken, also while nothing is sent."""

    def __init__(self, destination: str, here: PartitionState) -> None:
        self.destination = destination
        self.prefix = join(destination) + b"|"
        self._here = here
        self._shared = here.shared
        self._subscription = subscription_of(destination)
        self._begun: dict[int, Dispatcher] = {}
        """By shard: those that were given everything, and send."""
        self._new: dict[int, Dispatcher] = {}
        """Those that are given what waits."""
        self._ending: list[Dispatcher] = []
        """Those that end before others with new settings are made."""
        self._filling: _Filling | None = None
        self._strangers = 0

    @property
    def runners(self) -> dict[int, Dispatcher]:
        """By shard, those that take requests."""
        return {**self._begun, **self._new}

    @property
    def all_runners(self) -> list[Dispatcher]:
        """Those that end, too."""
        return [*self.runners.values(), *self._ending]

    def hold(self) -> None:
        """Everything is held until `fill` begins, which must follow."""
        self._filling = _Filling()

    def make(self, shard: int) -> None:
        """A runner for a shard, whether something waits or not; before `fill`, which begins it."""
        here = self._here
        if self._subscription is not None:
            self._make(shard)
        else:
            self._new[shard] = self._shared.runners.make(self.destination, shard, here.partition, here.tables)

    # What comes and goes

    def take(self, entry: OutboxEntry) -> None:
        """A request came, or changed."""
        request = entry.request
        if request.shard in self._begun:
            self._give(entry)
        elif self._ending:
            return  # it is in the table, and so is given to the next runner
        elif self._filling is None or not self._filling.holds(request.lane, request.id):
            self._give(entry)

    def remove(self, lane: str, request: str) -> None:
        """A request left by another way than being sent."""
        for runner in self.runners.values():
            runner.remove(lane, request)
        if self._filling is not None:
            self._filling.holds(lane, request)

    def is_idle(self, lane: str) -> bool:
        """Whether nothing of the lane is being sent; what waits without a runner is in the table."""
        return not self._ending and all(runner.is_empty(lane) for runner in self.runners.values())

    def _give(self, entry: OutboxEntry) -> None:
        """Give a request to its runner. When there is none it waits, and is counted."""
        request = entry.request
        runner = self._begun.get(request.shard) or self._new.get(request.shard) or self._make(request.shard)
        if runner is not None and request.channel in self._shared.channels:
            runner.put(entry)
            return
        if not self._strangers:
            log.error("delivery.unknown_destination destination=%s id=%s", self.destination, request.id)
            if self._shared.destinations.is_deleted(self.destination):
                self._shared.chores.begin(self._forget())
        self._strangers += 1
        self._here.count_strangers(1)

    def _make(self, shard: int) -> Dispatcher | None:
        """A subscription's runner is made when it is needed for the first time."""
        here = self._here
        if self._subscription is None or here.over:
            return None
        runner = self._shared.runners.make_for_subscription(self.destination, shard, here.partition, here.tables)
        if runner is None:
            return None
        if self._filling is not None:
            self._new[shard] = runner
        else:
            self._begun[shard] = runner
            self._begin(runner)
        return runner

    def _begin(self, runner: Dispatcher) -> None:
        if self._subscription is not None:
            runner.pause(paused=not self._shared.subscriptions.is_active(self._subscription))
        runner.start()

    # What waits is given

    def fill(self, rows: Iterator[tuple[bytes, bytes]]) -> Generator[int, None, int]:
        """Give what waits to those that have not begun, then begin them; yields what each step costs, and returns how
        much waited. `rows`: what the table holds of this destination, in the order of keys, so lane after lane."""
        filling = self._filling = self._filling or _Filling()
        self._forget_strangers()
        waited = 0
        if self._shared.destinations.is_deleted(self.destination):
            filling.held.clear()
            for _ in rows:
                yield ROW
        else:
            waited = yield from self._give_rows(rows, filling)
            filling.walked = True
            yield from self._give_held(filling)
        self._filled(filling)
        return waited

    def _give_rows(self, rows: Iterator[tuple[bytes, bytes]], filling: _Filling) -> Generator[int, None, int]:
        waited = 0
        for lane, of_lane in groupby(rows, key=lambda row: row[0].partition(SEPARATOR)[0]):
            held = filling.held.get(lane.decode(), {})
            waiting = {key: raw for key, raw in of_lane if is_entry_key(key)}
            entries = [decode_entry(raw) for key, raw in waiting.items() if names_of_entry_key(key)[1] not in held]
            # Within a lane the log's order; times are of whoever wrote the records.
            for entry in sorted(entries, key=lambda entry: entry.position):
                if entry.request.shard not in self._begun:
                    self._give(entry)
            waited += len(waiting)
            yield ROW + REQUEST * len(waiting)
        return waited

    def _give_held(self, filling: _Filling) -> Iterator[int]:
        while filling.held:
            lane = next(iter(filling.held))
            requests = filling.held.pop(lane)
            for request in requests:
                raw = self._here.tables[OUTBOX].get(entry_key(lane, request))
                if raw is not None:
                    self._give(decode_entry(raw))
                else:
                    self.remove(lane, request)
            yield REQUEST * len(requests)

    def _filled(self, filling: _Filling) -> None:
        """All have everything: from here on they send, by what the destination is now."""
        self._filling = None
        new, self._new = self._new, {}
        if filling.changed and self._strangers:  # a runner that was made amid it may lack what was passed before
            self.drop(new.values())
            new = {}
        self._begun |= new
        if filling.changed or self._shared.destinations.is_deleted(self.destination):
            self.adjust()
        for shard, runner in new.items():
            if self._begun.get(shard) is runner:
                self._begin(runner)

    # The subscription changed

    def adjust(self) -> None:
        """Make what runs fit what the subscription is now."""
        deleted = self._shared.destinations.is_deleted(self.destination)
        config = self._shared.destinations.get(self.destination)
        if self._ending:  # what follows looks at it as it is then
            if deleted:
                self.drop(self._ending)
        elif self._filling is not None:
            self._filling.changed = True
        elif deleted:
            self.drop(self._begun.values())
            self._begun = {}
            self._shared.chores.begin(self._forget())
        elif config is None:  # it cannot be read: nothing is sent by what it was before
            for runner in self._begun.values():
                runner.pause(paused=True)
        elif not all(runs_alike(runner.config, config) for runner in self._begun.values()):
            self._ending, self._begun = list(self._begun.values()), {}
            self._shared.chores.begin(self._renew())
        else:
            active = self._subscription is not None and self._shared.subscriptions.is_active(self._subscription)
            for runner in self._begun.values():
                runner.pause(paused=not active)
            if self._strangers:
                self._refill()

    async def _renew(self) -> None:
        """The old runners end what they have in the air, and no lane is sent by two."""
        now_ms = self._shared.clock.now_ms()
        ends = [
            runner.drain(now_ms + round(runner.config.timeout_s * 1000) + RENEW_MARGIN_MS) for runner in self._ending
        ]
        await asyncio.gather(*ends)
        self._ending = []
        self._refill()

    def _refill(self) -> None:
        self.hold()
        self._here.give(self.fill(self._here.tables[OUTBOX].walk(self.prefix)))

    async def _forget(self) -> None:
        """What waits for a subscription that was deleted is dropped."""
        rows = self._here.tables[OUTBOX].walk(self.prefix)
        entries = (key for key, _ in rows if is_entry_key(key))
        dropped = 0
        while not self._here.over and (keys := list(islice(entries, FORGET_MAX))):
            await self._shared.committer.commit(self._here.partition, (), [Change(OUTBOX, key, None) for key in keys])
            metrics.DROPPED.inc(len(keys))
            dropped += len(keys)
        if dropped:
            partition = self._here.partition
            log.info("delivery.dropped partition=%d destination=%s requests=%d", partition, self.destination, dropped)
        if not self._here.over:
            self._forget_strangers()
            if self._here.owners.get(self.destination) is self:
                del self._here.owners[self.destination]

    def _forget_strangers(self) -> None:
        if self._strangers:
            self._here.count_strangers(-self._strangers)
            self._strangers = 0

    def drop(self, runners: Collection[Dispatcher]) -> None:
        """End them at once."""
        for runner in runners:
            self._shared.chores.keep(runner.drop())
