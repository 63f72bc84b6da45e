"""A journal in a database of its own, written without Kafka, and what is in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from journal.rows.batch import Batch
from journal.rows.keeper import Keeper, Personal
from journal.rows.reader import PartitionReader
from journal.rows.sources import SOURCES
from journal.store.writing import Claimed, Move, Place, Writer
from journal.tables.catalogue import TABLES
from journal.tables.offsets import OFFSETS
from tests.support.journal.records import PARTITIONS, Made

Content = dict[str, list[tuple[Any, ...]]]


class StoredJournal:
    """Writes records as the role does, batch after batch."""

    def __init__(self, engine: AsyncEngine, keeper: Keeper | None = None) -> None:
        self.writer = Writer(engine)
        self._keeper = keeper or Keeper(Personal.NONE)
        self._claimed: dict[Place, Claimed] = {}
        self._readers: dict[Place, PartitionReader] = {}
        self._next: dict[Place, int] = {}

    async def begin(self) -> None:
        await self.writer.prepare()
        places = [Place(topic, partition) for topic in SOURCES for partition in range(PARTITIONS)]
        self._claimed = await self.writer.claim(places)
        for place, claimed in self._claimed.items():
            self._readers[place] = SOURCES[place.topic](place.partition, claimed.memory, self._keeper, PARTITIONS)
            self._next[place] = claimed.next_offset

    async def write(self, records: Sequence[Made]) -> None:
        batch, reached = Batch(), dict[Place, Made]()
        for record in records:
            place = Place(record.topic, record.partition)
            if record.offset >= self._next[place]:
                self._readers[place].read(record, batch)
                reached[place] = record
        moves = [self._move(place, record) for place, record in reached.items()]
        await self.writer.write(batch, moves)
        for place, record in reached.items():
            self._next[place] = record.offset + 1

    def _move(self, place: Place, last: Made) -> Move:
        memory = self._readers[place].remembered()
        return Move(place, self._claimed[place].claim, self._next[place], last.offset + 1, memory, last.timestamp)


async def content_of(engine: AsyncEngine) -> Content:
    """All rows by the name of their table, sorted; without the claims, which count owners."""
    found: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    async with engine.connect() as connection:
        for table in TABLES:
            columns = [column for column in table.columns if column is not OFFSETS.c.claim]
            asked = select(*columns)
            if table is OFFSETS:
                asked = asked.where(OFFSETS.c.next_offset > 0)  # what was claimed and has no records yet
            rows = await connection.execute(asked)
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return dict(found)
