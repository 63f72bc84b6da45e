"""The stock of one partition: the positions of the destination shards that live in it, and a lane for each location."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, runtime_checkable

from streams.delivery.admission.limiters.limits import limits_for
from streams.delivery.admission.permits import PERMITS, Permits, decode_permits
from streams.delivery.admission.retry_after_gate import RetryAfterGate
from streams.delivery.ports import Caller, Clock
from streams.delivery.stock.calls import touchpoint_of
from streams.delivery.stock.in_doubt import Doubts
from streams.delivery.stock.location import SENT, StockLane
from streams.delivery.stock.operations.read_back import StockReader
from streams.delivery.stock.ports import StockListener
from streams.delivery.stock.queue.backoff import policy_of
from streams.delivery.stock.queue.comparison import CompactBooks
from streams.delivery.stock.queue.dirty_queue import StockQueue
from streams.delivery.stock.scheduler import StockRota
from streams.runtime.role import Committer, Table, Tables
from streams.runtime.tables.partition_table import NO_OFFSET
from topics.configuration import budgets
from topics.configuration.channels import Channel, Channels
from topics.contract.definition import Touchpoint
from topics.records.keys import channel_destination, destination_partition, join, shard_of, split, stock_key
from topics.stock.offers import Offer
from topics.stock.position_map import Location, PositionMap, parts_of
from topics.stock.positions import is_consolidated, is_position

SCANNED_AT_ONCE = 1_000
"""Positions compared at a takeover before other work of the process gets its turn: some 5 ms, if all of them differ."""

log = logging.getLogger(__name__)


Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@runtime_checkable
class _Compact(Protocol):
    """A table whose values are positions (streams/positions/position_table.py)."""

    map: PositionMap


class StockPartition:
    """Takes positions as they come; from `open` on it sends what differs from what the channel acknowledged."""

    def __init__(
        self,
        *,
        partition: int,
        tables: Tables,
        callers: Mapping[tuple[str, int], Caller],
        channels: Channels,
        partitions: int,
        chance: Callable[[], float],
        committer: Committer,
        clock: Clock,
        spawn: Spawn,
        listener: StockListener,
    ) -> None:
        self.partition = partition
        self.is_open = False
        self._tables = tables
        self._sent = _positions_of(tables[SENT])
        self._callers = callers
        self._channels = channels.channels
        self._partitions = partitions
        self._chance = chance
        self._committer = committer
        self._clock = clock
        self._spawn = spawn
        self._listener = listener
        self._positions = PositionMap()
        self._lanes: dict[str, StockLane | None] = {}
        """By channel|location as in the key."""
        self._rotas: dict[tuple[str, int, str], StockRota] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._permits: list[Permits] = []
        self._channels_permits: dict[tuple[str, int], Permits | None] = {}
        self._scanned = False

    def take(self, key: bytes, value: bytes | None) -> None:
        """A position changed, or is read for the first time."""
        parts = parts_of(key) if is_position(key) else None
        if parts is None:
            return
        stock, sku = parts
        if value is None:
            self._positions.at(stock).delete(sku)
        else:
            self._positions.at(stock).put(sku, value, NO_OFFSET)
        lane = self._lane(stock) if self._scanned else None
        if lane is not None:
            lane.changed(sku)

    def forget_positions(self) -> None:
        self._positions = PositionMap()

    async def open(self) -> None:
        """All that was there has been read: compare, and begin to send."""
        # Changes that come during the scan are looked at twice, which harms nothing.
        self._scanned = True
        for stock, location in list(self._positions.locations.items()):
            lane = self._lane(stock)
            if lane is None:
                continue
            skus = list(location.packed)
            for start in range(0, len(skus), SCANNED_AT_ONCE):
                lane.compare(skus[start : start + SCANNED_AT_ONCE])
                await asyncio.sleep(0)
        self.is_open = True
        log.info("stock.recovered partition=%d positions=%d lanes=%d", self.partition, len(self._positions), self.lanes)
        for lane in self._lanes.values():
            if lane is not None:
                lane.open()
        for rota in self._rotas.values():
            self._keep(rota.run())

    def drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for lane in self._lanes.values():
            if lane is not None:
                lane.forget()

    def end(self) -> list[asyncio.Task[None]]:
        """No further call; the tasks end with the calls that are in the air."""
        for rota in self._rotas.values():
            rota.stop()
        return list(self._tasks)

    async def give_back(self) -> None:
        """What was reserved of stock budgets and not used is free again: nothing is sent any more."""
        for permits in self._permits:
            await permits.keep(give_back=True)

    @property
    def lanes(self) -> int:
        return sum(lane is not None for lane in self._lanes.values())

    def _lane(self, stock: str) -> StockLane | None:
        if stock not in self._lanes:
            lane = self._lanes[stock] = self._make_lane(stock)
            if lane is not None and self.is_open:
                lane.open()
        return self._lanes[stock]

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _make_lane(self, stock: str) -> StockLane | None:
        """None when nothing of this location is to be sent, or not from here."""
        channel, location = split(stock.encode())
        config = self._channels.get(channel)
        touchpoint = touchpoint_of(location)
        if config is None or not config.offers(touchpoint):
            log.warning("stock.not_sent channel=%s location=%s: not configured, or switched off", channel, location)
            return None
        destination = channel_destination(channel)
        shard = shard_of(stock_key(channel, location), config.marketplace.shards)
        caller = self._callers.get((destination, shard))
        if caller is None or destination_partition(destination, shard, self._partitions) != self.partition:
            log.warning("stock.not_sent channel=%s location=%s: its shard lives elsewhere now", channel, location)
            return None
        positions = self._positions.at(stock)
        books = CompactBooks(positions, self._sent.at(stock), Offer(config.stock, location))
        queue = StockQueue(books, policy_of(config.stock, location), self._chance)
        doubts = Doubts(channel, location, self._tables[SENT].get)
        # Before anything of the location is looked at: what another owner's call may still bring counts from now.
        queue.recover(doubts.skus, self._clock.now_ms())
        pace = config.stock.pace(location)
        return StockLane(
            channel=channel,
            location=location,
            partition=self.partition,
            concurrency=pace.concurrency,
            queue=queue,
            doubts=doubts,
            permits=self._make_permits(join(destination, str(shard), "stock", location), pace.limits, 1),
            skus=lambda: list(positions.packed),
            committer=self._committer,
            clock=self._clock,
            listener=self._listener,
            moved=self._rota(config, touchpoint, caller).look,
            reading=_reading(config, location, caller, books, self._sent.at(stock), queue),
        )

    def _rota(self, config: Channel, touchpoint: Touchpoint, caller: Caller) -> StockRota:
        """Of this kind of call of a channel, in this shard."""
        name = (config.name, caller.shard, touchpoint.name)
        rota = self._rotas.get(name)
        if rota is None:
            rota = self._rotas[name] = StockRota(
                channel=config.name,
                touchpoint=touchpoint,
                caller=caller,
                permits=self._channel_permits(config, caller),
                clock=self._clock,
                spawn=self._keep,
            )
            if self.is_open:
                self._keep(rota.run())
        return rota

    def _channel_permits(self, config: Channel, caller: Caller) -> Permits | None:
        """One for both kinds of call."""
        name = (config.name, caller.shard)
        if name not in self._channels_permits:
            key = join(caller.destination, str(caller.shard), "stock")
            self._channels_permits[name] = self._make_permits(key, config.stock.limits, config.marketplace.shards)
        return self._channels_permits[name]

    def _make_permits(self, key: bytes, limits: tuple[budgets.Limit, ...], shards: int) -> Permits | None:
        """Beside the destination's own on the same topic; None without limits."""
        if not limits:
            return None
        permits = Permits(
            key=key,
            partition=self.partition,
            limits=limits_for(limits, shards),
            gate=RetryAfterGate(),  # a destination's quiet is its owner's to keep
            left=decode_permits(self._tables[PERMITS].get(key)),
            committer=self._committer,
            clock=self._clock,
        )
        self._permits.append(permits)
        return permits


def _reading(
    config: Channel, location: str, caller: Caller, books: CompactBooks, sent: Location, queue: StockQueue
) -> StockReader | None:
    """None: the channel does not say what it has of this location; of consolidated stock none does."""
    settings = config.stock.read_back
    if settings is None or is_consolidated(location):
        return None
    return StockReader(
        channel=config.name,
        location=location,
        settings=settings,
        caller=caller,
        books=books,
        sent=sent,
        queue=queue,
    )


def _positions_of(table: Table) -> PositionMap:
    if not isinstance(table, _Compact):
        raise TypeError(f"{SENT} is to be kept as positions: see DeliveryRole.table_kinds")
    return table.map
