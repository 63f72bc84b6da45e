"""What records of stock say, read once and plainly: no notes, no steps, no crashes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from topics.records.envelope import COMMAND
from topics.stock.snapshots import SNAPSHOT_ABORT, SNAPSHOT_BEGIN, SNAPSHOT_END, SNAPSHOT_OPEN_MAX_S, SNAPSHOT_PART

UPDATE = COMMAND + "location-wise-atp-inventory"

Item = dict[str, Any]


class StockRecord(Protocol):
    """A record of inventory.updates, before it is written."""

    @property
    def type(self) -> str: ...

    @property
    def snapshot(self) -> str: ...

    @property
    def body(self) -> dict[str, Any]: ...


@dataclass
class Reading:
    """What is known of the open snapshot."""

    id: str
    begun: int
    last_ms: int
    complete: bool
    named: set[str] = field(default_factory=set)
    parts: int = 0
    gap: bool = False


class Oracle:
    """One location. An end sets to 0 at once what it has to."""

    def __init__(self) -> None:
        self.history: dict[str, list[Item]] = {}
        """Of each SKU all that was ever true, in order."""
        self.outcomes: dict[str, str] = {}
        self.received: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._open: Reading | None = None
        self._origin = -1

    @property
    def stock(self) -> dict[str, Item]:
        return {sku: items[-1] for sku, items in self.history.items()}

    def read(self, number: int, record: StockRecord, at_ms: int, origin: int | None = None) -> None:
        """`origin`: offset in a wrong partition from which it was sent on."""
        if origin is not None:
            if origin <= self._origin:
                return
            self._origin = origin
        found = self._open
        if found is not None and at_ms - found.last_ms > SNAPSHOT_OPEN_MAX_S * 1_000:
            self._ends("silent")
        if record.type == UPDATE:
            for sku, item in _latest(record).items():
                self._set(sku, item)
                self._told[sku] = number
        elif record.type == SNAPSHOT_BEGIN:
            if record.snapshot not in self.received:
                self._ends("replaced")
                self.received[record.snapshot] = 0
                self._open = Reading(record.snapshot, number, at_ms, record.body["complete"])
        elif self._open is not None and self._open.id == record.snapshot:
            self._of_open(self._open, record, at_ms)

    def _of_open(self, found: Reading, record: StockRecord, at_ms: int) -> None:
        body = record.body
        if record.type == SNAPSHOT_PART:
            self._part(found, record, at_ms)
        elif record.type == SNAPSHOT_ABORT:
            self._ends("aborted")
        elif record.type == SNAPSHOT_END and (found.gap or body["parts"] != found.parts):
            self._ends("parts-missing")
        elif not (found.complete and body["complete"]):
            self._ends("applied")
        elif not found.named:
            self._ends("empty")
        else:
            for sku in self.history:
                if sku not in found.named and self._told.get(sku, -1) < found.begun:
                    self._set(sku, {"channelSkuCode": sku, "quantity": 0})
            self._ends("applied")

    def _part(self, found: Reading, record: StockRecord, at_ms: int) -> None:
        number = record.body["part"]
        if number < found.parts:
            return
        found.gap |= number != found.parts
        found.parts = number + 1
        found.last_ms = at_ms
        latest = _latest(record)
        named = {*latest, *record.body["refused"]}
        self.received[found.id] += len(named)
        found.named |= named
        for sku, item in latest.items():
            if self._told.get(sku, -1) < found.begun:
                self._set(sku, item)

    def _ends(self, how: str) -> None:
        if self._open is not None:
            self.outcomes[self._open.id] = how
            self._open = None

    def _set(self, sku: str, item: Item) -> None:
        items = self.history.setdefault(sku, [])
        if not items or items[-1] != item:
            items.append(item)


def _latest(record: StockRecord) -> dict[str, Item]:
    return {item["channelSkuCode"]: item for item in record.body["inventories"]}
