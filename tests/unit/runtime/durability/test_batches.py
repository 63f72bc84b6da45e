"""Many records at once make the batches that one by one they would have made."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record import MemoryRecords

from streams.runtime.durability import publisher
from streams.runtime.durability.publisher import Batches

HEADERS = [("sluice-made-by", b"1/7")]


class Producer:
    def __init__(self, batch_bytes: int) -> None:
        self._batch_bytes = batch_bytes

    def batch_of(self, _topic: str, _partition: int) -> BatchBuilder:
        return BatchBuilder(self._batch_bytes, 0)


def batches(batch_bytes: int) -> Batches:
    return Batches(Producer(batch_bytes), "t.positions.v1", 0)


def read(given: Batches) -> list[list[tuple[Any, ...]]]:
    """Of each batch its records: offset, key, value, headers."""
    found = []
    for builder in given.built:
        records = MemoryRecords(bytes(builder._build()))
        batch = records.next_batch()
        found.append([(record.offset, record.key, record.value, list(record.headers)) for record in batch])
        assert builder.record_count() == len(found[-1])
    return found


def rows(count: int, size: int = 20) -> list[tuple[bytes, bytes]]:
    return [(b"key %d" % number, b"%d" % number * size) for number in range(count)]


def columns(count: int) -> tuple[list[bytes], list[bytes], list[list[tuple[str, bytes]]]]:
    return [key for key, _ in rows(count)], [value for _, value in rows(count)], [HEADERS] * count


@pytest.mark.parametrize("count", [0, 1, 200, 600])
def test_records_that_share_headers_are_appended_as_one_by_one(count: int) -> None:
    """The builder's own method and its count of records are private to aiokafka: this is what is relied on."""
    together, apart = batches(1 << 20), batches(1 << 20)
    for each in (together, apart):
        each.append(b"before", b"1", list(HEADERS))
    size = together.extend(*columns(count))
    for key, value in rows(count):
        apart.append(key, value, list(HEADERS))
    together.append(b"behind", None, [])
    apart.append(b"behind", None, [])
    assert size >= sum(len(key) + len(value) for key, value in rows(count))
    assert read(together) == read(apart)


def test_what_a_batch_does_not_take_goes_to_the_next() -> None:
    given = batches(4_000)
    given.extend(*columns(200))
    found = read(given)
    assert len(found) > 2
    assert [(key, value) for batch in found for _, key, value, _ in batch] == rows(200)


def test_a_batch_is_closed_at_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "BATCH_BYTES_MAX", 3_000)
    monkeypatch.setattr(publisher, "SIZED_EVERY", 8)
    given = batches(1 << 20)
    for _ in range(6):
        given.extend(*columns(50))
    found = read(given)
    assert len(found) > 1
    assert sum(map(len, found)) == 300
