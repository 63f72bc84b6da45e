"""The reading of one partition of a topic: which of its records count, and what they add."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from journal.rows.batch import Batch
from journal.rows.keeper import Keeper
from topics.records.reading import OWNER_KEY, Epochs, made_by
from topics.records.unreadable import NOT_OURS, UNREADABLE

Headers = Sequence[tuple[str, bytes | None]]


class KafkaRecord(Protocol):
    """A record as aiokafka gives it."""

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Headers: ...


class NotForTheJournalError(ValueError):
    """A record that its topic should not have; the message says why."""


class PartitionReader(ABC):
    """Reads one partition, in the log's order. `remembered` is stored with its offset, and the next owner starts from
    it. A record that cannot be read is counted and named, and its neighbours are read."""

    TOPIC: ClassVar[str]

    def __init__(self, partition: int, memory: dict[str, Any], keeper: Keeper, partitions: int) -> None:
        """`memory`: as `remembered` returned it; empty at the beginning. `partitions`: of orders.commands."""
        self.partition = partition
        self._memory = memory
        self._keeper = keeper
        self._partitions = partitions

    def remembered(self) -> dict[str, Any]:
        """The state that reading goes by; JSON can carry it."""
        return self._memory

    def read(self, record: KafkaRecord, batch: Batch) -> None:
        """Add what the record says to the batch."""
        key, value = record.key, record.value
        if b"\\u0000" in (value or b"") or b"\x00" in (key or b""):
            batch.has_nul = True
        try:
            self.take(record, batch)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            UNREADABLE.note(self.TOPIC, key, error, partition=self.partition, offset=record.offset)

    @abstractmethod
    def take(self, record: KafkaRecord, batch: Batch) -> None:
        """As `read`. Raises ValueError for a record that cannot be read; then nothing of it is in the batch."""

    def not_ours(self, record: KafkaRecord) -> None:
        UNREADABLE.note(self.TOPIC, record.key, NOT_OURS, partition=self.partition, offset=record.offset)


class EpochReader(PartitionReader):
    """Reads a topic whose partitions have one owner at a time: of an older epoch nothing counts."""

    def __init__(self, partition: int, memory: dict[str, Any], keeper: Keeper, partitions: int) -> None:
        super().__init__(partition, memory, keeper, partitions)
        self._epochs = Epochs({partition: int(memory.get("epoch", 0))})

    def remembered(self) -> dict[str, Any]:
        return {"epoch": self._epochs.remembered().get(self.partition, 0)}

    def take(self, record: KafkaRecord, batch: Batch) -> None:
        epoch = made_by(record.headers).epoch
        if not epoch:
            self.not_ours(record)
        elif self._epochs.is_stale(self.partition, epoch):
            return
        elif record.key is not None and record.key != OWNER_KEY:
            self.take_counted(record, record.key, batch)

    @abstractmethod
    def take_counted(self, record: KafkaRecord, key: bytes, batch: Batch) -> None:
        """Take a record that its owner wrote."""


def text_of(header: bytes | None) -> str:
    """A header's value for people; anybody may have written it."""
    return "" if header is None else header.decode(errors="backslashreplace")


SMALL_MAX = 2**31 - 1


def small(number: int) -> int:
    """A number for a column of 32 bits. Raises ValueError."""
    if not -SMALL_MAX <= number <= SMALL_MAX:
        raise ValueError(f"a number beyond {SMALL_MAX}")
    return number
