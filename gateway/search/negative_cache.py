"""PURE: SKUs that Increff said a moment ago it does not have, so that repeated searches do not use up its budget."""

from __future__ import annotations

from collections.abc import Iterable

ENTRY_MS = 60_000
"""How long an entry holds: a new listing is found within a minute, or as soon as its stock comes."""
ENTRIES_MAX = 100_000
"""SKUs kept, some 20 MB; the oldest are dropped first."""

Sku = tuple[str, str, str]
"""Channel, location (empty: any) and SKU."""


class NegativeCache:
    def __init__(self) -> None:
        self._until_ms: dict[Sku, int] = {}
        """When each entry ends, soonest first."""

    def add(self, skus: Iterable[Sku], now_ms: int) -> None:
        for sku in skus:
            self._until_ms.pop(sku, None)
            self._until_ms[sku] = now_ms + ENTRY_MS
        while self._until_ms:
            oldest, until_ms = next(iter(self._until_ms.items()))
            if until_ms > now_ms and len(self._until_ms) <= ENTRIES_MAX:
                break
            del self._until_ms[oldest]

    def has(self, sku: Sku, now_ms: int) -> bool:
        return self._until_ms.get(sku, 0) > now_ms

    def __len__(self) -> int:
        return len(self._until_ms)
