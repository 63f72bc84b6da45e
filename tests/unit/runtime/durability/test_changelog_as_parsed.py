"""Records of a changelog are given to its table as aiokafka parsed them: the override still meets what it is for."""

from __future__ import annotations

from types import SimpleNamespace

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.runtime.durability.changelog import AsParsed
from topics.kafka.fetched_records import FetchedBatches, ReadableRecords

PLACE = TopicPartition("t.state.v1", 3)


def fetched(rows: list[tuple[bytes, bytes | None]]) -> tuple[FetchResult, SimpleNamespace]:
    """A fetch of these rows, and the position of its partition."""
    builder = BatchBuilder(1 << 20, 0)
    for key, value in rows:
        builder.append(timestamp=None, key=key, value=value, headers=[("sluice-made-by", b"1/7")])
    records = ReadableRecords(PLACE, FetchedBatches(bytes(builder._build())), None, 0, None, None, True, 0)
    position = SimpleNamespace(paused=False, has_valid_position=True, position=0)
    position.consumed_to = lambda offset: setattr(position, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: position)
    return FetchResult(PLACE, assignment=assignment, partition_records=records, backoff=0), position


def test_they_have_what_a_table_needs_and_positions_move_on() -> None:
    rows = [(b"k%d" % number, b"v" if number % 3 else None) for number in range(10)]
    held = AsParsed()
    held[PLACE], position = fetched(rows)
    records = held[PLACE].getall(4) + held[PLACE].getall(100)
    assert [(record.offset, record.key, record.value) for record in records] == [
        (n, *row) for n, row in enumerate(rows)
    ]
    assert all(list(record.headers) == [("sluice-made-by", b"1/7")] for record in records)
    assert {type(record).__name__ for record in records} == {"DefaultRecord"}
    assert position.position == len(rows)


def test_errors_are_held_as_they_are() -> None:
    held = AsParsed()
    error = held[PLACE] = FetchError(error=ValueError(), backoff=0)
    assert held[PLACE] is error
