"""The stock of one partition: the positions of the destination shards that live in it, and a lane for each location."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson

from streams.delivery.ports import Caller, Clock
from streams.delivery.stock_calls import touchpoint_of
from streams.delivery.stock_lane import StockLane, flight_key
from streams.delivery.stock_queue import Policy, StockQueue
from streams.runtime.role import Committer, Table
from topics.configuration import Channels
from topics.keys import channel_destination, destination_partition, position_key, shard_of, split, stock_key
from topics.positions import is_position

SCANNED_AT_ONCE = 5_000
"""Positions compared at a takeover before other work of the process gets its turn: some 20 ms."""

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class StockPartition:
    """Takes positions as they come; from `open` on it sends what differs from what the channel acknowledged."""

    def __init__(
        self,
        *,
        partition: int,
        sent: Table,
        callers: Mapping[tuple[str, int], Caller],
        channels: Channels,
        partitions: int,
        policy: Policy,
        chance: Callable[[], float],
        committer: Committer,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self.partition = partition
        self.is_open = False
        self._sent = sent
        self._callers = callers
        self._channels = channels.channels
        self._partitions = partitions
        self._policy = policy
        self._chance = chance
        self._committer = committer
        self._clock = clock
        self._spawn = spawn
        self._positions: dict[bytes, bytes] = {}
        self._lanes: dict[tuple[str, str], StockLane | None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._scanned = False

    def take(self, key: bytes, value: bytes | None) -> None:
        """A position changed, or is read for the first time."""
        if value is None:
            self._positions.pop(key, None)
        elif is_position(key):
            self._positions[key] = value
            if self._scanned:
                self._look_at(key)

    def forget_positions(self) -> None:
        self._positions.clear()

    async def open(self) -> None:
        """All that was there has been read: compare, and begin to send."""
        # Changes that come during the scan are looked at twice, which harms nothing.
        self._scanned = True
        for number, key in enumerate(list(self._positions)):
            self._look_at(key)
            if number % SCANNED_AT_ONCE == 0:
                await asyncio.sleep(0)
        self.is_open = True
        log.info("stock.recovered partition=%d positions=%d lanes=%d", self.partition, len(self._positions), self.lanes)
        for lane in self._lanes.values():
            if lane is not None:
                self._begin(lane)

    def drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for lane in self._lanes.values():
            if lane is not None:
                lane.forget()

    def end(self) -> list[asyncio.Task[None]]:
        """No further call; the tasks end with the call that is in the air."""
        for lane in self._lanes.values():
            if lane is not None:
                lane.stop()
        return [task for task in self._tasks if not task.done()]

    @property
    def lanes(self) -> int:
        return sum(lane is not None for lane in self._lanes.values())

    def _look_at(self, key: bytes) -> None:
        channel, location, sku = split(key)
        name = (channel, location)
        if name not in self._lanes:
            lane = self._lanes[name] = self._make_lane(channel, location)
            if lane is not None and self.is_open:
                self._begin(lane)
        lane = self._lanes[name]
        if lane is not None:
            lane.changed(sku)

    def _begin(self, lane: StockLane) -> None:
        self._tasks.append(self._spawn(lane.run()))

    def _make_lane(self, channel: str, location: str) -> StockLane | None:
        """None when nothing of this location is to be sent, or not from here."""
        config = self._channels.get(channel)
        if config is None or not config.offers(touchpoint_of(location)):
            log.warning("stock.not_sent channel=%s location=%s: not configured, or switched off", channel, location)
            return None
        destination = channel_destination(channel)
        shard = shard_of(stock_key(channel, location), config.marketplace.shards)
        caller = self._callers.get((destination, shard))
        if caller is None or destination_partition(destination, shard, self._partitions) != self.partition:
            log.warning("stock.not_sent channel=%s location=%s: its shard lives elsewhere now", channel, location)
            return None
        queue = StockQueue(
            lambda sku: self._positions.get(position_key(channel, location, sku)),
            lambda sku: self._sent.get(position_key(channel, location, sku)),
            self._policy,
            self._chance,
        )
        raw = self._sent.get(flight_key(channel, location))
        doubtful: set[str] = set(orjson.loads(raw)) if raw else set()
        # Before anything of the location is looked at: what another owner's call may still bring counts from now.
        queue.recover(doubtful, self._clock.now_ms())
        return StockLane(
            channel=channel,
            location=location,
            partition=self.partition,
            queue=queue,
            recorded=doubtful,
            caller=caller,
            committer=self._committer,
            clock=self._clock,
        )
