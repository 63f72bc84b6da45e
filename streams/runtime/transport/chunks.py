"""Chunks: records of a fetch that are decided without a pause, and how far a partition is with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from streams.runtime.limits import CHUNK_BYTES_MAX, CHUNK_RECORDS_MAX, CHUNK_SHARE_MIN


class Chunk(NamedTuple):
    """Records of one partition that are decided without a pause."""

    assignments: int
    """`Hooks.assignments` when it was fetched; a chunk from another count is not this assignment's."""
    turn: int
    """`turns` of its partition when it was fetched."""
    partition: int
    records: Sequence[Any]


def split(records: Sequence[Any], most: int = CHUNK_RECORDS_MAX) -> Iterator[tuple[Sequence[Any], int]]:
    """Chunks of a fetch, bounded in records and bytes, each with its bytes."""
    begin = size = 0
    for index, record in enumerate(records):
        length = len(record.value) if record.value is not None else 0
        if index > begin and (index - begin >= most or size + length > CHUNK_BYTES_MAX):
            yield records[begin:index], size
            begin, size = index, 0
        size += length
    if begin < len(records):
        yield records[begin:], size


def portions(
    polled: Mapping[TopicPartition, Sequence[Any]], assignments: int, turns: Mapping[int, int]
) -> Iterator[tuple[TopicPartition, list[Chunk]]]:
    """Portions for one event each: chunks of several partitions, together bounded as one chunk is.

    Each comes with the partition of its last chunk. When there is little to do, all records of a poll are one portion,
    so that the cost of an event is paid once and not for each partition. When there is much, the partitions share each
    portion: none waits until the backlog of another is decided, which takes seconds after a worker has died.
    """
    portion: list[Chunk] = []
    count = size = 0
    last: TopicPartition | None = None
    for tp, chunk, length in _in_turn(polled):
        full = count + len(chunk) > CHUNK_RECORDS_MAX or size + length > CHUNK_BYTES_MAX
        if last is not None and full:
            yield last, portion
            portion, count, size = [], 0, 0
        portion.append(Chunk(assignments, turns.get(tp.partition, 0), tp.partition, chunk))
        count, size, last = count + len(chunk), size + length, tp
    if last is not None:
        yield last, portion


def _in_turn(
    polled: Mapping[TopicPartition, Sequence[Any]],
) -> Iterator[tuple[TopicPartition, Sequence[Any], int]]:
    """Chunks of all partitions with their bytes: one of each partition, then the next of each."""
    most = CHUNK_RECORDS_MAX
    if sum(map(len, polled.values())) > CHUNK_RECORDS_MAX:
        most = max(CHUNK_SHARE_MIN, CHUNK_RECORDS_MAX // len(polled))
    left = deque((tp, split(records, most)) for tp, records in polled.items())
    while left:
        tp, chunks = left.popleft()
        for chunk, length in chunks:
            yield tp, chunk, length
            left.append((tp, chunks))
            break


class AnyOffset(dict[TopicPartition, Any]):
    """Faust's notes of the last offset of each partition, which it drops messages below, and has no use here.

    A message carries several partitions under the offset of one, and after a pause records come again in other chunks.
    The ledger knows what was handed out, and the worker compares what it decides with what it has decided.
    """

    def __getitem__(self, _: TopicPartition) -> None:
        return None
