"""The delivery role: takes requests into the outbox, and gives them to the owners of their destinations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from random import Random
from types import EllipsisType

from streams.delivery import metrics
from streams.delivery.attempts import TABLE as OUTBOX
from streams.delivery.budget import decode_permits
from streams.delivery.clock import SystemClock
from streams.delivery.destinations import destinations, permits_key, schedule_of, shards_in, window_of
from streams.delivery.far_sides import FarSides
from streams.delivery.gate import Gate
from streams.delivery.headers import HeaderKeeping
from streams.delivery.intake import take, tell_of_set_aside
from streams.delivery.outbox import Entry, decode_entry, decode_header, is_entry_key, names_of_entry_key
from streams.delivery.permits import TABLE as PERMITS
from streams.delivery.permits import Permits
from streams.delivery.ports import Caller, Clock, Sender, Stock
from streams.delivery.runner import DestinationRunner
from streams.delivery.stock import StockSender
from streams.delivery.stopping import DRAIN_S
from streams.runtime.role import Change, Committer, Effect, Record, Role, Tables
from topics.configuration import Channels, Settings

log = logging.getLogger(__name__)


class DeliveryRole(Role):
    """Everything that leaves. One runner for each shard of each destination that lives here."""

    name = "delivery"
    source = "deliveries.requests"
    tables = (OUTBOX, PERMITS, "inventory.sent")

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
    ) -> None:
        """`stock` left out: the real stock sender; None: no stock is sent (a test of the rest). `crashed` left out:
        what this process knows may be ahead of what is durable, so the committer ends it."""
        self._channels = channels
        self._partitions = settings.partitions
        self._configured = destinations(channels)
        self._sender: Sender = sender or FarSides(settings, channels, crashed=self._fail)
        self._clock: Clock = clock or SystemClock()
        self._random = random or Random()
        self._stock = StockSender(settings, channels, crashed=self._fail) if isinstance(stock, EllipsisType) else stock
        self._crashed = crashed
        self._committer: Committer | None = None
        self._gates = {name: Gate() for name in self._configured}
        self._runners: dict[int, dict[tuple[str, int], DestinationRunner]] = {}
        self._headers: dict[int, HeaderKeeping] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        return take(record, tables[OUTBOX], self._channels, self._configured, self._partitions)

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:  # noqa: ARG002 - the reason says it
        return tell_of_set_aside(record, reason)

    async def start(self, committer: Committer) -> None:
        self._committer = committer
        await self._sender.start()
        if self._stock is not None:
            await self._stock.start(committer, self._clock)

    def partition_ready(self, partition: int, tables: Tables) -> None:
        if self._committer is None:
            raise RuntimeError("a partition came before start")
        runners = {
            (destination, shard): self._runner(destination, shard, partition, tables, self._committer)
            for destination, shard in shards_in(partition, self._configured, self._partitions)
        }
        self._runners[partition] = runners
        self._headers[partition] = HeaderKeeping(
            partition, tables[OUTBOX], self._committer, self._clock, self._is_idle, self._fail
        )
        self._rebuild(partition, tables)
        self._headers[partition].start()
        for runner in runners.values():
            runner.start()
        if self._stock is not None:
            callers: dict[tuple[str, int], Caller] = dict(runners)
            self._stock.partition_ready(partition, tables, callers)

    def changed(self, partition: int, changes: list[Change]) -> None:
        for change in changes:
            if change.table == OUTBOX:
                self._take_change(partition, change)

    def partition_lost(self, partition: int) -> None:
        if self._stock is not None:
            self._stock.partition_lost(partition)
        for runner in self._runners.pop(partition, {}).values():
            self._watch(runner.drop())
        keeping = self._headers.pop(partition, None)
        if keeping is not None:
            self._watch(keeping.drop())

    async def stop(self) -> None:
        until_ms = self._clock.now_ms() + round(DRAIN_S * 1000)
        runners = [runner for owned in self._runners.values() for runner in owned.values()]
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

    def ready(self) -> str | None:
        if self._failure is not None:
            return f"ended by an error: {self._failure}"
        # Without a partition there is nothing to do, which is no fault; the runtime says whether it is still joining.
        return self._sender.unready() or (self._stock.ready() if self._stock is not None else None)

    def _runner(
        self, destination: str, shard: int, partition: int, tables: Tables, committer: Committer
    ) -> DestinationRunner:
        config = self._configured[destination]
        key = permits_key(destination, shard)
        permits = Permits(
            key=key,
            partition=partition,
            window=window_of(config),
            gate=self._gates[destination],
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
            schedule=schedule_of(config),
            permits=permits,
            committer=committer,
            sender=self._sender,
            clock=self._clock,
            random=self._random,
            crashed=self._fail,
        )

    def _rebuild(self, partition: int, tables: Tables) -> None:
        """What waits, from the table: the entries in the order of their lanes, and the headers' times."""
        entries: list[Entry] = []
        for key, raw in tables[OUTBOX].items():
            if is_entry_key(key):
                entries.append(decode_entry(raw))
            else:
                self._headers[partition].note(key.decode(), decode_header(raw).last_ms)
        # Within a lane the log's order; times are of whoever wrote the records, and only tell lanes apart.
        entries.sort(key=lambda entry: entry.position)
        since_ms: dict[str, int] = {}
        for entry in entries:
            since_ms.setdefault(entry.request.lane, entry.queued_ms)
        entries.sort(key=lambda entry: since_ms[entry.request.lane])
        unknown = sum(not self._give(partition, entry) for entry in entries)
        metrics.UNKNOWN_DESTINATION.labels(str(partition)).set(unknown)
        log.info("delivery.recovered partition=%d requests=%d unknown=%d", partition, len(entries), unknown)

    def _take_change(self, partition: int, change: Change) -> None:
        if not is_entry_key(change.key):
            if change.value is not None:
                self._headers[partition].note(change.key.decode(), decode_header(change.value).last_ms)
        elif change.value is not None:
            self._give(partition, decode_entry(change.value))
        else:
            lane, request = names_of_entry_key(change.key)
            for runner in self._runners[partition].values():
                runner.remove(lane, request)

    def _give(self, partition: int, entry: Entry) -> bool:
        """Give a request to its owner; False when its destination is no longer configured: it waits, and is counted."""
        request = entry.request
        runner = self._runners[partition].get((request.destination, request.shard))
        if runner is None or request.channel not in self._channels.channels:
            log.error("delivery.unknown_destination destination=%s id=%s", request.destination, request.id)
            return False
        runner.put(entry)
        return True

    def _is_idle(self, partition: int, lane: str) -> bool:
        return all(runner.is_empty(lane) for runner in self._runners.get(partition, {}).values())

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
