"""What the sending of stock is to those who watch and steer it: status, controls, resync and reconciliation.

All of it happens on the role's event loop. A place is one location of one channel whose stock is sent from here; it is
told to the watch when its partition has been read, before its first call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from streams.delivery.ports import AttemptResult, Clock
from streams.runtime.role import Committer, Table
from topics.values import named_value


@named_value
class RefusedStock:
    """A SKU that a channel did not take `failures` times in a row. It is tried on, seldom."""

    sku: str
    reason: str
    """What the channel's last answer said. For logs: what leaves Sluice says only by `status` whether it was a
    `failureList` (2xx) or a refusal of the call."""
    status: int | None
    since_ms: int
    """When the first of these failures was."""
    failures: int


@named_value
class PlaceFigures:
    """How a place fares. `changes` and `sent` count from when this worker began with it."""

    dirty: int
    """SKUs that the channel has not acknowledged; without those that are only told again."""
    resending: int
    """SKUs that are told again although nothing changed."""
    oldest_ms: int | None
    """Since when the longest waiting of the dirty ones waits."""
    changes: int
    sent: int
    """SKUs that the channel acknowledged."""
    refused: int
    paused: bool


@named_value
class KnownStock:
    """What is known here of a SKU; `wanted` is what the channel is offered. `settled`: nothing of it is on its way."""

    wanted: int | None
    sent: int | None
    settled: bool
    refused: bool

    @property
    def is_unknown(self) -> bool:
        return self.wanted is None and self.sent is None


class StockReading(Protocol):
    """A place whose channel can be asked what it has."""

    batch: int
    """SKUs of one question, at most."""

    def acknowledged(self) -> list[str]:
        """The SKUs of which the channel acknowledged something."""

    def known(self, sku: str) -> KnownStock: ...

    async def ask(self, skus: Collection[str]) -> AttemptResult:
        """In idle budget only. Raises PartitionLost when the place is another worker's."""


class StockPlace(Protocol):
    """One location of one channel, as operators may steer it."""

    channel: str
    location: str
    partition: int
    reading: StockReading | None
    """None: the channel is not asked what it has."""

    def look_at(self, skus: Iterable[str]) -> None:
        """What was acknowledged of these is forgotten, durably: they may differ now."""

    def figures(self) -> PlaceFigures:
        """At no cost worth a thought, however many SKUs wait."""

    def pause(self, *, paused: bool) -> None:
        """Paused: changes are taken in, nothing is sent; a call in the air ends as always."""

    def skus(self) -> list[str]:
        """All that have a position, as of now: 8 bytes each and some 10 ms for a million."""

    def send_again(self, skus: Iterable[str]) -> None:
        """Tell their present values again, behind everything dirty and in idle budget only (the destination's share for
        redrive). A SKU that is dirty anyway is not told twice."""

    def resends(self, sku: str) -> bool:
        """Whether what `send_again` asked of it is still to be done: no call that began since has told it. A change in
        between does not end that: the position may come back to what was sent."""

    async def until_idle(self) -> None:
        """Returns when nothing is to be told here: nothing dirty, nothing again, nothing in the air."""


class StockWatch(Protocol):
    """Who is told what becomes of places and SKUs; every call returns at once and must not raise."""

    def opened(self, place: StockPlace) -> Collection[str]:
        """Its stock is sent from here on. Returns the SKUs that counted as refused until now."""

    def closed(self, place: StockPlace) -> None:
        """Its stock is another worker's now."""

    def refused(self, place: StockPlace, refused: RefusedStock) -> None:
        """A SKU counts as refused from now on."""

    def accepted(self, place: StockPlace, sku: str) -> None:
        """The channel took what it had refused, or the position is again what it has: the SKU counts as refused no
        more."""

    def told(self, place: StockPlace, skus: Collection[str]) -> None:
        """The channel acknowledged these."""


class StockDesk(StockWatch, Protocol):
    """The watch that lives beside the stock sender. Hooks come in this order, those of a partition for each."""

    async def start(self, committer: Committer, clock: Clock) -> None:
        """Returns when what operators asked is known: nothing is sent before."""

    def on_assigned(self, partition: int, sent: Table) -> None:
        """A partition is this worker's, and its positions are being read. `sent`: its table inventory.sent."""

    async def on_recovered(self, partition: int) -> None:
        """All its places are open."""

    def on_revoked(self, partition: int) -> None: ...

    async def run(self) -> None:
        """Until it is cancelled; raises what ended it."""

    async def stop(self) -> None: ...

    def unready(self) -> str | None: ...


class Unwatched:
    """Nobody looks."""

    async def start(self, committer: Committer, clock: Clock) -> None: ...

    def on_assigned(self, partition: int, sent: Table) -> None: ...

    async def on_recovered(self, partition: int) -> None: ...

    def on_revoked(self, partition: int) -> None: ...

    async def run(self) -> None: ...

    async def stop(self) -> None: ...

    def unready(self) -> str | None:
        return None

    def opened(self, place: StockPlace) -> Collection[str]:  # noqa: ARG002 - see the class
        return ()

    def closed(self, place: StockPlace) -> None: ...

    def refused(self, place: StockPlace, refused: RefusedStock) -> None: ...

    def accepted(self, place: StockPlace, sku: str) -> None: ...

    def told(self, place: StockPlace, skus: Collection[str]) -> None: ...
