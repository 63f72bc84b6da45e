"""Local disk for what memory should not hold: one SQLite file for the life of a process.

All of it can be rebuilt from Kafka. So nothing is flushed or journalled, one transaction that never ends saves a write
for each statement, and the file of a former process is deleted. The file exists only while there is a table.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from topics.configuration.private_files import make_private, make_private_file

PAGE_BYTES = 16_384
"""A key with its value of up to a quarter of this is in one page. In SQLite's 4 KiB each value of 1 kB has pages of its
own, which takes twice the time and four times the disk."""
CACHE_KIB = 8_192
"""Pages that SQLite itself keeps: those that are read next. The operating system keeps more while it has room."""
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
    """The disk cannot be written or read. This is no record's fault: the process ends, and rebuilds at its restart."""


class LocalStore:
    """Tables on disk, for one thread. A table is known by the name that `create` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._names = count()
        self._tables: set[str] = set()

    def create(self, columns: str, *indexes: str) -> str:
        """Makes a table with these columns and an index on each of `indexes`. Returns its name."""
        name = f"t{next(self._names)}"
        with self._named_errors():
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
        """Runs one statement. Returns all its rows."""
        with self._named_errors():
            return self._opened().execute(statement, values).fetchall()

    def many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Runs one statement for each of `values`."""
        with self._named_errors():
            self._opened().executemany(statement, values)

    def clear(self) -> None:
        """Deletes all tables and the file, also one that a former process left."""
        with self._named_errors():
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
        make_private(self._path.parent)
        self._path.unlink(missing_ok=True)
        make_private_file(self._path)
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        for statement in _FAST:
            self._connection.execute(statement)
        return self._connection

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LocalStoreError(
                f"{self._path}: {error}; SLUICE_STATE_DIR has to name a directory that can be written and has room"
            ) from error
