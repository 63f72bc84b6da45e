"""A location whose stock is sent, played: it remembers what it is asked to do, and calls end when a test says so."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypedDict

from streams.delivery.stock.ports import StockFigures, StockLocation, StockReading


class PlayedLocation:
    channel = "demo"
    reading: StockReading | None = None

    def __init__(self, location: str = "L1", partition: int = 0, skus: Iterable[str] = ()) -> None:
        self.location = location
        self.partition = partition
        self.paused = False
        self.all = list(skus)
        self.again: list[str] = []
        """To be told again, in the order in which it was asked."""
        self.told: list[str] = []
        self.looked_at: list[str] = []
        self.dirty = 0
        self.oldest_ms: int | None = None
        self.changes = 0
        self.sent = 0
        self.refused = 0

    def figures(self) -> StockFigures:
        return StockFigures(
            dirty=self.dirty,
            resending=len(self.again),
            oldest_ms=self.oldest_ms,
            changes=self.changes,
            sent=self.sent,
            refused=self.refused,
            paused=self.paused,
        )

    def pause(self, *, paused: bool) -> None:
        self.paused = paused

    def skus(self) -> list[str]:
        return list(self.all)

    def send_again(self, skus: Iterable[str]) -> None:
        self.again += skus

    def resends(self, sku: str) -> bool:
        return sku in self.again

    def compare(self, skus: Iterable[str]) -> None:
        self.looked_at += skus

    def tell(self, *skus: str) -> None:
        """A call told these; without any, all that it was asked to tell again."""
        for sku in skus or list(self.again):
            self.again.remove(sku)
            self.told.append(sku)
            self.sent += 1


class SilentListener:
    """A StockListener that does nothing."""

    def on_opened(self, location: StockLocation) -> Collection[str]:
        return ()

    def on_closed(self, location: StockLocation) -> None: ...

    def on_refused(
        self, location: StockLocation, sku: str, *, failures: int, since_ms: int, status: int | None, words: str
    ) -> None: ...

    def on_accepted(self, location: StockLocation, sku: str) -> None: ...

    def on_acknowledged(self, location: StockLocation, skus: Collection[str]) -> None: ...


class Refusal(TypedDict):
    failures: int
    since_ms: int
    status: int | None
    words: str


def refusal(status: int | None = 200, failures: int = 8, since_ms: int = 1_000) -> Refusal:
    return {"words": "no such listing", "status": status, "since_ms": since_ms, "failures": failures}
