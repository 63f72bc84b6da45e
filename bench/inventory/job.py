"""The stock of the inventory benchmarks: a Zipf-distributed hot set, the same each time, and its expected end.

A SKU's quantity only ever grows, except for SKUs that go out of stock, once. So a receiver notices at once when an
older position follows a newer one.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any

import orjson

from bench.delivery.load import WARM_UP_S, WARM_UP_SHARE
from topics.records.envelope import COMMAND, Envelope, Headers
from topics.records.keys import channel_destination, destination_partition, shard_of, stock_key
from topics.schema_base import SKUS_MAX

CHANNEL = "demo"
TOUCHPOINT = "location-wise-atp-inventory"
SOURCE = "/bench"
SEED = 6
CHANGED = 0.4
"""Share of positions that differ from the one before."""
IN_STOCK = 5
"""Quantity of a SKU before it goes out of stock."""
GONE = "GONE-"
"""Prefix of the codes of SKUs that go out of stock."""

Oracle = dict[str, dict[str, int]]
"""Location -> SKU -> its last quantity."""


@dataclass(frozen=True, slots=True)
class StockBatch:
    """A batch of positions. `gone`: the SKU that goes out of stock with it."""

    location: str
    quantities: Mapping[str, int]
    gone: str | None = None

    def record(self, number: int, now_ms: int, partitions: int) -> tuple[int, bytes, bytes, Headers]:
        """Return partition, key, value and headers on inventory.updates, as from a direct producer."""
        key = stock_key(CHANNEL, self.location)
        partition = destination_partition(channel_destination(CHANNEL), shard_of(key, 1), partitions)
        items = [{"channelSkuCode": sku, "quantity": quantity} for sku, quantity in self.quantities.items()]
        value = orjson.dumps({"locationCode": self.location, "inventories": items})
        envelope = Envelope(
            id=f"bench-{number}",
            type=COMMAND + TOUCHPOINT,
            source=SOURCE,
            channel=CHANNEL,
            subject=self.location,
            time_ms=now_ms,
        )
        return partition, key, value, envelope.headers()


@dataclass(frozen=True, slots=True)
class StockWork:
    """Batches of a run; each location has `skus`. In every `gone_every`-th, a SKU goes out of stock; 0: in none."""

    batches: int
    locations: int = 2
    skus: int = 2_500
    batch: int = SKUS_MAX
    exponent: float = 1.0
    gone_every: int = 0

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> StockWork:
        return cls(**spec)

    @property
    def positions(self) -> int:
        return self.batches * self.batch

    def shelf(self) -> Iterator[StockBatch]:
        """Yield the stock before the day: every SKU, in stock."""
        for place in range(self.locations):
            skus = dict.fromkeys((_sku(number) for number in range(self.skus)), 1)
            gone = (_gone(number) for number in self._gone() if number % self.locations == place)
            stock = iter({**skus, **dict.fromkeys(gone, IN_STOCK)}.items())
            while quantities := dict(islice(stock, self.batch)):
                yield StockBatch(_location(place), quantities)

    def day(self) -> Iterator[StockBatch]:
        """Yield the batches of the day, location after location."""
        chance = random.Random(SEED)
        weights = list(accumulate(1 / (rank + 1) ** self.exponent for rank in range(self.skus)))
        known = [[1] * self.skus for _ in range(self.locations)]
        gone = set(self._gone())
        for number in range(self.batches):
            place = number % self.locations
            quantities: dict[str, int] = {_gone(number): 0} if number in gone else {}
            while len(quantities) < self.batch:
                for sku in chance.choices(range(self.skus), cum_weights=weights, k=self.batch):
                    code = _sku(sku)
                    if code not in quantities and len(quantities) < self.batch:
                        known[place][sku] += chance.random() < CHANGED
                        quantities[code] = known[place][sku]
            yield StockBatch(_location(place), quantities, _gone(number) if number in gone else None)

    def _gone(self) -> range:
        return range(0, self.batches if self.gone_every else 0, self.gone_every or 1)


@dataclass(slots=True)
class ExpectedStock:
    """The expected end of batches. `naive`: requests of a sender that forwards each batch with a change."""

    quantities: Oracle = field(default_factory=dict)
    positions: int = 0
    changed: int = 0
    naive: int = 0

    def apply(self, batch: StockBatch) -> None:
        known = self.quantities.setdefault(batch.location, {})
        changed = sum(known.get(sku) != quantity for sku, quantity in batch.quantities.items())
        known.update(batch.quantities)
        self.positions += len(batch.quantities)
        self.changed += changed
        self.naive += changed > 0


def shelf(work: StockWork) -> Oracle:
    """Return the stock before the day."""
    return _after(work.shelf(), ExpectedStock()).quantities


def expected(work: StockWork) -> ExpectedStock:
    """Return the expected end of the day. The shelf counts only in the quantities."""
    return _after(work.day(), ExpectedStock(shelf(work)))


def _after(batches: Iterable[StockBatch], found: ExpectedStock) -> ExpectedStock:
    for batch in batches:
        found.apply(batch)
    return found


def different(at_channel: Mapping[str, Mapping[str, Any]], oracle: Oracle) -> int:
    """Count the positions that differ in any member; `at_channel` has the items as they arrived."""
    wanted = {
        (location, sku): {"channelSkuCode": sku, "quantity": quantity}
        for location, known in oracle.items()
        for sku, quantity in known.items()
    }
    found = {(location, sku): item for location, known in at_channel.items() for sku, item in known.items()}
    return sum(found.get(name) != wanted.get(name) for name in found.keys() | wanted.keys())


def steady(seconds: float, positions_per_s: int, batch: int = SKUS_MAX, **more: Any) -> StockWork:
    """Return the work of so many seconds at this rate, and of the warm-up before them."""
    whole_s = seconds + WARM_UP_SHARE * WARM_UP_S
    return StockWork(batches=int(whole_s * positions_per_s / batch), batch=batch, **more)


def _location(place: int) -> str:
    return f"WH-{place:02d}"


def _sku(number: int) -> str:
    return f"SKU-{number:07d}"


def _gone(number: int) -> str:
    return f"{GONE}{number:06d}"
