"""Records of a changelog are given batch by batch, as aiokafka parsed them: the override still meets what it is for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.runtime.durability.changelog import InBatches
from topics.kafka.fetched_records import BESIDE_TRANSACTIONS, FetchedBatches, ReadableRecords

PLACE = TopicPartition("t.state.v1", 3)
HEADER = ("sluice-made-by", b"1/7")
READ_COMMITTED = 1


def batch(first: int, count: int, *, header: tuple[str, bytes] = HEADER, transaction: bool = False) -> bytes:
    """A batch of records whose key names their offset; every third has no value."""
    builder = DefaultRecordBatchBuilder(
        2, 0, transaction, 5 if transaction else -1, 0 if transaction else -1, -1, 1 << 20
    )
    for number in range(count):
        offset = first + number
        value = b"v" if offset % 3 else None
        builder.append(number, 1_000, b"k%d" % offset, value, [header])
    made = bytearray(builder.build())
    made[0:8] = first.to_bytes(8)
    return bytes(made)


def fetched(data: bytes, begin: int = 0, **options: Any) -> tuple[FetchResult, SimpleNamespace]:
    """A fetch of these batches from an offset on, and the position of its partition."""
    isolation = options.pop("isolation", READ_COMMITTED)
    records = ReadableRecords(
        PLACE, FetchedBatches(data), options.pop("aborted", None), begin, None, None, True, isolation
    )
    position = SimpleNamespace(paused=False, has_valid_position=True, position=begin)
    position.consumed_to = lambda offset: setattr(position, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: position)
    held = InBatches()
    held[PLACE] = FetchResult(PLACE, assignment=assignment, partition_records=records, backoff=0)
    return held[PLACE], position


def offsets(batches: list[list[Any]]) -> list[list[int]]:
    return [[record.offset for record in each] for each in batches]


def test_records_have_what_a_table_needs_and_positions_move_on() -> None:
    fetch, position = fetched(batch(0, 4) + batch(4, 3) + batch(9, 2))
    first = fetch.getall(1)
    assert (offsets(first), position.position) == ([[0, 1, 2, 3]], 4)
    rest = fetch.getall(100)
    assert (offsets(rest), position.position) == ([[4, 5, 6], [9, 10]], 11)
    records = [record for each in first + rest for record in each]
    assert all((each.key, each.value) == (b"k%d" % each.offset, b"v" if each.offset % 3 else None) for each in records)
    assert all(list(record.headers) == [HEADER] for record in records)
    assert {type(record).__name__ for record in records} == {"DefaultRecord"}


def test_a_fetch_from_within_a_batch_begins_there() -> None:
    fetch, position = fetched(batch(0, 4) + batch(4, 3), begin=2)
    assert (offsets(fetch.getall(100)), position.position) == ([[2, 3], [4, 5, 6]], 7)


def test_a_batch_of_which_nothing_was_asked_for_gives_no_list() -> None:
    fetch, position = fetched(batch(0, 4) + batch(6, 1), begin=5)
    assert (offsets(fetch.getall(100)), position.position) == ([[6]], 7)


def test_a_batch_that_is_not_readable_whole_is_read_record_by_record() -> None:
    bad = batch(4, 2, header=("\N{SNOWMAN}", b"x"))
    broken = bad.replace("\N{SNOWMAN}".encode(), b"\xff\xff\xff")
    builder = FetchedBatches(broken)
    data = batch(0, 4) + _with_checksum(broken) + batch(6, 1)
    fetch, position = fetched(data)
    batches = fetch.getall(100)
    assert (offsets(batches), position.position) == ([[0, 1, 2, 3], [4], [5], [6]], 7)
    assert builder.has_next()
    assert batches[1][0].headers == [("\\xff\\xff\\xff", b"x")]


def test_batches_of_transactions_are_left_out_as_before() -> None:
    data = batch(0, 2) + batch(2, 2, transaction=True) + batch(4, 1)
    beside, position = fetched(data, isolation=BESIDE_TRANSACTIONS)
    assert (offsets(beside.getall(100)), position.position) == ([[0, 1], [4]], 5)
    aborted, position = fetched(data, aborted=[(5, 2)])
    assert (offsets(aborted.getall(100)), position.position) == ([[0, 1], [4]], 5)
    committed, position = fetched(data)
    assert (offsets(committed.getall(100)), position.position) == ([[0, 1], [2, 3], [4]], 5)


def test_errors_are_held_as_they_are() -> None:
    held = InBatches()
    error = held[PLACE] = FetchError(error=ValueError(), backoff=0)
    assert held[PLACE] is error


def _with_checksum(changed: bytes) -> bytes:
    """The batch with the checksum that its content has now."""
    from aiokafka.record.util import calc_crc32c_py  # noqa: PLC0415

    made = bytearray(changed)
    made[17:21] = calc_crc32c_py(bytes(made[21:])).to_bytes(4)
    return bytes(made)
