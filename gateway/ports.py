"""What the gateway needs from outside, as small ports: `make_app` gets them, tests and benchmarks give their own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from topics.api.snapshots import SnapshotDocument
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
    """Where an acknowledged record is: what a receipt says. `topic` is the name in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Unavailable(Exception):  # noqa: N818 - reads as what Kafka is
    """Kafka did not acknowledge in time, or cannot be asked now. What was handed over may still arrive."""


class Overloaded(Exception):  # noqa: N818 - as above
    """A named bound is reached; nothing was handed over."""


class RecordTooLarge(Exception):  # noqa: N818 - as above
    """The record exceeds what topics allow; nothing was handed over."""


class Producer(Protocol):
    async def produce(self, record: Outgoing) -> Position:
        """Returns when all in-sync replicas have it. Raises Unavailable, Overloaded or RecordTooLarge."""

    async def produce_all(self, records: Sequence[Outgoing]) -> list[Position | None]:
        """In order; None for each record that was not acknowledged in time. Raises like `produce` if none was sent."""

    def unready(self) -> str | None:
        """None when Kafka takes records, else why not."""


class Replies(Protocol):
    @property
    def partition(self) -> int:
        """The partition of `replies` on which this gateway reads."""

    def expect(self, event: str, wait_s: float) -> asyncio.Future[Reply | None]:
        """Done with the reply to `event`, or with None after `wait_s`. Call before producing. Raises Overloaded."""

    def forget(self, event: str) -> None:
        """Nobody waits for `event` any more."""

    def unready(self) -> str | None: ...


class Snapshots(Protocol):
    """What is known of full snapshots, by channel and location."""

    def all(self, channel: str, location: str) -> list[SnapshotDocument]:
        """The newest first."""

    def get(self, channel: str, location: str, snapshot: str) -> SnapshotDocument | None: ...

    async def until_over(self, channel: str, location: str, snapshot: str) -> SnapshotDocument:
        """Returns when it is applied or abandoned."""


class Stock(Protocol):
    """The last accepted positions of all channels, and what is known of full snapshots."""

    @property
    def snapshots(self) -> Snapshots: ...

    def quantity(self, channel: str, location: str, sku: str) -> int | None:
        """None: this SKU was never seen at this location."""

    def found(self, channel: str, sku: str) -> list[tuple[str, int]]:
        """Every location of a SKU and its quantity there, in the order of locations; empty when it was never seen."""

    def serial(self, channel: str, sku: str) -> str | None:
        """Of the first of these locations that has one."""

    def current_ms(self) -> int | None:
        """All that was accepted up to then is known, epoch milliseconds; None: not all has been read yet."""

    def places(self, channel: str) -> Collection[str]:
        """The locations of which stock has come, `~TYPE` of consolidated stock among them."""

    def unready(self) -> str | None: ...


class StockOperations(Protocol):
    """What operators asked of stock, and how it fares, as gateway.views.stock_operations has them."""

    @property
    def controls(self) -> ControlIndex: ...

    @property
    def status(self) -> StatusIndex: ...

    def has_written(self, partition: int, offset: int) -> bool:
        """Whether the record of `inventory.controls` at this place counts here."""

    async def until_written(self, partition: int, offset: int) -> None:
        """Returns when the record of `inventory.controls` at this place counts here."""

    def unready(self) -> str | None: ...


class Clock(Protocol):
    def __call__(self) -> int:
        """Epoch milliseconds."""


class Endpoints(Protocol):
    """Endpoints of subscribers, behind the guard that lets only public ones be called."""

    def fault(self, url: str) -> str | None:
        """Why this URL cannot be a subscriber's, as far as it can be told without asking; None: it can."""

    async def challenge(
        self, *, url: str, subscription: str, keys: Sequence[SigningKey], delivery_id: str, challenge: str, now_ms: int
    ) -> str | None:
        """None when the endpoint sent the challenge back, else why it is not verified."""


class LogRecord(NamedTuple):
    """A record as a partition has it; `time_ms` is when its writer sent it."""

    offset: int
    time_ms: int
    key: bytes
    value: bytes
    headers: Headers


class LogReading(Protocol):
    """Some partitions of a topic, read by one call. `begins`: the first record of each that is kept; `ends`: where
    each ended when the reading began. It reads from `begins` until told otherwise. Raises Unavailable when Kafka does
    not answer."""

    @property
    def begins(self) -> Mapping[int, int]: ...

    @property
    def ends(self) -> Mapping[int, int]: ...

    @property
    def at_end(self) -> bool:
        """Whether all that was there when the reading began was given out. Only calls of `next` that wait find out."""

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        """Of each partition: the first record that was not sent before this time, or its end."""

    def seek(self, offsets: Mapping[int, int]) -> None:
        """The next records come from these offsets on, or from the first that is kept."""

    async def next(self, *, wait: bool = True) -> Sequence[tuple[int, LogRecord]]:
        """Some records with their partitions, each partition's in order; none when nothing came within a moment."""


class Log(Protocol):
    def reading(self, partitions: Collection[int] | None = None) -> AbstractAsyncContextManager[LogReading]:
        """Of these partitions, or of all. Raises Unavailable or Overloaded."""
