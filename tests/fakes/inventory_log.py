"""The inventory role on one partition, with a broker and crashes: the runtime's steps, one by one, without its tasks.

What a role decides becomes durable as GroupCommit makes it so: effects, then state in the order in which it was put,
then the offset; the effects of a group leave while the state of the one before is on its way. A crash may come in the
middle of each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from streams.inventory.role import InventoryRole
from streams.positions.position_table import PositionTable
from streams.positions.timed_positions import TimedPositions
from streams.runtime.durability.rebuild import Rebuild, recovered_offsets
from streams.runtime.role import Effect, Poison, Record
from streams.runtime.tables.partition_table import PartitionState
from topics.records.envelope import Headers

POSITIONS = "inventory.positions"


@dataclass(frozen=True, slots=True)
class Row:
    """A record of the changelog."""

    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Leaving:
    """Where a table leaves to."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def append(self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        self.rows.append(Row(key, value, headers))

    def extend(self, keys: Sequence[bytes], values: Sequence[bytes], headers: Sequence[list[tuple[str, bytes]]]) -> int:
        rows = [Row(*row) for row in zip(keys, values, headers, strict=True)]
        self.rows += rows
        return sum(len(row.key) + len(row.value or b"") for row in rows)


class Crash(Exception):  # noqa: N818 - it says what happens
    """The process is gone."""


class Worker:
    """One life after the other, on a log that outlives them."""

    def __init__(self, chance: random.Random, partition: int, make_role: Callable[[], InventoryRole]) -> None:
        self.partition = partition
        self.log: list[Record] = []
        """The source partition, with what the role sends itself."""
        self.told: list[Effect] = []
        """All other effects, in the order in which they became durable."""
        self.changelog: list[Row] = []
        self.committed = 0
        self.now_ms = 0
        self._chance = chance
        self._make_role = make_role
        self._epoch = 0
        self._in_flight: list[Row] = []
        self._begin()

    def write(self, key: bytes, value: bytes, headers: Headers) -> None:
        self.log.append(Record(self.partition, len(self.log), self.now_ms, key, value, headers))

    def run(self, *, crash: bool) -> None:
        """Until the end of the log as it is, in groups; with `crash`, it may die on the way, and begins again later."""
        try:
            while self._next < len(self.log):
                self._group(crash=crash)
            self._durable(self._in_flight)
            self._in_flight = []
            self.committed = self._next
        except Crash:
            self._begin()

    def kill(self) -> None:
        """And begin again, from what is durable."""
        self._begin()

    @property
    def table(self) -> PositionTable:
        (table,) = self._state.all
        assert isinstance(table, PositionTable)
        return table

    def _begin(self) -> None:
        """Another life: what is durable is all there is."""
        self._epoch += 1
        self._role = self._make_role()
        self._state = PartitionState(self.partition, (POSITIONS,), TimedPositions)
        self._state.epoch = self._epoch
        rebuild = Rebuild(self.table, POSITIONS)
        rebuild.apply(
            [
                SimpleNamespace(key=row.key, value=row.value, headers=row.headers, timestamp=self.now_ms)
                for row in self.changelog
            ]
        )
        self._state.horizon, self._state.last_decided = recovered_offsets([rebuild])
        self._next = self.committed
        self._in_flight = []

    def _group(self, *, crash: bool) -> None:
        effects: list[Effect] = []
        rows = Leaving()
        for _ in range(self._chance.randint(1, 3)):
            for record in self.log[self._next : self._next + self._chance.randint(1, 4)]:
                effects += self._decide(record)
                self._next = record.offset + 1
            self.table.write_changes(rows)
        dies = crash and self._chance.random() < 0.2
        where = self._chance.choice(("effects", "state before", "state", "offset")) if dies else ""
        for effect in effects[: self._chance.randint(0, len(effects)) if where == "effects" else None]:
            self._publish(effect)
        before, self._in_flight = self._in_flight, rows.rows
        if where in ("effects", "state before"):
            self._durable(before[: self._chance.randint(0, len(before))])
            raise Crash
        self._durable(before)
        if not dies and self._chance.random() < 0.7:
            return  # its state is on its way while the next group's effects leave
        self._durable(rows.rows[: self._chance.randint(0, len(rows.rows)) if where == "state" else None])
        self._in_flight = []
        if dies:
            raise Crash
        if self._chance.random() < 0.5:
            self.committed = self._next

    def _decide(self, record: Record) -> list[Effect]:
        state = self._state
        state.offset = record.offset
        try:
            effects = list(self._role.decide(record, state.tables))
        except Poison as poison:
            state.undo()
            return [Effect("commands.rejected", record.key, record.value, (("code", poison.code.encode()),))]
        finally:
            state.last_decided = record.offset
        if self.table.is_changed():
            self.table.merge()
        return effects

    def _publish(self, effect: Effect) -> None:
        if effect.topic == "inventory.updates" and effect.partition == self.partition:
            self.write(effect.key, effect.value, effect.headers)
        else:
            self.told.append(effect)

    def _durable(self, rows: list[Row]) -> None:
        self.changelog += rows
