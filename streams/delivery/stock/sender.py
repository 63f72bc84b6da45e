"""The stock sender: sends each channel what differs between inventory.positions and inventory.sent.

It follows the partitions of inventory.positions that belong to the shards this worker owns. Nothing of a partition is
sent before all positions of before the takeover have been read: otherwise a value older than the last owner's last one
could follow it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping

from streams.delivery.ports import Caller, Clock
from streams.delivery.shutdown import STOCK_DRAIN_S, STOCK_GIVE_BACK_S
from streams.delivery.stock.operations.stock_operations import FollowedControls, StockOperations
from streams.delivery.stock.partition import StockPartition
from streams.delivery.stock.ports import SENT, StockContext
from streams.delivery.tasks import BackgroundTasks
from streams.runtime.role import Committer, PartitionLost, Tables
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.kafka.catalogue import BY_NAME
from topics.kafka.compacted_view import CompactedView

CAUGHT_UP_POLL_S = 0.02
"""Interval of asking whether a new partition has been read; a takeover takes longer anyway."""

log = logging.getLogger(__name__)


class StockSender:
    """Implements streams.delivery.ports.Stock."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        *,
        crashed: Callable[[BaseException], None],
        chance: Callable[[], float] = random.random,
        operations: StockOperations | None = None,
    ) -> None:
        """`operations` left out: those whose controls come over Kafka."""
        self._settings = settings
        self._channels = channels
        self._chance = chance
        self._operations = operations or StockOperations(channels, FollowedControls(settings))
        self._context: StockContext | None = None
        self._partitions: dict[int, StockPartition] = {}
        self._reading: dict[int, asyncio.Task[None]] = {}
        self._crashed = crashed
        self._tasks = BackgroundTasks(crashed)  # one that failed unseen would leave stock unsent
        self._followed: asyncio.Queue[tuple[frozenset[int], asyncio.Event]] = asyncio.Queue()
        name = BY_NAME["inventory.positions"].full_name(settings.topic_prefix)
        self._view = CompactedView(settings, name, self._on_position, self._on_dropped)

    async def start(self, committer: Committer, clock: Clock) -> None:
        self._context = StockContext(
            channels=self._channels,
            partitions=self._settings.partitions,
            committer=committer,
            clock=clock,
            listener=self._operations,
            spawn=self._tasks.start,
            crashed=self._crashed,
            chance=self._chance,
        )
        await self._operations.start(committer, clock)
        self._tasks.start(self._operations.run())
        await self._view.start()
        self._tasks.start(self._view.wait())
        self._tasks.start(self._follow())

    def on_assigned(self, partition: int, tables: Tables, callers: Mapping[tuple[str, int], Caller]) -> None:
        if self._context is None:
            raise RuntimeError(f"partition {partition} was assigned before the stock sender was started")
        owned = self._partitions[partition] = StockPartition(self._context, partition, tables, callers)
        self._operations.on_assigned(partition, tables[SENT])
        self._reading[partition] = self._tasks.start(self._open(owned, self._follow_owned()))

    def on_revoked(self, partition: int) -> None:
        owned = self._partitions.pop(partition, None)
        if owned is not None:
            self._reading.pop(partition).cancel()
            owned.on_revoked()
            self._operations.on_revoked(partition)
            self._follow_owned()

    async def stop(self) -> None:
        """Calls in flight may end and be recorded; no further one is made."""
        calls = [task for owned in self._partitions.values() for task in owned.close()]
        if calls:
            await asyncio.wait(calls, timeout=STOCK_DRAIN_S)
        with contextlib.suppress(PartitionLost, TimeoutError):
            async with asyncio.timeout(STOCK_GIVE_BACK_S):
                for owned in self._partitions.values():
                    await owned.return_permits()
        self._tasks.cancel()
        await self._tasks.join()
        await self._view.stop()
        await self._operations.stop()

    def ready(self) -> str | None:
        reading = sorted(partition for partition, owned in self._partitions.items() if not owned.is_recovered)
        return (
            self._operations.unready()
            or self._view.unready()
            or (f"stock positions of partitions {reading} are being read" if reading else None)
        )

    def _follow_owned(self) -> asyncio.Event:
        """Asks the view to follow what is owned now; the event is set when it does.

        A queue, because a partition that leaves and comes back must be dropped and read again: its positions as they
        were last read say nothing about what another owner has sent since.
        """
        done = asyncio.Event()
        self._followed.put_nowait((frozenset(self._partitions), done))
        return done

    async def _follow(self) -> None:
        while True:
            partitions, done = await self._followed.get()
            await self._view.set_partitions(partitions)
            done.set()

    async def _open(self, owned: StockPartition, followed: asyncio.Event) -> None:
        await followed.wait()
        while not self._view.caught_up(owned.partition):  # noqa: ASYNC110 - one view, and many partitions that ask it
            await asyncio.sleep(CAUGHT_UP_POLL_S)
        await owned.on_recovered()
        await self._operations.on_recovered(owned.partition)

    def _on_position(self, partition: int, key: bytes, value: bytes | None) -> None:
        owned = self._partitions.get(partition)
        if owned is not None:
            owned.on_position(key, value)

    def _on_dropped(self, partition: int) -> None:
        owned = self._partitions.get(partition)
        if owned is not None:
            owned.forget_positions()
