"""The delivery role: takes requests into the outbox, and gives them to the owners of their destinations."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import groupby, islice
from random import Random
from types import EllipsisType, MappingProxyType
from typing import Any

from streams.delivery import metrics
from streams.delivery.admission import Admission
from streams.delivery.attempts import TABLE as OUTBOX
from streams.delivery.backlog import BacklogReport
from streams.delivery.breaker import Breaker
from streams.delivery.budget import decode_permits
from streams.delivery.clock import SystemClock
from streams.delivery.destinations import (
    Destinations,
    permits_key,
    runs_alike,
    schedule_of,
    shards_in,
)
from streams.delivery.far_sides import FarSides
from streams.delivery.gates import FollowedGates, Gates
from streams.delivery.headers import HeaderKeeping
from streams.delivery.health import unwatched
from streams.delivery.intake import Taken, note_gap, take, tell_of_set_aside
from streams.delivery.limiters.making import limits_for
from streams.delivery.outbox import Entry, decode_entry, entry_key, is_entry_key, names_of_entry_key
from streams.delivery.parked import Parked
from streams.delivery.permits import TABLE as PERMITS
from streams.delivery.permits import Permits
from streams.delivery.ports import Caller, Clock, Sender, Stock
from streams.delivery.runner import DestinationRunner
from streams.delivery.stock import StockSender
from streams.delivery.stock_lane import SENT
from streams.delivery.stopping import DRAIN_S
from streams.delivery.subscribers import watching
from streams.positions.position_table import PositionTable
from streams.runtime.following import Following
from streams.runtime.local_store import LocalStore
from streams.runtime.role import Change, Committer, Effect, PartitionLost, Record, Role, Tables
from topics.configuration import Channels, Settings
from topics.keys import destination_partition, join, split, subscription_destination, subscription_of
from topics.subscription_view import SubscriptionIndex, SubscriptionView
from topics.subscriptions import Backlog

log = logging.getLogger(__name__)

FORGET_MAX = 1_000
"""Requests of a deleted subscription that are dropped in one commit."""
GIVEN_AT_ONCE = 200
"""Requests that a renewed runner is given in one turn of the event loop: some 10 ms of it."""
RENEW_MARGIN_MS = 5_000
"""What is in the air ends by its time-out; its outcome has to become durable, too."""


class DeliveryRole(Role):
    """Everything that leaves. One runner for each shard of each destination that lives here."""

    name = "delivery"
    source = "deliveries.requests"
    tables = (OUTBOX, PERMITS, SENT)
    targets = ("inventory.status", "inventory.events")
    spills = frozenset({OUTBOX})
    table_kinds = MappingProxyType({SENT: PositionTable})

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        *,
        sender: Sender | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        stock: Stock | EllipsisType | None = ...,
        crashed: Callable[[BaseException], None] | None = None,
        subscriptions: SubscriptionIndex | None = None,
        gates: Gates | None = None,
    ) -> None:
        """`stock` left out: the real stock sender; None: no stock is sent (a test of the rest). `crashed` left out:
        what this process knows may be ahead of what is durable, so the committer ends it. `subscriptions` and `gates`
        left out: those of Kafka, followed from `start` on."""
        self._channels = channels
        self._partitions = settings.partitions
        self._subscriptions = subscriptions or SubscriptionView(settings)
        self._disable_after_ms = settings.subscription_disable_after_s * 1000
        self._destinations = Destinations(channels, self._subscriptions)
        self._clock: Clock = clock or SystemClock()
        self._sender: Sender = sender or FarSides(
            settings, channels, subscriptions=self._subscriptions, clock=self._clock, crashed=self._fail
        )
        self._random = random or Random()
        self._stock = StockSender(settings, channels, crashed=self._fail) if isinstance(stock, EllipsisType) else stock
        self._crashed = crashed
        self._store = LocalStore(settings.state_dir / f"delivery-{settings.instance}.lanes")
        self._committer: Committer | None = None
        self._gates = gates or FollowedGates(settings)
        self._following = Following(self._subscriptions, self._gates)
        self._breakers: defaultdict[str, Breaker] = defaultdict(lambda: Breaker(self._random))
        self._tables: dict[int, Tables] = {}
        self._taken: Taken = {}
        """Of the chunk that is being decided."""
        self._strangers: dict[int, Counter[str]] = {}
        """Requests of each partition whose destination is not known, or has no runner, by its name."""
        self._unmade: set[tuple[int, str]] = set()
        """Partitions and subscriptions of which a runner could not be made; tried again when they change."""
        self._renewing: dict[tuple[int, str, int], DestinationRunner] = {}
        """Runners of a partition, destination and shard that end before one with other settings begins, or are given
        what waits before they begin."""
        self._held: dict[tuple[int, str, int], dict[bytes, None]] = {}
        """What of their requests came or left while they are given what waits: it is theirs at the end."""
        self._runners: dict[int, dict[tuple[str, int], DestinationRunner]] = {}
        self._headers: dict[int, HeaderKeeping] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._stopping = False

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        return take(record, tables[OUTBOX], self._channels, self._destinations, self._partitions, self._taken)

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:
        tables = self._tables.get(record.partition)
        if tables is not None:
            note_gap(record, code, tables[OUTBOX])
        return tell_of_set_aside(record, reason)

    async def start(self, committer: Committer) -> None:
        self._committer = committer
        self._store.clear()
        await self._following.start(committer)
        self._subscriptions.listeners.append(self._subscription_changed)
        self._tell_of_subscriptions()
        await self._sender.start()
        if self._stock is not None:
            await self._stock.start(committer, self._clock)

    def partition_ready(self, partition: int, tables: Tables) -> None:
        if self._committer is None:
            raise RuntimeError("a partition came before start")
        far_sides = {
            (destination, shard): self._runner(destination, shard, partition, tables, self._committer)
            for destination, shard in shards_in(partition, self._destinations.far_sides, self._partitions)
        }
        self._tables[partition] = tables
        self._runners[partition] = dict(far_sides)
        self._headers[partition] = HeaderKeeping(
            partition, tables[OUTBOX], self._committer, self._clock, self._is_idle, self._fail
        )
        self._rebuild(partition)
        for subscription, shard in self._subscriptions.with_backlog():
            self._runner_of(partition, subscription_destination(subscription), shard)  # tells when nothing waits now
        self._headers[partition].start()
        for runner in far_sides.values():  # those of subscriptions began when they were given something
            runner.start()
        if self._stock is not None:
            callers: dict[tuple[str, int], Caller] = dict(far_sides)
            self._stock.partition_ready(partition, tables, callers)

    def changed(self, partition: int, changes: list[Change]) -> None:
        for change in changes:
            if change.table == OUTBOX:
                self._take_change(partition, change)
        self._taken.clear()

    def partition_lost(self, partition: int) -> None:
        if self._stock is not None:
            self._stock.partition_lost(partition)
        self._tables.pop(partition, None)
        self._strangers.pop(partition, None)
        self._told_of_unmade({known for known in self._unmade if known[0] != partition})
        ending = [runner for (of, _, _), runner in self._renewing.items() if of == partition]
        for runner in (*self._runners.pop(partition, {}).values(), *ending):
            self._watch(runner.drop())
        keeping = self._headers.pop(partition, None)
        if keeping is not None:
            self._watch(keeping.drop())

    async def stop(self) -> None:
        self._stopping = True
        until_ms = self._clock.now_ms() + round(DRAIN_S * 1000)
        runners = [runner for owned in self._runners.values() for runner in owned.values()]
        runners += self._renewing.values()
        ending = [runner.drain(until_ms) for runner in runners]
        if self._stock is not None:
            ending.append(self._stock.stop())
        for ended in await asyncio.gather(*ending, return_exceptions=True):
            if isinstance(ended, Exception):  # the steps that follow are no worse for it
                log.error("delivery.stop: %s", ended, exc_info=ended)
        for keeping in self._headers.values():
            self._watch(keeping.drop())
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._sender.stop()
        await self._following.stop()
        self._store.clear()

    def ready(self) -> str | None:
        if self._failure is not None:
            return f"ended by an error: {self._failure}"
        # Without a partition there is nothing to do, which is no fault; the runtime says whether it is still joining.
        stock = self._stock.ready() if self._stock is not None else None
        return self._sender.unready() or self._following.ready() or stock

    def _runner(
        self, destination: str, shard: int, partition: int, tables: Tables, committer: Committer
    ) -> DestinationRunner:
        config = self._destinations.get(destination)
        if config is None:
            raise RuntimeError(f"no runner for {destination}: it is not configured")
        subscription = subscription_of(destination)
        key = permits_key(destination, shard)
        permits = Permits(
            key=key,
            partition=partition,
            limits=limits_for(config.limits, config.shards),
            gate=self._gates.of(destination),
            left=decode_permits(tables[PERMITS].get(key)),
            committer=committer,
            clock=self._clock,
        )
        return DestinationRunner(
            destination=destination,
            shard=shard,
            partition=partition,
            config=config,
            outbox=tables[OUTBOX],
            parked=Parked(self._store),
            schedule=schedule_of(config),
            admission=Admission(permits=permits, breaker=self._breakers[destination], config=config, clock=self._clock),
            committer=committer,
            sender=self._sender,
            clock=self._clock,
            random=self._random,
            crashed=self._fail,
            watch=unwatched
            if subscription is None
            else watching(subscription, shard, self._subscriptions, self._disable_after_ms),
            report=None
            if subscription is None
            else BacklogReport(subscription, shard, self._subscriptions.backlog(subscription).get(shard, Backlog())),
        )

    def _rebuild(self, partition: int) -> None:
        """What waits, from the table."""
        self._strangers[partition] = Counter()
        requests = self._give_all(partition, self._rows(partition))
        unknown = self._strangers[partition].total()
        log.info("delivery.recovered partition=%d requests=%d unknown=%d", partition, requests, unknown)

    def _give_all(self, partition: int, rows: Iterable[tuple[bytes, bytes]], shard: int | None = None) -> int:
        """Give what waits, perhaps only for one shard, to its owners; returns how much it was. `rows` are in the order
        of keys, so lane after lane."""
        given = 0
        for _, lane in groupby(rows, key=lambda row: names_of_entry_key(row[0])[0]):
            # Within a lane the log's order; times are of whoever wrote the records.
            for entry in sorted((decode_entry(raw) for _, raw in lane), key=lambda entry: entry.position):
                if shard in (None, entry.request.shard):
                    self._give(partition, entry)
                    given += 1
        return given

    def _take_change(self, partition: int, change: Change) -> None:
        if not is_entry_key(change.key):
            return
        if change.value is not None:
            value, entry = self._taken.get(change.key, (b"", None))
            # By its identity: a record that was set aside after all leaves an entry whose value was never put.
            self._give(partition, entry if entry is not None and value is change.value else decode_entry(change.value))
        else:
            lane, request = names_of_entry_key(change.key)
            for runner in self._runners_of(partition, lane):
                runner.remove(lane, request)
            for (of, destination, _), held in self._held.items():
                if of == partition and destination == split(lane.encode())[0]:
                    _note_last(held, change.key)

    def _give(self, partition: int, entry: Entry) -> None:
        """Give a request to its owner. When its destination is not known it waits, and is counted."""
        request = entry.request
        if (partition, request.destination, request.shard) in self._renewing:
            held = self._held.get((partition, request.destination, request.shard))
            if held is not None:
                _note_last(held, entry_key(request.lane, request.id))
            return  # it is in the table, and so is given to the next runner
        runner = self._runner_of(partition, request.destination, request.shard)
        if runner is not None and request.channel in self._channels.channels:
            runner.put(entry)
            return
        strangers = self._strangers[partition]
        if request.destination not in strangers:
            log.error("delivery.unknown_destination destination=%s id=%s", request.destination, request.id)
            if self._destinations.is_deleted(request.destination):
                self._chore(self._forget(partition, request.destination))
        strangers[request.destination] += 1
        metrics.UNKNOWN_DESTINATION.labels(str(partition)).set(strangers.total())

    def _runner_of(self, partition: int, destination: str, shard: int) -> DestinationRunner | None:
        """The owner of a shard. A subscription's is made when it is needed for the first time."""
        runner = self._runners[partition].get((destination, shard))
        subscription = subscription_of(destination)
        if runner is not None or subscription is None or self._committer is None or self._stopping:
            return runner
        config = self._destinations.get(destination)
        home = destination_partition(destination, shard, self._partitions)
        if config is None or shard >= config.shards or home != partition or (partition, destination) in self._unmade:
            return None
        try:
            runner = self._runner(destination, shard, partition, self._tables[partition], self._committer)
        except Exception:
            # Whoever wrote these settings stops nobody else: what waits for this one goes on waiting.
            log.exception("delivery.no_runner destination=%s shard=%d: nothing is sent there", destination, shard)
            self._told_of_unmade(self._unmade | {(partition, destination)})
            return None
        self._runners[partition][destination, shard] = runner
        runner.pause(paused=not self._subscriptions.is_active(subscription))
        runner.start()
        return runner

    def _told_of_unmade(self, unmade: set[tuple[int, str]]) -> None:
        self._unmade = unmade
        metrics.NO_RUNNER.set(len({destination for _, destination in unmade}))

    # Subscriptions come, change and go

    def _tell_of_subscriptions(self) -> None:
        metrics.DISABLED_SUBSCRIPTIONS.set(self._subscriptions.disabled_number())
        metrics.UNREADABLE_SUBSCRIPTIONS.set(len(self._subscriptions.unreadable))

    def _subscription_changed(self, subscription: str) -> None:
        self._tell_of_subscriptions()
        destination = subscription_destination(subscription)
        self._told_of_unmade({known for known in self._unmade if known[1] != destination})
        for partition in self._runners:
            self._adjust(partition, destination, active=self._subscriptions.is_active(subscription))
        if self._destinations.is_deleted(destination):
            self._breakers.pop(destination, None)
            self._gates.forget(destination)
            metrics.forget(destination)

    def _adjust(self, partition: int, destination: str, *, active: bool) -> None:
        """Make what runs in a partition fit what the subscription is now."""
        runners = self._runners[partition]
        own = [(shard, runner) for (name, shard), runner in runners.items() if name == destination]
        config = self._destinations.get(destination)
        if self._destinations.is_deleted(destination):
            for shard, runner in own:
                del runners[destination, shard]
                self._watch(runner.drop())
            self._chore(self._forget(partition, destination))
        elif config is None:  # it cannot be read: nothing is sent by what it was before
            for _, runner in own:
                runner.pause(paused=True)
        else:
            for shard, runner in own:
                if runs_alike(runner.config, config):
                    runner.pause(paused=not active)
                else:
                    del runners[destination, shard]
                    self._renewing[partition, destination, shard] = runner
                    self._chore(self._renew(partition, destination, shard, runner))
            if self._strangers[partition].pop(destination, 0):
                metrics.UNKNOWN_DESTINATION.labels(str(partition)).set(self._strangers[partition].total())
                self._give_all(partition, self._rows(partition, destination))

    async def _renew(self, partition: int, destination: str, shard: int, runner: DestinationRunner) -> None:
        """Other settings are another runner's: the old one ends what it has in the air, and no lane is sent by two."""
        try:
            await runner.drain(self._clock.now_ms() + round(runner.config.timeout_s * 1000) + RENEW_MARGIN_MS)
            while not await self._refill(partition, destination, shard):
                pass
        finally:
            del self._renewing[partition, destination, shard]
            self._held.pop((partition, destination, shard), None)
        if partition in self._runners and not self._stopping and (destination, shard) not in self._runners[partition]:
            self._give_all(partition, self._rows(partition, destination), shard)

    async def _refill(self, partition: int, destination: str, shard: int) -> bool:
        """Give what waits to a new runner, a little in each turn of the event loop, and begin it; False: the settings
        or the partition's tables changed meanwhile. What the new one is given waits until it has all."""
        place, tables, config = (partition, destination, shard), self._tables.get(partition), None
        config = self._destinations.get(destination)
        home = destination_partition(destination, shard, self._partitions)
        if tables is None or config is None or self._committer is None or self._stopping:
            return True
        if shard >= config.shards or home != partition:
            return True
        try:
            runner = self._runner(destination, shard, partition, tables, self._committer)
        except Exception:  # noqa: BLE001 - `_runner_of` tries again, and says why it cannot be made
            return True
        held = self._held[place] = {}
        self._renewing[place] = runner
        given = 0
        for _, lane in groupby(self._rows(partition, destination), key=lambda row: names_of_entry_key(row[0])[0]):
            entries = [decode_entry(raw) for key, raw in lane if key not in held]
            for entry in sorted(entries, key=lambda entry: entry.position):
                if entry.request.shard == shard and entry.request.channel in self._channels.channels:
                    runner.put(entry)
                    given += 1
            if given >= GIVEN_AT_ONCE:
                given = 0
                await asyncio.sleep(0)
                if self._stopping:
                    return True
                if self._tables.get(partition) is not tables:
                    return False
        now = self._destinations.get(destination)
        if now is None or not runs_alike(now, config):
            self._watch(runner.drop())
            return False
        for key in held:
            raw = tables[OUTBOX].get(key)
            if raw is None:
                runner.remove(*names_of_entry_key(key))
            else:
                entry = decode_entry(raw)
                if entry.request.shard == shard and entry.request.channel in self._channels.channels:
                    runner.put(entry)
        self._runners[partition][destination, shard] = runner
        runner.pause(paused=not self._subscriptions.is_active(subscription_of(destination) or ""))
        runner.start()
        return True

    async def _forget(self, partition: int, destination: str) -> None:
        """What waits for a subscription that was deleted is dropped."""
        if self._committer is None:
            raise RuntimeError("a subscription came before start")
        rows = self._rows(partition, destination)
        dropped = 0
        while changes := [Change(OUTBOX, key, None) for key, _ in islice(rows, FORGET_MAX)]:
            await self._committer.commit(partition, (), changes)
            metrics.DROPPED.inc(len(changes))
            dropped += len(changes)
        if dropped:
            log.info("delivery.dropped partition=%d destination=%s requests=%d", partition, destination, dropped)
        if partition in self._strangers and self._strangers[partition].pop(destination, 0):
            metrics.UNKNOWN_DESTINATION.labels(str(partition)).set(self._strangers[partition].total())

    def _rows(self, partition: int, destination: str | None = None) -> Iterator[tuple[bytes, bytes]]:
        """The requests that the table holds, of one destination or of all, with their keys and in the order of these;
        nothing when the partition left. Never all of them in memory."""
        tables, prefix = self._tables.get(partition), b"" if destination is None else join(destination) + b"|"
        rows = tables[OUTBOX].walk(prefix) if tables is not None else iter(())
        return ((key, raw) for key, raw in rows if is_entry_key(key))

    def _is_idle(self, partition: int, lane: str) -> bool:
        """Whether nothing of the lane is being sent; what waits without a runner is in the table."""
        destination = split(lane.encode())[0]
        ends = any((of, name) == (partition, destination) for of, name, _ in self._renewing)
        return not ends and all(runner.is_empty(lane) for runner in self._runners_of(partition, lane))

    def _runners_of(self, partition: int, lane: str) -> list[DestinationRunner]:
        """Those that may have the lane: its destination's."""
        destination = split(lane.encode())[0]
        return [runner for (name, _), runner in self._runners.get(partition, {}).items() if name == destination]

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        """Work beside the runners; a partition that leaves ends it."""
        self._watch([asyncio.get_running_loop().create_task(self._guarded(work))])

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except PartitionLost:
            return
        except Exception as error:
            self._fail(error)
            raise

    def _watch(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Keep cancelled tasks until they ended, or the event loop would forget them half-way."""
        for task in tasks:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        if self._crashed is not None:
            self._crashed(error)
        elif self._committer is not None:
            self._committer.fail(error)


def _note_last(held: dict[bytes, None], key: bytes) -> None:
    held.pop(key, None)
    held[key] = None
