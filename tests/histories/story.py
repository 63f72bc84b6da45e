"""What producers write, from a seed: batches of stock with a hot set, amid them snapshots, duplicates and silences."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tests.fakes.stock_oracle import UPDATE, Item
from topics.stock.snapshots import SNAPSHOT_ABORT, SNAPSHOT_BEGIN, SNAPSHOT_END, SNAPSHOT_OPEN_MAX_S, SNAPSHOT_PART

LOCATIONS = ("L1", "L2", "L3")
SKUS = tuple(f"S{number:03}" for number in range(300))
COMING_AND_GOING = frozenset(SKUS[::3])
BATCH_MAX = 40
PART_SKUS = 40
PAUSE_MS = 120
"""Between two records, on average."""

_ZIPF = tuple(accumulate(1 / (rank + 1) for rank in range(len(SKUS))))


@dataclass(frozen=True, slots=True)
class Written:
    """One record, and how long after the one before."""

    type: str
    snapshot: str
    body: dict[str, Any]
    pause_ms: int

    @property
    def location(self) -> str:
        location: str = self.body["locationCode"]
        return location

    @property
    def updates(self) -> int:
        """SKUs it tells of."""
        return len(self.body.get("inventories", ()))


def story(chance: random.Random, updates: int) -> Iterator[Written]:
    """Records until they told of so many SKUs."""
    teller = _Teller(chance)
    told = 0
    while told < updates:
        for written in teller.next():
            told += written.updates
            yield written


class _Teller:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._quantities = 0
        self._snapshots = 0
        self._told: dict[tuple[str, str], Item] = {}
        self._open: dict[str, list[Written]] = {}
        """By location, what is still to come of its snapshot."""

    def next(self) -> list[Written]:
        chance = self._chance
        location = chance.choices(LOCATIONS, (6, 3, 1))[0]
        rest = self._open.get(location)
        if rest and chance.random() < 0.4:
            return self._again(rest.pop(0))
        if chance.random() < (0.005 if rest else 0.03):
            self._open[location] = self._snapshot(location)
            return [self._open[location].pop(0)]
        return self._again(self._update(location))

    def _again(self, written: Written) -> list[Written]:
        """Mostly once; sometimes lost before it was written, or written twice."""
        luck = self._chance.random()
        return [] if luck < 0.02 else [written] if luck < 0.95 else [written, written]

    def _update(self, location: str) -> Written:
        number = self._chance.randint(1, BATCH_MAX)
        skus = self._chance.choices(SKUS, cum_weights=_ZIPF, k=number)
        return Written(UPDATE, "", self._body(location, skus), self._pause())

    def _snapshot(self, location: str) -> list[Written]:
        self._snapshots += 1
        name, complete = f"snapshot-{self._snapshots}", self._chance.random() < 0.7
        skus = self._chance.sample(SKUS, self._chance.randint(0, len(SKUS)))
        parts = [skus[start : start + PART_SKUS] for start in range(0, len(skus), PART_SKUS)]
        bodies = [{**self._body(location, part), "part": number, "refused": []} for number, part in enumerate(parts)]
        end = Written(
            SNAPSHOT_END,
            name,
            {"locationCode": location, "parts": len(parts), "complete": complete},
            self._pause(),
        )
        if self._chance.random() < 0.15:
            end = Written(SNAPSHOT_ABORT, name, {"locationCode": location}, self._pause())
        return [
            Written(SNAPSHOT_BEGIN, name, {"locationCode": location, "complete": complete}, self._pause()),
            *(Written(SNAPSHOT_PART, name, body, self._pause()) for body in bodies),
            end,
        ]

    def _body(self, location: str, skus: list[str]) -> dict[str, Any]:
        return {"locationCode": location, "inventories": [self._item(location, sku) for sku in skus]}

    def _item(self, location: str, sku: str) -> Item:
        """Mostly a quantity that was never there, so that old and new differ; often nothing, sometimes no change.

        Some SKUs only come and go: their positions often return to what the channel was told before.
        """
        luck = self._chance.random()
        before = self._told.get((location, sku))
        if luck < 0.15 and before is not None:
            return before
        self._quantities += 1
        some = 1 if sku in COMING_AND_GOING else self._quantities
        item: Item = {"channelSkuCode": sku, "quantity": 0 if luck < 0.4 else some}
        if luck > 0.95:
            item["minExpiry"] = f"2027-01-{self._chance.randint(1, 28):02}T00:00:00Z"
        self._told[location, sku] = item
        return item

    def _pause(self) -> int:
        if self._chance.random() < 0.003:
            return (SNAPSHOT_OPEN_MAX_S + 1) * 1_000
        return int(self._chance.expovariate(1 / PAUSE_MS))
