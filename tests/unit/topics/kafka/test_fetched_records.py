"""What aiokafka reads of a fetch: a header name that is not UTF-8 raises in its own parser, and is read by ours."""

from __future__ import annotations

import gzip
from random import Random
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record import default_records, memory_records
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

from tests.support.poison.wire import GZIP, Raw, batch_of
from topics.kafka import clients
from topics.kafka.decompression import DECOMPRESSED_BYTES_MAX, gzip_decode
from topics.kafka.fetched_records import BESIDE_TRANSACTIONS, FetchedBatches, ReadableRecords

PLACE = TopicPartition("t.orders.commands.v1", 3)
STRANGE = [
    Raw(b"k0", b"v0", [(b"ce_id", b"1")], 1_000),
    Raw(b"k1", b"v1", [(b"\xff\xfe", b"1"), (b"ce_id", None)], 1_001),
    Raw(None, None, [("ü".encode(), b"\xff"), (b"", b"")], 1_002),
    Raw(b"k3", b"v3", [], 1_003),
]
READ = [
    (0, 1_000, b"k0", b"v0", (("ce_id", b"1"),)),
    (1, 1_001, b"k1", b"v1", (("\\xff\\xfe", b"1"), ("ce_id", None))),
    (2, 1_002, None, None, (("ü", b"\xff"), ("", b""))),
    (3, 1_003, b"k3", b"v3", ()),
]


def read(records: Any) -> list[tuple[Any, ...]]:
    return [(each.offset, each.timestamp, each.key, each.value, each.headers) for each in records]


def parsed(data: bytes, first: int = 0, level: int = fetcher.READ_COMMITTED) -> ReadableRecords:
    return ReadableRecords(PLACE, FetchedBatches(data), None, first, None, None, True, level)


def stock(data: bytes) -> Any:
    own = next(base for base in ReadableRecords.__mro__ if base.__module__ == fetcher.__name__)
    return own(PLACE, MemoryRecords(data), None, 0, None, None, True, fetcher.READ_COMMITTED)


def at(offset: int, batch: bytes) -> bytes:
    return offset.to_bytes(8) + batch[8:]


def test_stock_aiokafka_cannot_read_on_behind_a_header_name_that_is_not_utf_8() -> None:
    records = stock(batch_of(STRANGE))
    assert next(records).offset == 0
    with pytest.raises(UnicodeDecodeError):
        next(records)
    assert records.next_fetch_offset == 1, "so it is fetched again, for ever"


@pytest.mark.parametrize("compression", [0, GZIP])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_header_name_that_is_not_utf_8_is_read_and_so_are_its_neighbours(compression: int, first: int) -> None:
    plain = [Raw(b"k", b"v", [(b"ce_id", b"1")], 5)]
    data = batch_of(STRANGE, compression) + at(4, batch_of(plain)) + at(9, batch_of(STRANGE))
    records = parsed(data, first)
    later = [(offset + 9, *rest) for offset, *rest in READ]
    assert read(records) == [*READ[first:], (4, 5, b"k", b"v", (("ce_id", b"1"),)), *later]
    assert records.next_fetch_offset == 13


def test_aiokafkas_parser_in_python_is_mended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", _DefaultRecordBatchPy)
    monkeypatch.setattr("topics.kafka.fetched_records.MemoryRecords", memory_records._MemoryRecordsPy)
    assert read(parsed(batch_of(STRANGE))) == READ
    assert default_records.DefaultRecordBatch is not _DefaultRecordBatchPy, "the compiled one is what runs"


def test_a_wrong_checksum_is_still_an_error() -> None:
    data = bytearray(batch_of(STRANGE))
    data[-1] ^= 1
    with pytest.raises(fetcher.Errors.CorruptRecordException):
        list(parsed(bytes(data)))


def test_beside_transactions_only_what_was_written_without_one_is_read() -> None:
    plain = batch_of(STRANGE[:1])
    inside = default_records.DefaultRecordBatchBuilder(2, 0, 1, 7, 0, 0, 1 << 20)
    inside.append(0, 1_000, b"k", b"inside", [])
    transactional = bytes(inside.build())
    data = plain + at(1, transactional) + at(2, plain) + at(3, transactional)
    records = parsed(data, level=BESIDE_TRANSACTIONS)
    assert [each.offset for each in records] == [0, 2]
    assert records.next_fetch_offset == 4, "also behind a transaction at the end"
    assert [each.offset for each in parsed(data, level=fetcher.READ_UNCOMMITTED)] == [0, 1, 2, 3]


BOMBS = {
    "gzip": (1, gzip.compress(b"\0" * (DECOMPRESSED_BYTES_MAX + 1), 1)),
    "lz4": (3, bytes(cramjam.lz4.compress(b"\0" * (DECOMPRESSED_BYTES_MAX + 1)))),
    "zstd": (4, bytes(cramjam.zstd.compress(b"\0" * (DECOMPRESSED_BYTES_MAX + 1)))),
}


@pytest.mark.parametrize("codec", BOMBS)
def test_a_batch_that_grows_beyond_all_bounds_is_one_record_that_says_so(codec: str) -> None:
    number, body = BOMBS[codec]
    assert len(body) < 1 << 20, "Kafka takes it"
    three = batch_of([Raw(b"k", b"v")] * 3, number, body)
    plain = batch_of(STRANGE[:1])
    records = parsed(plain + at(1, three) + at(4, plain))
    found, positions = zip(*((each, records.next_fetch_offset) for each in records), strict=True)
    assert [each.offset for each in found] == [0, 3, 4]
    assert positions == (1, 4, 5), "known when a record is handed out, though no other may be asked for"
    ((name, why),) = found[1].headers
    assert (found[1].key, found[1].value, name) == (None, None, "sluice-unreadable")
    assert b"orders.commands.v1/3: offsets 1 to 3 cannot be read: it takes more than 67108864 bytes" in why


@pytest.mark.parametrize("body", [b"", b"\xff" * 40, batch_of(STRANGE)[61:-3]])
def test_a_batch_of_another_form_is_one_record_too(body: bytes) -> None:
    found = list(parsed(batch_of(STRANGE, 0, body) + at(4, batch_of(STRANGE[:1]))))
    assert [each.offset for each in found][-2:] == [3, 4]
    assert found[-2].headers[0][0] == "sluice-unreadable"


@pytest.mark.parametrize(
    ("number", "compress"), [(1, gzip.compress), (3, cramjam.lz4.compress), (4, cramjam.zstd.compress)]
)
@pytest.mark.parametrize("size", [10, 3_000_000])
def test_what_is_compressed_within_the_bound_is_read_as_before(number: int, compress: Any, size: int) -> None:
    value = b'{"quantity":7}' * (size // 10)
    plain = batch_of([Raw(b"k", value)])[61:]
    found = list(parsed(batch_of([Raw(b"k", value)], number, bytes(compress(plain)))))
    assert [each.value for each in found] == [value]
    assert gzip_decode(gzip.compress(b"a") + gzip.compress(b"b")) == b"ab"


def test_every_consumer_reads_so() -> None:
    assert clients.consumer is not None, "imported, it has replaced both"
    assert fetcher.MemoryRecords is FetchedBatches
    assert fetcher.PartitionRecords is ReadableRecords


def test_lengths_that_point_far_behind_a_batch_end_no_process() -> None:
    """The compiled reader of numbers has no bounds: it read what is not the process's, which ended it."""
    random = Random(20_261_130)
    for _ in range(300):
        body = random.randbytes(random.randrange(80))
        body += b"".join(random.choice([b"\xff" * 9 + b"\x01", b"\xfe\xff\xff\xff\x0f", b"\x02\xff"]) for _ in range(8))
        found = list(parsed(batch_of(STRANGE, 0, body) + at(4, batch_of(STRANGE[:1]))))
        assert found[-1].offset == 4
