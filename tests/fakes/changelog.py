"""A ChangelogReader over what a FakeProducer wrote, for tests without a broker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from streams.runtime.durability.changelog import ChangelogReader
from topics.configuration.settings import Settings

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Written:
    """A record in the log of all topics, as the producer appends it."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class Read:
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers


class FakeChangelogReader(ChangelogReader):
    """`log` is the producer's; a record's offset is its place among those of its partition."""

    def __init__(self, log: list[Written] | None = None) -> None:
        super().__init__(Settings(), "test")
        self._log = log if log is not None else []
        self.failure: Exception | None = None

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if self.failure is not None:
            raise self.failure
        return {place: len(self._records(place)) for place in partitions}

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
            records = self._records(place)
            until = (end or {}).get(place, len(records))
            apply(place, records[(first or {}).get(place, 0) : until])
            stands[place] = until
        return stands

    def _records(self, place: TopicPartition) -> list[Read]:
        written = [each for each in self._log if (each.topic, each.partition) == place]
        return [Read(offset, each.key, each.value, each.headers) for offset, each in enumerate(written)]
