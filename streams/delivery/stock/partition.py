"""The stock of one partition: the positions of the destination shards in it, and a sender for each location."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, runtime_checkable

from streams.delivery.admission.limiters.limits import limits_for
from streams.delivery.admission.permits import PERMITS, Permits, permits_left
from streams.delivery.admission.retry_after_gate import RetryAfterGate
from streams.delivery.ports import Caller
from streams.delivery.stock.budget import StockBudget
from streams.delivery.stock.calls import touchpoint_of
from streams.delivery.stock.in_doubt import InDoubtJournal, Notes, notes_by_location
from streams.delivery.stock.location import LocationSender
from streams.delivery.stock.operations.read_back import StockReader
from streams.delivery.stock.ports import SENT, StockContext
from streams.delivery.stock.queue.backoff import queue_policy
from streams.delivery.stock.queue.comparison import PositionComparison
from streams.delivery.stock.queue.dirty_queue import DirtyQueue
from streams.delivery.stock.scheduler import StockScheduler
from streams.runtime.role import Table, Tables
from streams.runtime.tables.partition_table import NO_OFFSET
from topics.configuration import budgets
from topics.configuration.channels import Channel
from topics.contract.definition import Touchpoint
from topics.records.keys import channel_destination, destination_partition, join, shard_of, split, stock_key
from topics.stock.offers import Offer
from topics.stock.position_map import PositionMap, parts_of
from topics.stock.positions import is_consolidated, is_position

SCANNED_AT_ONCE = 1_000
"""Positions compared at a takeover before other work of the process gets its turn: some 5 ms, if all of them differ."""

log = logging.getLogger(__name__)


@runtime_checkable
class _Compact(Protocol):
    """A table whose values are positions (streams/positions/position_table.py)."""

    map: PositionMap


class StockPartition:
    """Keeps positions as they come; once recovered it sends what differs from what the channel acknowledged."""

    def __init__(
        self, context: StockContext, partition: int, tables: Tables, callers: Mapping[tuple[str, int], Caller]
    ) -> None:
        self.partition = partition
        self.is_recovered = False
        self._context = context
        self._tables = tables
        self._sent = _positions_of(tables[SENT])
        self._notes = notes_by_location(tables[SENT], partition)
        self._callers = callers
        self._positions = PositionMap()
        self._locations: dict[str, LocationSender | None] = {}
        """By `channel|location`, as in the key."""
        self._schedulers: dict[tuple[str, int, str], StockScheduler] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._budgets: dict[bytes, StockBudget] = {}
        self._compares = False
        """Whether positions are compared as they come: before, all of them will be."""

    def on_position(self, key: bytes, value: bytes | None) -> None:
        """A position changed, or is read for the first time. Raises ValueError for a record that this version cannot
        read: the SKU's position before it goes on to count."""
        if not is_position(key):
            return
        parts = parts_of(key)
        if parts is None:
            raise ValueError("its key is not channel|location|sku")
        stock, sku = parts
        if value is None:
            self._positions.at(stock).delete(sku)
        else:
            self._positions.at(stock).put(sku, value, NO_OFFSET, checked=True)
        if self._compares:
            self._compare(stock, sku)

    def _compare(self, stock: str, sku: str) -> None:
        try:
            location = self._location(stock)
            if location is not None:
                location.on_position(sku)
        except Exception as error:  # noqa: BLE001 - the view would take it for a fault of the record
            self._context.crashed(error)

    def forget_positions(self) -> None:
        self._positions = PositionMap()

    async def on_recovered(self) -> None:
        """All positions of before the takeover have been read: compare them, and begin to send."""
        # Changes that come during the scan are looked at twice, which harms nothing.
        self._compares = True
        for stock, positions in list(self._positions.locations.items()):
            location = self._location(stock)
            if location is None:
                continue
            skus = list(positions.packed)
            for start in range(0, len(skus), SCANNED_AT_ONCE):
                location.compare(skus[start : start + SCANNED_AT_ONCE])
                await asyncio.sleep(0)
        self.is_recovered = True
        senders = self._senders()
        log.info(
            "stock.recovered partition=%d positions=%d locations=%d",
            self.partition,
            len(self._positions),
            len(senders),
        )
        for location in senders:
            location.open()
        for scheduler in self._schedulers.values():
            self._spawn(scheduler.run())

    def on_revoked(self) -> None:
        for task in self._tasks:
            task.cancel()
        for location in self._senders():
            location.close()

    def close(self) -> list[asyncio.Task[None]]:
        """Makes no further call; the tasks end with the calls in flight."""
        for scheduler in self._schedulers.values():
            scheduler.stop()
        return list(self._tasks)

    async def return_permits(self) -> None:
        for budget in self._budgets.values():
            await budget.return_reserved()

    def _senders(self) -> list[LocationSender]:
        return [location for location in self._locations.values() if location is not None]

    def _location(self, stock: str) -> LocationSender | None:
        if stock not in self._locations:
            location = self._locations[stock] = self._make_location(stock)
            if location is not None and self.is_recovered:
                location.open()
        return self._locations[stock]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._context.spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _make_location(self, stock: str) -> LocationSender | None:
        channel, location = split(stock.encode())
        caller = self._caller(channel, location)
        if caller is None:
            return None
        context, config = self._context, self._context.channels.channels[channel]
        positions, sent = self._positions.at(stock), self._sent.at(stock)
        comparison = PositionComparison(positions, sent, Offer(config.stock, location))
        queue = DirtyQueue(comparison, queue_policy(config.stock, location), context.chance)
        notes = self._notes.pop((channel, location), Notes())
        journal = InDoubtJournal(channel, location, notes, positions.packed)
        # Before anything of the location is compared: what another owner's call may still bring counts from now.
        queue.recover(journal.skus, context.clock.now_ms())
        reading, pace = None, config.stock.pace(location)
        if config.stock.read_back is not None and not is_consolidated(location):
            reading = StockReader(
                channel=channel,
                location=location,
                settings=config.stock.read_back,
                caller=caller,
                comparison=comparison,
                sent=sent,
                queue=queue,
            )
        return LocationSender(
            context,
            channel=channel,
            location=location,
            partition=self.partition,
            concurrency=pace.concurrency,
            positions=positions,
            queue=queue,
            journal=journal,
            budget=self._budget(join(caller.destination, str(caller.shard), "stock", location), pace.limits, 1),
            reading=reading,
            reschedule=self._scheduler(config, touchpoint_of(location), caller).reschedule,
        )

    def _caller(self, channel: str, location: str) -> Caller | None:
        """None when nothing of this location is to be sent, or not from here."""
        config = self._context.channels.channels.get(channel)
        if config is None or not config.offers(touchpoint_of(location)):
            log.warning("stock.not_sent channel=%s location=%s: not configured, or switched off", channel, location)
            return None
        destination = channel_destination(channel)
        shard = shard_of(stock_key(channel, location), config.marketplace.shards)
        caller = self._callers.get((destination, shard))
        if caller is None or destination_partition(destination, shard, self._context.partitions) != self.partition:
            log.warning("stock.not_sent channel=%s location=%s: its shard lives elsewhere now", channel, location)
            return None
        return caller

    def _scheduler(self, config: Channel, touchpoint: Touchpoint, caller: Caller) -> StockScheduler:
        """The scheduler of this kind of call of a channel, in this shard. Both kinds share the channel's budget."""
        name = (config.name, caller.shard, touchpoint.name)
        scheduler = self._schedulers.get(name)
        if scheduler is None:
            key = join(caller.destination, str(caller.shard), "stock")
            scheduler = self._schedulers[name] = StockScheduler(
                channel=config.name,
                touchpoint=touchpoint,
                caller=caller,
                budget=self._budget(key, config.stock.limits, config.marketplace.shards),
                clock=self._context.clock,
                spawn=self._spawn,
            )
            if self.is_recovered:
                self._spawn(scheduler.run())
        return scheduler

    def _budget(self, key: bytes, limits: tuple[budgets.Limit, ...], shards: int) -> StockBudget:
        """Kept under `key` beside the destination's own, on the same topic."""
        budget = self._budgets.get(key)
        if budget is None:
            permits = self._permits(key, limits, shards) if limits else None
            budget = self._budgets[key] = StockBudget(permits, self._context.clock)
        return budget

    def _permits(self, key: bytes, limits: tuple[budgets.Limit, ...], shards: int) -> Permits:
        return Permits(
            key=key,
            partition=self.partition,
            limits=limits_for(limits, shards),
            gate=RetryAfterGate(),  # the destination's own gate is kept by its dispatcher
            left=permits_left(self._tables[PERMITS], key, self.partition, self._context.clock.now_ms()),
            committer=self._context.committer,
            clock=self._context.clock,
        )


def _positions_of(table: Table) -> PositionMap:
    if not isinstance(table, _Compact):
        raise TypeError(f"{SENT} is to be kept as positions: see DeliveryRole.table_kinds")
    return table.map
