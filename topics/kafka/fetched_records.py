"""aiokafka's reading of fetched records, changed where a record that Kafka allows would end its reader.

- A header's name is text to aiokafka, and one that is not UTF-8 raises in its parser, again and again: compaction or
  retention alone would end that. Here such a name is read with its bytes as `\\xff`.
- A batch that cannot be read for another reason is one record to its reader, without key and value, whose header
  `sluice-unreadable` says why: it grows beyond all bounds when it is decompressed, or its form is not Kafka's. Only a
  wrong checksum stays an error: the bytes came to harm on their way, or on a disk.
- A reader may leave out all that was written in transactions (`leave_out_transactions`): a topic that is a role's state
  has to be read to its end, beside a transaction that nobody ends.

aiokafka looks its classes and functions up in its modules, so they are replaced there, for every consumer.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py

from topics.kafka import decompression

_LENGTH_AT: Final = 8
_LENGTH_BYTES: Final = 12
"""A batch begins with its base offset (8 bytes) and the length (4 bytes) of what follows."""


UNREADABLE_HEADER: Final = "sluice-unreadable"
_REASON_BYTES_MAX: Final = 500
_WRONG_CHECKSUM: Final = "Invalid CRC"
"""Begins what aiokafka says of one."""

log = logging.getLogger(__name__)


class _ReadUncommitted(int):
    """Kafka's isolation level 0; identity tells it from the usual one."""


BESIDE_TRANSACTIONS: Final = _ReadUncommitted(fetcher.READ_UNCOMMITTED)
"""Isolation level of a reader that is given everything but what was written in transactions, ended or not."""


class LeftOutBatch:
    """A batch whose records are not read. aiokafka goes on behind it, as behind its control batches."""

    producer_id = None
    is_control_batch = True

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset

    def validate_crc(self) -> bool:
        return True


class WholeBatch:
    """A batch whose records are handed out together: to aiokafka it has one record, which is the batch itself.

    aiokafka looks at each record in Python, and that takes a fifth of the time of rebuilding a table.
    """

    is_control_batch = False

    def __init__(self, batch: DefaultRecordBatch, first: int) -> None:
        """`first`: records before this offset were not asked for."""
        self._batch = batch
        self._first = first
        self.validate_crc = batch.validate_crc
        self.producer_id = batch.producer_id
        self.is_transactional = batch.is_transactional
        self.base_offset = batch.base_offset
        self.next_offset = batch.next_offset
        self.offset = batch.next_offset - 1
        self.records: list[Any] = []
        """As they were parsed: with offset, timestamp, key, value and headers, and without a topic."""

    def __iter__(self) -> Iterator[WholeBatch]:
        self.records = list(self._batch)
        if self.records and self.records[0].offset < self._first:
            self.records = [record for record in self.records if record.offset >= self._first]
        if self.records:
            yield self


def records_of(_: TopicPartition, record: Any) -> list[Any]:
    """The records of a whole batch. In place of a batch that cannot be read whole, each of its records comes alone."""
    return record.records if type(record) is WholeBatch else [record]


class FetchedBatches:
    """aiokafka's MemoryRecords (compiled), whose current batch can be read a second time."""

    def __init__(self, data: bytes) -> None:
        batches = MemoryRecords(data)
        self.has_next = batches.has_next
        self.size_in_bytes = batches.size_in_bytes
        self.leaves_out_transactions = False
        self.whole_from: int | None = None
        """Batches are given whole, beginning with this offset; None: record by record."""
        self._next_batch = batches.next_batch
        self._data = data
        self._begin = self._end = 0

    def next_batch(self) -> Any:
        begin = self._begin = self._end
        length = int.from_bytes(self._data[begin + _LENGTH_AT : begin + _LENGTH_BYTES])
        self._end = begin + _LENGTH_BYTES + length
        batch = self._next_batch()
        if self.leaves_out_transactions and batch.is_transactional and not batch.is_control_batch:
            return LeftOutBatch(batch.next_offset)
        if self.whole_from is not None and type(batch) is DefaultRecordBatch and not batch.is_control_batch:
            return WholeBatch(batch, self.whole_from)
        return batch

    def current(self) -> LenientBatch:
        """The last of `next_batch`, from its beginning."""
        return LenientBatch(self._data[self._begin : self._end])


class LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # final for type checkers
    """A batch whose header names may be any bytes. As slow as Python: only for batches that have such a name."""

    _pos: int

    def _read_msg(self, decode_varint: Any = decode_varint_py) -> _DefaultRecordPy:  # noqa: ARG002 - aiokafka's signature
        self._varint()  # its length
        self._varint()  # its attributes, which have no meaning
        since_first = self._varint()
        time_ms = self.max_timestamp if self.timestamp_type == self.LOG_APPEND_TIME else self.first_timestamp
        if self.timestamp_type != self.LOG_APPEND_TIME:
            time_ms += since_first
        offset = self.base_offset + self._varint()
        key, value = self._nullable(), self._nullable()
        headers = [self._header() for _ in range(self._varint())]
        return _DefaultRecordPy(offset, time_ms, self.timestamp_type, key, value, headers)

    def _header(self) -> tuple[str, bytes | None]:
        name = (self._nullable() or b"").decode(errors="backslashreplace")
        return name, self._nullable()

    def _varint(self) -> int:
        # Not the compiled one: that reads behind the buffer's end, and the process dies of it.
        number, self._pos = decode_varint_py(self._buffer, self._pos)
        return int(number)

    def _nullable(self) -> bytes | None:
        length = self._varint()
        if length < 0:
            return None
        begin = self._pos
        self._pos = begin + length
        if self._pos > len(self._buffer):
            raise ValueError(f"a text of {length} bytes does not fit its batch")
        return bytes(self._buffer[begin : self._pos])


class ReadableRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped to mypy
    """The records of one partition in a fetch."""

    next_fetch_offset: int

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._records.leaves_out_transactions = self._isolation_level is BESIDE_TRANSACTIONS

    def give_batches(self) -> None:
        """From here on gives lists of records, one for each batch."""
        self._records.whole_from = self.next_fetch_offset
        self._consumer_record = records_of

    def _unpack_records(self) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records()
            except GeneratorExit:
                raise
            except Exception as error:
                if _WRONG_CHECKSUM in str(error):
                    raise
            else:
                return
            yield from self._read_again(self._records.current())

    def _read_again(self, batch: LenientBatch) -> Iterator[Any]:
        """Reads what is left of a batch in which aiokafka met a name that is not UTF-8, or something worse."""
        try:
            for record in batch:
                if record.offset >= self.next_fetch_offset:
                    self.next_fetch_offset = record.offset + 1
                    yield self._consumer_record(self._tp, record)
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it holds, what is behind it is read
            unreadable = self._unreadable(batch, error)
            self.next_fetch_offset = batch.next_offset  # before it is handed out: the reader's position goes by this
            yield self._consumer_record(self._tp, unreadable)
        self.next_fetch_offset = batch.next_offset

    def _unreadable(self, batch: LenientBatch, error: Exception) -> _DefaultRecordPy:
        """A record in place of what is left of a batch; its offset is that of the last one."""
        first, last = self.next_fetch_offset, batch.next_offset - 1
        why = f"{self._tp.topic}/{self._tp.partition}: offsets {first} to {last} cannot be read: {error}"
        log.error("%s", why)
        headers = [(UNREADABLE_HEADER, why.encode()[:_REASON_BYTES_MAX])]
        return _DefaultRecordPy(last, batch.max_timestamp, batch.timestamp_type, None, None, headers)


def install() -> None:
    """Has every consumer that is made from here on read in this way."""
    fetcher.MemoryRecords = FetchedBatches
    fetcher.PartitionRecords = ReadableRecords
    for parser in decompression.PARSERS:
        for name in ("gzip_decode", "lz4_decode", "zstd_decode"):
            setattr(parser, name, getattr(decompression, name))


def leave_out_transactions(consumer: AIOKafkaConsumer) -> None:
    """From the next fetch on, gives records up to the high watermark, and none that was written in a transaction."""
    consumer._fetcher._isolation_level = BESIDE_TRANSACTIONS


async def ends_beside_transactions(
    consumer: AIOKafkaConsumer, places: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """The offsets after the last records, which may be behind an open transaction."""
    level = consumer._fetcher._isolation_level
    leave_out_transactions(consumer)
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(places))
        return ends
    finally:
        consumer._fetcher._isolation_level = level


def open_transaction(offset: int) -> str:
    """A sentence for the log about a transaction beside which a topic of Sluice is read on."""
    return (
        f"a transaction at offset {offset} is not ended; what it wrote does not count, and the topic is read on beside"
        " it: only Sluice writes here. Find its producer with kafka-transactions.sh find-hanging (docs/operations.md)"
    )
