"""Ports: what the gateway needs from outside. Tests and benchmarks have implementations of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from topics.api.snapshots import SnapshotDocument
from topics.destinations.pauses import DestinationControl
from topics.kafka.groups import Behind, GroupState, Place
from topics.records.envelope import Headers
from topics.records.verdicts import Reply
from topics.stock.controls import ControlIndex
from topics.stock.status import StatusIndex
from topics.webhooks.signatures import SigningKey


class Outgoing(NamedTuple):
    """A record to produce. `topic` is a catalogue name; `partition` None means murmur2 of the key."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition: int | None = None


class Position(NamedTuple):
    """Where an acknowledged record is, for receipts. `topic` is the name in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class RoleLag(NamedTuple):
    """How far roles are behind. `orders`: by partition of `orders.commands`; `journal_since_ms`: the time of the oldest
    record that is not in the journal, None: all are."""

    orders: Mapping[int, Behind]
    journal_since_ms: int | None


class Lags(Protocol):
    """Says how far roles are behind their topics."""

    async def look(self, positions: Mapping[Place, int]) -> RoleLag | None:
        """As RoleLags: None where Kafka did not say."""
        ...


class Unavailable(Exception):  # noqa: N818 - the state that Kafka is in
    """Kafka did not acknowledge in time, or cannot be asked now. Records that were handed to it may still arrive."""


class Overloaded(Exception):  # noqa: N818 - as above
    """A bound is reached, which the message names. Nothing was handed to Kafka. `retry_after_s`: when a repeat may find
    room; None: in a moment."""

    def __init__(self, reason: str, retry_after_s: int | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class StoodStill(Exception):  # noqa: N818 - as above
    """The gateway stood still while it had the call, so its caller may have given it up. Nothing was stored."""


class RecordTooLarge(Exception):  # noqa: N818 - as above
    """The record exceeds what topics allow. Nothing was handed to Kafka."""


class Lateness(Protocol):
    """The lateness of this process's event loop, as far as it is known."""

    def late_s(self, within_s: float) -> float:
        """By how much the loop was late in all, in the last `within_s` seconds."""


class PlaceInHand(Protocol):
    """The place of a call among those in hand. Its holder reports here how the call goes on."""

    def acknowledged(self, seconds: float | None) -> None:
        """Kafka has the call's record, and nothing more is expected soon. None: its time says nothing of other calls,
        because it is large."""

    def decided(self, seconds: float) -> None:
        """The verdict has come, or not in time."""


class Producer(Protocol):
    async def produce(self, record: Outgoing) -> Position:
        """Returns when all in-sync replicas have the record. Raises Unavailable, Overloaded or RecordTooLarge."""

    async def produce_all(self, records: Sequence[Outgoing]) -> list[Position | None]:
        """The positions of the records; None: not acknowledged in time. Raises as `produce` if none was sent."""

    def unready(self) -> str | None:
        """Why Kafka takes no records now; None: it does."""


class Replies(Protocol):
    @property
    def partition(self) -> int:
        """The partition of `replies` on which this gateway reads."""

    def expect(self, event: str, wait_s: float) -> asyncio.Future[Reply | None]:
        """A future of the reply to `event`, or of None after `wait_s`. Call it before producing. Raises Overloaded."""

    def forget(self, event: str) -> None:
        """Ends the future of `event` with None."""

    def unready(self) -> str | None: ...


class Snapshots(Protocol):
    """The state of full snapshots, by channel and location."""

    def all(self, channel: str, location: str) -> list[SnapshotDocument]:
        """The newest first."""

    def get(self, channel: str, location: str, snapshot: str) -> SnapshotDocument | None: ...

    async def until_over(self, channel: str, location: str, snapshot: str) -> SnapshotDocument:
        """Returns when the snapshot is applied or abandoned."""


class Stock(Protocol):
    """The last accepted positions of all channels, and what is known of full snapshots."""

    @property
    def snapshots(self) -> Snapshots: ...

    def quantity(self, channel: str, location: str, sku: str) -> int | None:
        """The last quantity; None: this SKU was never seen at this location."""

    def found(self, channel: str, sku: str) -> list[tuple[str, int]]:
        """Each location of a SKU and its quantity there, in the order of locations. Empty: it was never seen."""

    def serial(self, channel: str, sku: str) -> str | None:
        """The serial number at the first of these locations that has one."""

    def current_ms(self) -> int | None:
        """The time up to which all accepted stock is known, epoch milliseconds; None: not all has been read yet."""

    def locations(self, channel: str) -> Collection[str]:
        """The locations of which stock has come; `~TYPE` stands for consolidated stock."""

    def unready(self) -> str | None: ...


class StockOperations(Protocol):
    """Operators' wishes about stock and its status, as gateway.views.stock_operations has them."""

    @property
    def controls(self) -> ControlIndex: ...

    @property
    def status(self) -> StatusIndex: ...

    def has_written(self, partition: int, offset: int) -> bool:
        """Whether the record of `inventory.controls` at this offset has been read."""

    async def until_written(self, partition: int, offset: int) -> None:
        """Returns when the record of `inventory.controls` at this offset has been read."""

    def unready(self) -> str | None: ...


class Groups(Protocol):
    """The consumer groups of roles, as Kafka knows them."""

    async def states(self, positions: Mapping[str, Mapping[tuple[str, int], int]]) -> Sequence[GroupState]:
        """The group of each role. `positions`: what a role has next of each partition, if it keeps that itself. Raises
        Unavailable."""


class Pauses(Protocol):
    """Operators' pauses of destinations, as topics.destinations.view has them."""

    @property
    def unreadable(self) -> set[str]: ...

    def control(self, destination: str) -> DestinationControl | None:
        """The last word of operators about a destination; None: there was none, or it cannot be read."""

    def has_written(self, partition: int, offset: int) -> bool:
        """Whether the record of `destinations.controls` at this offset has been read."""

    async def until_written(self, partition: int, offset: int) -> None:
        """Returns when the record of `destinations.controls` at this offset has been read."""

    def unready(self) -> str | None: ...


Clock = Callable[[], int]
"""Epoch milliseconds."""


class Endpoints(Protocol):
    """Calls to endpoints of subscribers. A guard refuses those that are not public."""

    def fault(self, url: str) -> str | None:
        """Why this URL cannot be a subscriber's, as far as the URL itself shows; None: it can."""

    async def challenge(
        self, *, url: str, subscription: str, keys: Sequence[SigningKey], delivery_id: str, challenge: str, now_ms: int
    ) -> str | None:
        """Why the endpoint is not verified; None: it sent the challenge back."""


class LogRecord(NamedTuple):
    """A record of a partition. `time_ms`: when its writer sent it."""

    offset: int
    time_ms: int
    key: bytes
    value: bytes
    headers: Headers


class LogReading(Protocol):
    """Partitions of a topic, read for one call. `begins`: the first offset of each that is kept; `ends`: where each
    ended when the reading began. Records come from `begins` on, or from where `seek` says. Raises Unavailable."""

    @property
    def begins(self) -> Mapping[int, int]: ...

    @property
    def ends(self) -> Mapping[int, int]: ...

    @property
    def at_end(self) -> bool:
        """Whether all records before `ends` were given out. Found out by calls of `next` that wait."""

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        """The offset of the first record of each partition that was not sent before this time; else its end."""

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Goes to these offsets, or to the first that is kept."""

    async def next(self, *, wait: bool = True) -> Sequence[tuple[int, LogRecord]]:
        """Some records and their partitions, each partition's in order. Empty: nothing came within a moment."""


class Log(Protocol):
    """A topic that calls read."""

    def reading(self, partitions: Collection[int] | None = None) -> AbstractAsyncContextManager[LogReading]:
        """A reading of these partitions, or of all. Raises Unavailable or Overloaded."""
