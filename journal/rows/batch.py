"""A batch of records, as changes of tables: rows to add; of tables that have only the present, the last of each key.

A batch is written in one transaction. What it does must not depend on how records are cut into batches.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table

from journal.tables.base import Month, month_of
from journal.tables.catalogue import MONTHLY_TABLES
from journal.tables.orders import IDS

Row = dict[str, Any]
DAY_MS = 86_400_000


@dataclass(slots=True)
class Suspect:
    """A request whose epoch is older than the newest that its maker's partition has had. It counts unless a request of
    a newer epoch is before it in its lane, which the database knows. `bodies`, `ids`: its other rows."""

    request: Row
    bodies: list[Row]
    ids: list[Row]


@dataclass(slots=True)
class Batch:
    """`added`: rows by table, of which a repeat changes nothing. `orders`: by key and beginning, what their facts
    change. `begun`: orders that were expected and are created: their earlier rows go. `waiting`, `gates`, `letters`,
    `ends`, `refused`, `pauses`: the last value of each key; None or nothing: the key is gone. `acted`: the first
    beginning of each action; `act_ends`: the last end of each."""

    added: defaultdict[Table, list[Row]] = field(default_factory=lambda: defaultdict(list))
    orders: dict[tuple[str, int], Row] = field(default_factory=dict)
    begun: list[Row] = field(default_factory=list)
    waiting: dict[tuple[str, str], Row | None] = field(default_factory=dict)
    gates: dict[tuple[str, str], Row] = field(default_factory=dict)
    letters: dict[str, Row] = field(default_factory=dict)
    ends: dict[str, Row] = field(default_factory=dict)
    refused: dict[str, list[Row]] = field(default_factory=dict)
    pauses: dict[tuple[str, int], Row] = field(default_factory=dict)
    acted: dict[str, Row] = field(default_factory=dict)
    act_ends: dict[str, Row] = field(default_factory=dict)
    suspects: list[Suspect] = field(default_factory=list)
    has_nul: bool = False
    """Whether a text may have the character NUL, which PostgreSQL does not take."""
    _days: set[int] = field(default_factory=set)

    def add(self, table: Table, row: Row) -> None:
        if table in MONTHLY_TABLES:
            self._days.add(row["received_ms"] // DAY_MS)
        self.added[table].append(row)

    def add_id(self, id_: str, kind: str, order_key: str, received_ms: int) -> None:
        if id_:
            self.added[IDS].append({"id": id_, "kind": kind, "order_key": order_key, "received_ms": received_ms})

    def note_day(self, received_ms: int) -> None:
        self._days.add(received_ms // DAY_MS)

    def months(self) -> set[Month]:
        """The months in which the batch has rows."""
        found = {month_of(day * DAY_MS) for day in self._days}
        return {month for month in found if month is not None}

    def counts(self) -> dict[str, int]:
        """Rows by the name of their table."""
        found = {table.name: len(rows) for table, rows in self.added.items()}
        found |= {"orders": len(self.orders), "waiting": len(self.waiting), "gates": len(self.gates)}
        return {name: count for name, count in found.items() if count}


def body_row(order_key: str, received_ms: int, kind: str, id_: str, kept: tuple[str, bytes], size: int) -> Row:
    """A row of `bodies`; `kept`: its form and what is kept of it."""
    form, content = kept
    return {
        "order_key": order_key,
        "received_ms": received_ms,
        "kind": kind,
        "id": id_,
        "form": form,
        "body": content,
        "bytes": size,
    }
