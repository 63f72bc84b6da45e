"""Spilled lanes: the lanes of one dispatcher that are on local disk, because memory has no room for them.

Only their names and what is needed to reload them in order are on disk. Their requests are in the outbox, of which this
is an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import orjson

from streams.delivery.clock import NEVER
from streams.runtime.tables.local_store import LocalStore
from topics.contract.definition import Priority

_UNKNOWN = -1
_COLUMNS = "lane TEXT PRIMARY KEY, class INTEGER, due_ms INTEGER, serial INTEGER, since_ms INTEGER, requests TEXT"
"""`requests`: the lane's requests as JSON members, each with a comma behind it, so that one can be appended."""
_INDEXES = ("(class, due_ms, serial)", "(since_ms)")
_STATEMENTS = {
    "spill": "INSERT INTO spilled VALUES (?, ?, ?, ?, ?, ?)",
    "append": "UPDATE spilled SET requests = requests || ? WHERE lane = ? AND class <> ? RETURNING 1",
    "has": "SELECT 1 FROM spilled WHERE lane = ?",
    "pop": "DELETE FROM spilled WHERE lane = ? RETURNING class, requests",
    "due": "SELECT lane FROM spilled WHERE class = ? AND due_ms <= ? ORDER BY due_ms, serial LIMIT ?",
    "first": "SELECT min(due_ms) FROM spilled WHERE class = ?",
    "undue": "SELECT count(*) FROM spilled WHERE class = ? AND due_ms = ?",
    "undue_ones": "SELECT lane, requests FROM spilled WHERE class = ? AND due_ms = ? ORDER BY serial LIMIT ?",
    "oldest": "SELECT min(since_ms) FROM spilled",
}

Marks = dict[str, int]
"""The requests of a lane, in order, each with its mark (`mark_of` in streams/delivery/lanes/lane.py)."""


class SpilledLanes:
    """The spilled lanes of a dispatcher, by class in the order of the times when they are due."""

    def __init__(self, store: LocalStore) -> None:
        self.count = 0
        self._store = store
        self._name = ""
        self._sql: dict[str, str] = {}
        self._serial = count()
        self._first: dict[int, int] = {}
        """When the first lane of a class is due, _UNKNOWN after one has left."""

    def spill(self, lane: str, requests: Mapping[str, int], priority: Priority, due_ms: int, since_ms: int) -> None:
        if not self._name:
            self._name = self._store.create(_COLUMNS, *_INDEXES)
            self._sql = {name: text.replace(" spilled", f" {self._name}") for name, text in _STATEMENTS.items()}
        row = (lane, int(priority), due_ms, next(self._serial), since_ms, _written(requests))
        self._first[priority] = min(due_ms, self.next_due_ms(priority))
        self._store.rows(self._sql["spill"], row)
        self.count += 1

    def append(self, lane: str, request: str, mark: int, *, unless: Priority | None = None) -> bool:
        """Append a request to a lane; False when the lane is not on disk, or is of the class `unless`."""
        values = (_written({request: mark}), lane, -1 if unless is None else int(unless))
        return bool(self._store.rows(self._sql["append"], values))

    def has(self, lane: str) -> bool:
        return bool(self.count and self._store.rows(self._sql["has"], (lane,)))

    def pop_lane(self, lane: str) -> Marks | None:
        """Remove a lane; returns its requests, None when it is not on disk."""
        if not self.count:
            return None
        rows = self._store.rows(self._sql["pop"], (lane,))
        if not rows:
            return None
        [(priority, requests)] = rows
        self._left(priority)
        return _read(requests)

    def pop_due(self, priority: Priority, now_ms: int, at_most: int) -> list[tuple[str, Marks]]:
        """Remove the lanes of a class that are due, in order."""
        if self.next_due_ms(priority) > now_ms:
            return []
        names = self._store.rows(self._sql["due"], (int(priority), now_ms, at_most))
        return [(name, requests) for (name,) in names if (requests := self.pop_lane(name)) is not None]

    def next_due_ms(self, priority: Priority) -> int:
        """When the first lane of a class is due; NEVER without any."""
        due_ms = self._first.get(priority)
        if due_ms is None:
            return NEVER
        if due_ms == _UNKNOWN:
            [(found,)] = self._store.rows(self._sql["first"], (int(priority),))
            due_ms = self._first[priority] = NEVER if found is None else found
        return due_ms

    def oldest_ms(self) -> int | None:
        """The time since which the oldest request on disk waits, None without any."""
        if not self.count:
            return None
        [(oldest,)] = self._store.rows(self._sql["oldest"])
        found: int | None = oldest
        return found

    def undue(self, at_most: int) -> tuple[int, list[tuple[str, str]]]:
        """How many lanes are due at no time (held), and the first request of some of them."""
        number, found = 0, list[tuple[str, str]]()
        for priority in self._first:
            values = (priority, NEVER)
            [(more,)] = self._store.rows(self._sql["undue"], values)
            number += more
            if more and len(found) < at_most:
                rows = self._store.rows(self._sql["undue_ones"], (*values, at_most - len(found)))
                found += [(lane, next(iter(_read(requests)))) for lane, requests in rows]
        return number, found

    def clear(self) -> None:
        """Forget all lanes: the dispatcher ends, and their requests are in the outbox."""
        self.count = 0
        self._first.clear()
        if self._name:
            self._store.drop(self._name)
            self._name = ""

    def _left(self, priority: int) -> None:
        self.count -= 1
        self._first[priority] = _UNKNOWN
        if not self.count:
            self.clear()


def _written(requests: Mapping[str, int]) -> str:
    return "".join(orjson.dumps([request, mark]).decode() + "," for request, mark in requests.items())


def _read(written: str) -> Marks:
    pairs: list[tuple[str, int]] = orjson.loads("[" + written[:-1] + "]")
    return dict(pairs)
