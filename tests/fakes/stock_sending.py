"""A whole worker that sends stock, without Kafka and HTTP: positions are given; dispatchers and budgets are real."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from streams.delivery.ports import Caller, Clock
from streams.delivery.stock.partition import StockPartition
from streams.delivery.stock.ports import StockContext, StockListener
from streams.delivery.tasks import BackgroundTasks
from streams.runtime.role import Committer, Tables
from tests.fakes.delivery import PARTITIONS, Arrival, Durable, ManualClock, Played, channels_for
from tests.fakes.stock import SilentListener
from topics.configuration.channels import Channels
from topics.records.keys import channel_destination, destination_partition, position_key, shard_of, stock_key
from topics.stock.positions import encode_position


class PlayedStock:
    """streams.delivery.ports.Stock; `on_recovered` takes the place of the view that has read its partitions."""

    def __init__(self, channels: Channels, listener: StockListener) -> None:
        self._channels = channels
        self._listener = listener
        self._context: StockContext | None = None
        self._tasks: BackgroundTasks | None = None
        self.partitions: dict[int, StockPartition] = {}

    async def start(self, committer: Committer, clock: Clock) -> None:
        self._tasks = BackgroundTasks(committer.fail)
        self._context = StockContext(
            channels=self._channels,
            partitions=PARTITIONS,
            committer=committer,
            clock=clock,
            listener=self._listener,
            spawn=self._spawn,
            crashed=committer.fail,
            chance=lambda: 0.5,
        )

    def on_assigned(self, partition: int, tables: Tables, callers: Mapping[tuple[str, int], Caller]) -> None:
        assert self._context is not None
        self.partitions[partition] = StockPartition(self._context, partition, tables, callers)

    def on_revoked(self, partition: int) -> None:
        self.partitions.pop(partition).on_revoked()

    async def stop(self) -> None:
        tasks = [task for owned in self.partitions.values() for task in owned.close()]
        await asyncio.gather(*tasks, return_exceptions=True)
        for owned in self.partitions.values():
            await owned.return_permits()

    def ready(self) -> str | None:
        return None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._tasks is not None
        return self._tasks.start(work)


class StockWorker:
    """`channels`: name -> settings of [channels.NAME], as far as they matter."""

    def __init__(
        self,
        channels: Channels | None = None,
        *,
        durable: Durable | None = None,
        clock: ManualClock | None = None,
        listener: StockListener | None = None,
    ) -> None:
        self.channels = channels or channels_for()
        self.listener = listener or SilentListener()
        self.stock = PlayedStock(self.channels, self.listener)
        self.played = Played(self.channels, durable=durable, clock=clock, stock=self.stock)
        self.clock = self.played.clock
        self.sender = self.played.sender
        self.positions: dict[tuple[str, str, str], int] = {}

    async def start(self) -> StockWorker:
        """With every position that there is."""
        await self.played.start()
        for (channel, location, sku), quantity in self.positions.items():
            self._give(channel, location, sku, quantity)
        for owned in self.stock.partitions.values():
            await owned.on_recovered()
        return self

    def change(self, location: str, /, channel: str = "demo", **quantities: int) -> None:
        for sku, quantity in quantities.items():
            self.positions[channel, location, sku] = quantity
            self._give(channel, location, sku, quantity)

    async def restart(self) -> StockWorker:
        """It was killed; another goes on from what was durable, and with the same far side."""
        assert self.played.crashes == []
        await self.played.kill()
        durable = self.played.durable
        again = StockWorker(
            self.channels,
            durable=Durable(tables=durable.tables, effects=durable.effects),
            clock=self.clock,
            listener=self.listener,
        )
        again.positions = self.positions
        again.sender = again.played.sender = again.played.role._sender = self.sender
        return await again.start()

    def _give(self, channel: str, location: str, sku: str, quantity: int) -> None:
        shards = self.channels.channels[channel].marketplace.shards
        shard = shard_of(stock_key(channel, location), shards)
        owned = self.stock.partitions[destination_partition(channel_destination(channel), shard, PARTITIONS)]
        item = {"channelSkuCode": sku, "quantity": quantity}
        owned.on_position(position_key(channel, location, sku), encode_position(item))

    def told(self) -> list[tuple[str, dict[str, int]]]:
        """Of each call its location, and quantities by SKU."""
        assert self.played.crashes == []
        return [told_by(arrival) for arrival in self.sender.arrivals]


def told_by(arrival: Arrival) -> tuple[str, dict[str, int]]:
    members = arrival.call.members
    assert members is not None
    quantities = {item["channelSkuCode"]: item["quantity"] for item in members["inventories"]}
    return members["locationCode"], quantities


def stock_channels(stock: dict[str, Any] | None = None, **marketplace: Any) -> Channels:
    """The channel `demo`, with these settings of stock and of its marketplace."""
    return channels_for(marketplace=marketplace, stock=stock)
