"""What the records say, read once and plainly: no notes, no steps, no crashes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.histories.story import UPDATE, Written
from topics.snapshots import SNAPSHOT_ABORT, SNAPSHOT_BEGIN, SNAPSHOT_OPEN_MAX_S, SNAPSHOT_PART

Item = dict[str, Any]


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
    """One location. `history`: of each SKU all that was ever true, in order."""

    def __init__(self) -> None:
        self.history: dict[str, list[Item]] = {}
        self._told: dict[str, int] = {}
        self._seen: set[str] = set()
        self._open: Reading | None = None

    @property
    def stock(self) -> dict[str, Item]:
        return {sku: items[-1] for sku, items in self.history.items()}

    def read(self, number: int, written: Written, now_ms: int) -> None:
        found = self._open
        if found is not None and now_ms - found.last_ms > SNAPSHOT_OPEN_MAX_S * 1_000:
            found = self._open = None
        if written.type == UPDATE:
            for item in written.body["inventories"]:
                self._told[item["channelSkuCode"]] = number
            for sku, item in _latest(written).items():
                self._set(sku, item)
        elif written.type == SNAPSHOT_BEGIN:
            if written.snapshot not in self._seen:
                self._seen.add(written.snapshot)
                self._open = Reading(written.snapshot, number, now_ms, written.body["complete"])
        elif found is not None and found.id == written.snapshot:
            self._read_of_open(found, written, now_ms)

    def _read_of_open(self, found: Reading, written: Written, now_ms: int) -> None:
        body = written.body
        if written.type == SNAPSHOT_PART:
            if body["part"] < found.parts:
                return
            found.gap |= body["part"] != found.parts
            found.parts = body["part"] + 1
            found.last_ms = now_ms
            found.named |= _latest(written).keys()
            for sku, item in _latest(written).items():
                if self._told.get(sku, -1) < found.begun:
                    self._set(sku, item)
            return
        self._open = None
        if written.type == SNAPSHOT_ABORT or found.gap or body["parts"] != found.parts:
            return
        if found.complete and body["complete"] and found.named:
            for sku in self.history:
                if sku not in found.named and self._told.get(sku, -1) < found.begun:
                    self._set(sku, {"channelSkuCode": sku, "quantity": 0})

    def _set(self, sku: str, item: Item) -> None:
        items = self.history.setdefault(sku, [])
        if not items or items[-1] != item:
            items.append(item)


def _latest(written: Written) -> dict[str, Item]:
    return {item["channelSkuCode"]: item for item in written.body["inventories"]}
