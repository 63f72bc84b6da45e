"""Ports between the sending of stock and the operations on it: status, controls, resync and reconciliation.

All of it happens on the role's event loop. A `StockLocation` is one location of one channel whose stock is sent from
here. The listener hears of it when its partition has been read, before its first call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from streams.delivery.ports import AttemptResult, Clock
from streams.delivery.tasks import Spawn
from streams.runtime.role import Committer
from topics.configuration.channels import Channels
from topics.values import Value

SENT: Final = "inventory.sent"
"""Table of what each channel acknowledged; keys with `~` hold what is kept beside it."""


class StockFigures(Value, frozen=True, kw_only=True):
    """State of one location. `changes` and `sent` count from when this worker began with it."""

    dirty: int
    """SKUs that the channel has not acknowledged, without those that are only sent again."""
    resending: int
    """SKUs that are sent again although nothing changed."""
    oldest_ms: int | None
    """Since when the dirty SKU that waits longest has waited."""
    changes: int
    sent: int
    """SKUs that the channel acknowledged."""
    refused: int
    paused: bool


class KnownStock(Value, frozen=True, kw_only=True):
    """State of one SKU here. `wanted` is what the channel is offered. `settled`: nothing of it is in flight."""

    wanted: int | None
    sent: int | None
    settled: bool
    refused: bool

    @property
    def is_unknown(self) -> bool:
        return self.wanted is None and self.sent is None


class StockReading(Protocol):
    """The read-back of one location: asks the channel what stock it has."""

    @property
    def batch(self) -> int:
        """Most SKUs of one question."""

    def acknowledged(self) -> list[str]:
        """The SKUs of which the channel acknowledged something."""

    def known(self, sku: str) -> KnownStock: ...

    async def ask(self, skus: Collection[str]) -> AttemptResult:
        """Uses idle budget only. Raises PartitionLost when the location is another worker's."""


class StockLocation(Protocol):
    """One location of one channel, as operators may steer it."""

    channel: str
    location: str
    partition: int
    reading: StockReading | None
    """None: the channel cannot be asked what it has."""

    def compare(self, skus: Iterable[str]) -> None:
        """Compares what is wanted of these SKUs with what was acknowledged, and sends what differs."""

    def figures(self) -> StockFigures:
        """The cost does not depend on how many SKUs wait."""

    def pause(self, *, paused: bool) -> None:
        """While paused, changes are taken in and nothing is sent; a call in flight ends as always."""

    def skus(self) -> list[str]:
        """All that have a position, as of now: 8 bytes each and some 10 ms for a million."""

    def send_again(self, skus: Iterable[str]) -> None:
        """Sends their present values again, behind everything dirty and in idle budget only (the destination's share
        for redrive). A SKU that is dirty anyway is not sent twice."""

    def resends(self, sku: str) -> bool:
        """Whether what `send_again` asked of it is still to be done: no call that began since has sent it. A change in
        between does not end that: the position may come back to what was sent."""


class StockListener(Protocol):
    """Listener for the outcomes of stock calls. Every method returns at once and must not raise."""

    def on_opened(self, location: StockLocation) -> Collection[str]:
        """The stock of this location is sent from here from now on. Returns the SKUs that counted as refused so far."""

    def on_closed(self, location: StockLocation) -> None:
        """The stock of this location is another worker's now."""

    def on_refused(
        self, location: StockLocation, sku: str, *, failures: int, since_ms: int, status: int | None, words: str
    ) -> None:
        """A SKU counts as refused from now on: the channel did not take it `failures` times in a row since `since_ms`.

        `words` is what the last answer said. It is for logs only: what leaves Sluice says by `status` whether it was a
        `failureList` (2xx) or a refusal of the call.
        """

    def on_accepted(self, location: StockLocation, sku: str) -> None:
        """A SKU no longer counts as refused: the channel took it, or the position is again what the channel has."""

    def on_acknowledged(self, location: StockLocation, skus: Collection[str]) -> None:
        """The channel acknowledged these SKUs, and that is durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockContext:
    """Settings and parts shared by all stock that this worker sends. `partitions`: how many the positions have.

    `spawn` starts a task whose failure ends the process, and `crashed` ends it. `chance` is uniform in [0, 1).
    """

    channels: Channels
    partitions: int
    committer: Committer
    clock: Clock
    listener: StockListener
    spawn: Spawn
    crashed: Callable[[BaseException], None]
    chance: Callable[[], float]
