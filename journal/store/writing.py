"""Writes batches: rows and offsets in one transaction, the offsets by compare and set.

| the process dies | then |
|---|---|
| before the commit | nothing happened: the records are read again from the stored offset |
| behind it, before Kafka has the offset | the next owner goes by the stored offset; Kafka's is only a hint |

A partition has one owner in the database, too: whoever is assigned it claims it, which counts up `claim`. A process
that lost a partition without knowing has an older claim, so nothing of its batch is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import bindparam, literal_column, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journal.rows.batch import Batch
from journal.store.schema import make_months, migrate
from journal.store.statements import add, move_offsets, run, write_rows
from journal.tables.base import Month
from journal.tables.offsets import OFFSETS
from topics.records.json_text import read, write


class Place(NamedTuple):
    """A partition of a topic, by its name in the catalogue."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A partition as its new owner finds it."""

    next_offset: int
    claim: int
    memory: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Move:
    """How far a batch takes a partition. `memory`: what reading goes by from there; `record_ms`: of the last record."""

    place: Place
    claim: int
    from_offset: int
    to_offset: int
    memory: dict[str, Any]
    record_ms: int


class LostError(Exception):
    """A partition of a batch has another owner, or was read further. Nothing of the batch was written."""


class Writer:
    """Writes to one database. Raises SQLAlchemyError or OSError while the database is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._months: set[Month] = set()

    async def prepare(self) -> None:
        """Bring the tables to this version."""
        async with self._engine.begin() as connection:
            await connection.run_sync(migrate)

    async def claim(self, places: Iterable[Place]) -> dict[Place, Claimed]:
        """Become the owner of these partitions; returns where each goes on."""
        wanted = sorted(places)
        if not wanted:
            return {}
        async with self._engine.begin() as connection:
            new = {"next_offset": 0, "claim": 0, "memory": "{}", "record_ms": 0}
            rows = [{"topic": place.topic, "partition": place.partition, **new} for place in wanted]
            await run(connection, add(connection.dialect.name, OFFSETS), rows)
            named = [{"of_topic": place.topic, "of_partition": place.partition} for place in wanted]
            await run(connection, _CLAIM, named)
            stored = await _stored(connection, wanted)
        return {place: Claimed(row.next_offset, row.claim, read(row.memory.encode())) for place, row in stored.items()}

    async def write(self, batch: Batch, moves: Sequence[Move]) -> None:
        """Write a batch. Raises LostError."""
        await self._make_months(batch)
        ordered = sorted(moves, key=lambda move: move.place)
        await self.before_transaction()
        async with self._engine.begin() as connection:
            stored = await _stored(connection, [move.place for move in ordered])
            for move in ordered:
                row = stored.get(move.place)
                if row is None or (row.next_offset, row.claim) != (move.from_offset, move.claim):
                    raise LostError(f"{move.place.topic}/{move.place.partition} has another owner, or was read further")
            await write_rows(connection, batch)
            await self.between_rows_and_offsets()
            await run(connection, move_offsets(), [_moved(move) for move in ordered])
            await self.before_commit()
        await self.after_commit()

    async def _make_months(self, batch: Batch) -> None:
        """Partitions are made before the batch, in a transaction of their own: they lock whole tables."""
        new = batch.months() - self._months
        if new:
            async with self._engine.begin() as connection:
                await make_months(connection, new)
            self._months |= new

    def forget_months(self) -> None:
        """Make partitions anew from now on: some were dropped."""
        self._months.clear()

    async def before_transaction(self) -> None:
        """Step for tests, which end the process there; so are the three below."""

    async def between_rows_and_offsets(self) -> None: ...

    async def before_commit(self) -> None: ...

    async def after_commit(self) -> None: ...


_CLAIM = (
    update(OFFSETS)
    .where(OFFSETS.c.topic == bindparam("of_topic"), OFFSETS.c.partition == bindparam("of_partition"))
    .values(claim=OFFSETS.c.claim + literal_column("1"))
)


async def _stored(connection: AsyncConnection, places: Sequence[Place]) -> dict[Place, Any]:
    """The rows of these partitions, locked until the transaction ends."""
    of = OFFSETS.c
    asked = (
        select(OFFSETS)
        .where(tuple_(of.topic, of.partition).in_([tuple(place) for place in places]))
        .order_by(of.topic, of.partition)
        .with_for_update()
    )
    return {Place(row.topic, row.partition): row for row in await connection.execute(asked)}


def _moved(move: Move) -> dict[str, Any]:
    return {
        "of_topic": move.place.topic,
        "of_partition": move.place.partition,
        "of_claim": move.claim,
        "from_offset": move.from_offset,
        "to_offset": move.to_offset,
        "to_memory": write(move.memory).decode(),
        "to_record_ms": move.record_ms,
    }
