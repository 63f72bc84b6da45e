"""Stock positions of a far side, location-wise and consolidated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sluice.dev.sandbox.journal import Journal, JournalEntry

LOCATION, CONSOLIDATED = "position", "consolidated-position"
_KINDS = {LOCATION: "locations", CONSOLIDATED: "consolidated"}


class Positions:
    """The last item received of each (location or consolidation type, SKU)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.locations: dict[str, dict[str, dict[str, Any]]] = {}
        self.consolidated: dict[str, dict[str, dict[str, Any]]] = {}

    def of(self, kind: str) -> dict[str, dict[str, dict[str, Any]]]:
        return self.locations if kind == LOCATION else self.consolidated

    def put(self, kind: str, place: str, items: list[dict[str, Any]]) -> None:
        positions = self.of(kind).setdefault(place, {})
        for item in items:
            positions[item["channelSkuCode"]] = item
            self._journal.put(kind, f"{place}\n{item['channelSkuCode']}", item)

    def lose(self) -> None:
        """Lose all positions, as a far side that was restored from an old backup."""
        lost = [(kind, key) for kind, key, _ in self.live()]
        self.locations.clear()
        self.consolidated.clear()
        for kind, key in lost:
            self._journal.put(kind, key, None)

    def set(self, place: str, sku: str, quantity: int | None) -> None:
        """Set a quantity at one location; with None, forget the SKU."""
        positions = self.locations.setdefault(place, {})
        if quantity is None:
            positions.pop(sku, None)
            self._journal.put(LOCATION, f"{place}\n{sku}", None)
        else:
            self.put(LOCATION, place, [{"channelSkuCode": sku, "quantity": quantity}])

    def search(self, place: str, skus: list[str]) -> list[dict[str, Any]]:
        """Return the known SKUs as contract 13 answers."""
        positions = self.locations.get(place, {})
        known = (positions[sku] for sku in dict.fromkeys(skus) if sku in positions)
        return [{"channelSkuCode": i["channelSkuCode"], "qcPassAvailableQuantity": i["quantity"]} for i in known]

    def restore(self, kind: str, key: str, item: dict[str, Any]) -> None:
        place, sku = key.split("\n", 1)
        self.of(kind).setdefault(place, {})[sku] = item

    def live(self) -> Iterator[JournalEntry]:
        for kind in _KINDS:
            for place, positions in self.of(kind).items():
                for sku, item in positions.items():
                    yield kind, f"{place}\n{sku}", item

    def show(self) -> dict[str, Any]:
        return {"locations": self.locations, "consolidated": self.consolidated}
