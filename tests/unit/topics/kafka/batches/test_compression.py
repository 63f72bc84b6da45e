"""Large batches leave compressed, others as they are; all are read."""

from __future__ import annotations

import os

import cramjam
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from topics.configuration.settings import load_settings
from topics.kafka import clients
from topics.kafka.batches.compression import COMPRESSED_FROM_BYTES, SizedBatch, Sizes
from topics.kafka.decompression import zstd_content_bytes, zstd_decode

ZSTD = 4


PLACE = ("t", 0)
LARGE = b"some words " * (COMPRESSED_FROM_BYTES // 10)


def written(sizes: Sizes, value: bytes, *, may_compress: bool = True) -> int:
    """The codec of a batch with this value, which is read again."""
    batch = SizedBatch(1 << 20, sizes, PLACE, may_compress=may_compress)
    batch.append(timestamp=1_000, key=b"k", value=value, headers=[("h", b"1")])
    found = MemoryRecords(bytes(batch._build())).next_batch()
    assert found.validate_crc()
    assert [record.value for record in found] == [value]
    return int(found.compression_type)


def test_a_batch_is_compressed_where_the_one_before_it_was_large() -> None:
    sizes: Sizes = {}
    assert written(sizes, LARGE) == 0
    assert written(sizes, LARGE) == ZSTD, "its size counts as it is before it is compressed"
    assert written(sizes, b"small") == ZSTD
    assert written(sizes, LARGE) == 0
    assert written(sizes, LARGE, may_compress=False) == 0
    assert sizes == {PLACE: pytest.approx(len(LARGE), rel=0.1)}


def test_what_does_not_shrink_is_read_again() -> None:
    assert written({PLACE: 1 << 20}, os.urandom(2 * COMPRESSED_FROM_BYTES)) == ZSTD


def test_a_batch_whose_records_were_counted_takes_no_more() -> None:
    """aiokafka's own would: its sequence number counts records before it is closed, and the broker would refuse the
    next batch, or take this record for another."""
    stock, ours = BatchBuilder(1 << 20, 0), SizedBatch(1 << 20, {}, PLACE, may_compress=True)
    for batch in (stock, ours):
        batch.append(timestamp=None, key=b"k", value=b"v")
        batch._set_producer_state(1, 0, 0)
    assert stock.append(timestamp=None, key=b"k", value=b"v") is not None
    assert ours.append(timestamp=None, key=b"k", value=b"v") is None


@pytest.mark.parametrize("size", [0, 1, 200, 255, 256, 300, 65_791, 65_792, 70_000, 3_000_000])
def test_the_size_of_what_is_compressed_is_known_before(size: int) -> None:
    content = b"0123456789" * (size // 10) + b"x" * (size % 10)
    frame = bytes(cramjam.zstd.compress(content))
    assert zstd_content_bytes(frame) == size
    assert zstd_decode(frame) == content
    assert zstd_content_bytes(frame[:3]) == 0


def test_a_frame_that_says_no_size_is_read() -> None:
    compressor = cramjam.zstd.Compressor()
    compressor.compress(b"word " * 100_000)
    frame = bytes(compressor.finish())
    assert zstd_content_bytes(frame) == 0
    assert zstd_decode(frame) == b"word " * 100_000


@pytest.mark.parametrize(("word", "codec"), [("zstd", ZSTD), ("none", 0)])
async def test_producers_compress_as_the_setting_says(word: str, codec: int) -> None:
    producer = clients.producer(load_settings(kafka="nowhere:9", compression=word), "a-test")
    for _ in range(2):
        batch = producer.batch_of(*PLACE)
        batch.append(timestamp=None, key=b"k", value=LARGE)
        found = MemoryRecords(bytes(batch._build())).next_batch().compression_type
    assert found == codec
