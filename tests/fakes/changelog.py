"""A ChangelogReader over a list of records, for tests without a broker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

from streams.runtime.changelog import ChangelogReader
from topics.configuration import Settings


class FakeChangelogReader(ChangelogReader):
    """`logs` holds the records of each partition; a record's offset is its index."""

    def __init__(self) -> None:
        super().__init__(Settings(), "test")
        self.logs: dict[TopicPartition, list[Any]] = {}
        self.failure: Exception | None = None

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if self.failure is not None:
            raise self.failure
        return {place: len(self.logs.get(place, [])) for place in partitions}

    async def read(
        self,
        partitions: Collection[TopicPartition],
        apply: Callable[[TopicPartition, Sequence[Any]], None],
        *,
        first: Mapping[TopicPartition, int] | None = None,
        end: Mapping[TopicPartition, int] | None = None,
    ) -> dict[TopicPartition, int]:
        stands = {}
        for place in partitions:
            log = self.logs.get(place, [])
            until = (end or {}).get(place, len(log))
            apply(place, log[(first or {}).get(place, 0) : until])
            stands[place] = until
        return stands
