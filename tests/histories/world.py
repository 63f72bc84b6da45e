"""One history: the real inventory role, the real sender of stock, their logs, and a channel; each may die at any step.

The inventory role runs on the runtime's steps one by one (tests/fakes/inventory_log.py), the sender on played time with
real queues, budgets and notes (tests/fakes/stock_sending.py). What a role made durable is all that a later one, or
another role, knows of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.inventory.role import InventoryRole
from streams.runtime.role import Change, Effect, PartitionLost
from tests.fakes.delivery import PARTITIONS, Durable, ManualClock
from tests.fakes.inventory_log import Worker
from tests.fakes.stock_oracle import Item, Oracle
from tests.fakes.stock_sending import StockWorker, stock_channels
from tests.histories.channel import LATE_MAX_MS, FailingChannel, Position
from tests.histories.story import LOCATIONS, Written, story
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.records.envelope import Envelope
from topics.records.keys import channel_destination, destination_partition, stock_key
from topics.stock.snapshots import SNAPSHOT_HEADER

RULES: dict[str, Any] = {
    "shares": [{"sku": "S1*", "share": 0.5}],
    "buffers": [{"sku": "S2*", "location": "L1", "units": 3}],
}
LULL_EVERY = 120
"""Records between two lulls, on average: a position that went wrong must not be mended by its next change unseen."""
CALM_MAX_MS = 2 * 3_600_000
"""By then a calm channel has all: a SKU waits a quarter of an hour at most after failures."""
STOP_MS = 60_000
"""More than any call takes."""
LULL_RUNS = 60
"""Of the inventory role: each of its steps sets some tens of thousands of positions to 0."""
DEATH_RECORDS = (150, 3_000)
"""A sender dies at the latest after so many records of its own: sometimes soon, in its first calls."""


@dataclass
class Figures:
    updates: int = 0
    records: int = 0
    lulls: int = 0
    calls: int = 0
    told: int = 0
    """Positions in all calls."""
    deaths: dict[str, int] = field(default_factory=dict)

    def died(self, who: str) -> None:
        self.deaths[who] = self.deaths.get(who, 0) + 1


class Mortal(Durable):
    """After so many records nothing is made durable any more, and whoever waits for it waits for ever."""

    left: int = 1 << 30

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        if self.lost:
            raise PartitionLost(f"partition {partition}")
        changes = list(changes)
        alive = changes[: self.left]
        self.left -= len(alive)
        await super().commit(partition, effects, alive)
        if len(alive) < len(changes) or not self.left:
            await asyncio.Event().wait()


class World:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = ManualClock()
        self.figures = Figures()
        self.findings: list[str] = []
        """What must not be, and was."""
        self.has_rules = seed % 2 == 1
        self.channels = self._channels()
        self.channel = FailingChannel(self.chance, self.clock)
        self.oracles = {location: Oracle() for location in LOCATIONS}
        self.partition = destination_partition(channel_destination("demo"), 0, PARTITIONS)
        settings = Settings(partitions=PARTITIONS)
        self.inventory = Worker(self.chance, self.partition, lambda: InventoryRole(settings, self.channels))
        self._fed = 0
        self._durable = Mortal()
        self._lives = 0

    async def play(self, updates: int) -> None:
        await self._begin_sender()
        for number, written in enumerate(story(self.chance, updates)):
            await self.clock.run_for(written.pause_ms)
            self._write(number, written)
            if self.chance.random() < 0.5:
                self._decide(crash=self.chance.random() < 0.2)
            if self._durable.left == 0:
                await self._sender_dies("at a record")
            elif self.chance.random() < 0.004:
                await self._sender_dies("with a call in the air" if self.channel.in_air else "between calls")
            elif self.chance.random() < 0.004:
                await self._sender_hands_over()
            if self.chance.random() < 1 / LULL_EVERY:
                await self._lull()
        await self._lull()

    async def end(self) -> None:
        await self._sender.played.kill()
        self._look_back()

    def _write(self, number: int, written: Written) -> None:
        worker = self.inventory
        worker.now_ms = self.clock.now_ms()
        more = ((SNAPSHOT_HEADER, written.snapshot.encode()),) if written.snapshot else ()
        envelope = Envelope(id=f"e{number}", type=written.type, source="test", channel="demo")
        worker.write(stock_key("demo", written.location), orjson.dumps(written.body), (*envelope.headers(), *more))
        self.oracles[written.location].read(number, written, worker.now_ms)
        self.figures.records += 1
        self.figures.updates += written.updates

    def _decide(self, *, crash: bool) -> None:
        life = self.inventory.table
        self.inventory.run(crash=crash)
        if self.inventory.table is not life:
            self.figures.died("inventory")
        self._feed()

    def _feed(self) -> None:
        """The sender reads what is durable of positions."""
        owned = self._sender.stock.partitions[self.partition]
        for row in self.inventory.changelog[self._fed :]:
            owned.on_position(row.key, row.value)
        self._fed = len(self.inventory.changelog)

    async def _begin_sender(self) -> None:
        """Another worker, which knows what is durable; it reads all positions before it sends."""
        self._durable = Mortal(tables=self._durable.tables, effects=[])
        self._sender = StockWorker(self.channels, durable=self._durable, clock=self.clock)
        played = self._sender.played
        self._sender.sender = played.sender = played.role._sender = self.channel  # type: ignore[assignment]
        await played.start()
        self._fed = 0
        self._feed()
        for owned in self._sender.stock.partitions.values():
            await owned.on_recovered()
        self._lives += 1
        self._durable.left = self.chance.randint(1, self.chance.choice(DEATH_RECORDS))

    async def _sender_dies(self, where: str) -> None:
        self.figures.died(f"sender {where}")
        await self._sender.played.kill()
        await self._begin_sender()

    async def _sender_hands_over(self) -> None:
        """It is asked to end: what is in the air may, and another begins."""
        self._durable.left = 1 << 30
        self.figures.died("sender in order")
        ending = asyncio.create_task(self._sender.played.role.stop())
        await self.clock.run_for(STOP_MS)
        await asyncio.wait_for(ending, STOP_MS / 1_000)
        await self._sender.played.kill()
        await self._begin_sender()

    async def _lull(self) -> None:
        """Nothing more is written, and nothing fails, for a while: the channel has to come to what is true."""
        self.channel.calm = True
        if self._durable.left == 0:
            await self._sender_dies("at a record")
        self._durable.left, left = 1 << 30, self._durable.left
        end_ms = self.clock.now_ms() + CALM_MAX_MS
        for _ in range(LULL_RUNS):  # what the role has sent itself is read as well
            self._decide(crash=False)
        while self.clock.now_ms() < end_ms and self.channel.has != self.expected():
            await self.clock.run_for(LATE_MAX_MS)
            self.channel.arrive()
        await self.clock.run_for(2 * LATE_MAX_MS)
        self.channel.arrive()
        self._compare()
        self.channel.calm = False
        self._durable.left = left

    def _channels(self) -> Channels:
        budget = {"requests": 10, "window_s": 1}
        stock = {"batch_max": 100, **(RULES if self.has_rules else {})}
        return stock_channels(stock, budget=budget)

    # What must be

    def expected(self) -> dict[Position, Item]:
        return {
            (location, sku): self._offered(location, item)
            for location, oracle in self.oracles.items()
            for sku, item in oracle.stock.items()
        }

    def _compare(self) -> None:
        expected = self.expected()
        self.figures.lulls += 1
        self.findings += [
            f"{position}: the channel has {self.channel.has.get(position)}, true is {expected.get(position)}"
            for position in sorted({*expected, *self.channel.has})
            if self.channel.has.get(position) != expected.get(position)
        ]

    def _look_back(self) -> None:
        """At all that was on the wire."""
        self.findings += [f"{position} was in two calls at once" for position in self.channel.raced]
        self.findings += [f"the sender ended: {error!r}" for error in self._sender.played.crashes]
        for (location, sku), wire in self.channel.wire.items():
            ever = [self._offered(location, item) for item in self.oracles[location].history.get(sku, ())]
            told = went_back(wire, ever)
            if told is not None:
                self.findings.append(f"{location} {sku}: {told} went on the wire after something newer")
        self.figures.calls = self.channel.calls
        self.figures.told = sum(map(len, self.channel.wire.values()))

    def _offered(self, location: str, item: Item) -> Item:
        """As RULES say, in words of its own."""
        if not self.has_rules:
            return item
        sku, quantity = item["channelSkuCode"], item["quantity"]
        if sku.startswith("S1"):
            quantity //= 2
        if location == "L1" and sku.startswith("S2"):
            quantity = max(0, quantity - 3)
        return {**item, "quantity": quantity}


def went_back(wire: list[Item], ever: list[Item]) -> Item | None:
    """The first of `wire` that is not at or behind the one before it in `ever`; None: it never went back."""
    at = 0
    for item in wire:
        while at < len(ever) and ever[at] != item:
            at += 1
        if at == len(ever):
            return item
    return None


async def history(seed: int, updates: int) -> tuple[Figures, list[str]]:
    """What happened, and what must not have happened; both follow from the arguments alone."""
    world = World(seed)
    await world.play(updates)
    await world.end()
    return world.figures, world.findings
