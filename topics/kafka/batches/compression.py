"""Batches that are compressed where it is worth it: with zstd, which Kafka's clients read since 2.1.

A batch of any size costs its writer 15 us more and each reader 11, the broker among them; a large one saves
each of them 1 to 1.5 us a kilobyte of checksums, copies and sockets. So small batches, those of single calls, leave as
they are.

aiokafka has to know before it fills a batch whether it compresses it. So a batch is compressed where the one before it
of its partition was large.
"""

from __future__ import annotations

from typing import Any, Final

import cramjam
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record import default_records

from topics.kafka.decompression import PARSERS

COMPRESSED_FROM_BYTES: Final = 32 << 10
"""Smallest batch that makes the next one of its partition compressed: where what is saved outweighs the cost."""
_LEVEL: Final = 1
"""zstd's fastest: level 3 takes up to twice as long for the same sizes."""
_ZSTD: Final = default_records.DefaultRecordBatch.CODEC_ZSTD

Sizes = dict[tuple[str, int], int]
"""Bytes of the last batch of each topic partition, before it was compressed."""


class SizedBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka is untyped to mypy
    """aiokafka's batch, which notes its size in `sizes`, and takes no more records once they were counted.

    aiokafka counts the records of a batch for its sequence number, and closes it later: a record that came in between
    would use the number of another.
    """

    def __init__(self, batch_bytes: int, sizes: Sizes, place: tuple[str, int], *, may_compress: bool) -> None:
        is_compressed = may_compress and sizes.get(place, 0) >= COMPRESSED_FROM_BYTES
        super().__init__(batch_bytes, _ZSTD if is_compressed else 0)
        self._sizes = sizes
        self._place = place

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self.close()
        super()._set_producer_state(producer_id, producer_epoch, base_sequence)

    def _build(self) -> Any:
        if self._buffer is None:
            self._sizes[self._place] = self.size()
        return super()._build()


def zstd_encode(records: Any) -> bytes:
    return bytes(cramjam.zstd.compress(records, level=_LEVEL))


def install() -> None:
    """Has aiokafka compress at the level above. It looks the function up in its modules."""
    for parser in PARSERS:
        parser.zstd_encode = zstd_encode  # type: ignore[attr-defined]
