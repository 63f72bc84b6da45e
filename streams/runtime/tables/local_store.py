"""Local disk for what memory should not hold: one SQLite file of a process, which nobody reads after it.

All of it can be rebuilt from Kafka. So nothing is flushed or journalled, one transaction that never ends saves a write
for each statement, and whatever a former process left is deleted. There is no file until something is put there, and
none any more when the last table is dropped.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

PAGE_BYTES = 16_384
"""A key with its value of up to a quarter of this is in one page. In SQLite's 4 KiB each value of 1 kB has pages of its
own, which takes twice the time and four times the disk."""
CACHE_KIB = 8_192
"""Pages that SQLite itself keeps: those a drain is about to read. The operating system keeps more while it has room."""
_FAST = (
    f"PRAGMA page_size = {PAGE_BYTES}",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA cache_size = -{CACHE_KIB}",
    "BEGIN",
)


class LocalStoreError(RuntimeError):
    """The disk does not take or give what was left to it. No record's fault: the process ends, and rebuilds."""


class LocalStore:
    """Used by one thread. Whoever makes a table names it by what `create` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._names = count()
        self._tables: set[str] = set()

    def create(self, columns: str, *indexes: str) -> str:
        """A table `name(columns)` with an index on each of `indexes`."""
        name = f"t{next(self._names)}"
        with self._telling():
            connection = self._connection or self._open()
            connection.execute(f"CREATE TABLE {name} ({columns}) WITHOUT ROWID")
            for index in indexes:
                connection.execute(f"CREATE INDEX {name}_i{next(self._names)} ON {name} {index}")
        self._tables.add(name)
        return name

    def drop(self, name: str) -> None:
        self._tables.discard(name)
        if self._tables:
            self.rows(f"DROP TABLE {name}")
        else:
            self.clear()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Runs one statement; returns what it gives, all of it."""
        with self._telling():
            return self._opened().execute(statement, values).fetchall()

    def many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Runs one statement for each of many."""
        with self._telling():
            self._opened().executemany(statement, values)

    def clear(self) -> None:
        """Nothing is left, of this process or of one before it."""
        with self._telling():
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._tables.clear()
            self._path.unlink(missing_ok=True)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise LocalStoreError(f"{self._path} was closed")
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        for statement in _FAST:
            self._connection.execute(statement)
        return self._connection

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LocalStoreError(
                f"{self._path}: {error}; SLUICE_STATE_DIR has to name a directory that can be written and has room"
            ) from error
