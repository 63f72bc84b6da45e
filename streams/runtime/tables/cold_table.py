"""The part of a spilling table on local disk: values and remembered deletions by key, each with its source offset."""

from __future__ import annotations

from collections.abc import Iterable

from streams.runtime.invariants import violated
from streams.runtime.tables.local_store import LocalStore

PAGE_KEYS = 500
"""Keys read at once while a table is walked through."""

Row = tuple[bytes, bytes | None, int]
"""Key, value (None: deleted) and origin."""


class ColdTable:
    """`values` and `deleted` count its rows."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        name = self._name = store.create(
            "key BLOB PRIMARY KEY, value BLOB, origin INTEGER", "(origin) WHERE value IS NULL"
        )
        self.values = self.deleted = 0
        # Made once: SQLite recognises a prepared statement by its text.
        self._get = _about(name, "SELECT value FROM cold WHERE key = ?")
        self._origin = _about(name, "SELECT origin FROM cold WHERE key = ?")
        self._newest = _about(name, "SELECT max(origin) FROM cold")
        self._insert = _about(name, "INSERT INTO cold VALUES (?, ?, ?)")
        self._delete = _about(name, "DELETE FROM cold WHERE key = ? RETURNING length(value)")
        self._forget = _about(name, "DELETE FROM cold WHERE value IS NULL AND origin < ? RETURNING 1")
        self._page = _about(
            name, "SELECT key, value FROM cold WHERE key >= ? AND value IS NOT NULL ORDER BY key LIMIT ?"
        )

    def get(self, key: bytes) -> bytes | None:
        rows = self._store.rows(self._get, (key,))
        return rows[0][0] if rows else None

    def origin(self, key: bytes) -> int | None:
        rows = self._store.rows(self._origin, (key,))
        found: int | None = rows[0][0] if rows else None
        return found

    def newest_origin(self) -> int | None:
        newest: int | None = self._store.rows(self._newest)[0][0]
        return newest

    def add(self, rows: Iterable[Row], *, values: int = 0, deleted: int = 0) -> None:
        """Adds rows of keys that are not here."""
        self._store.many(self._insert, rows)
        self.values += values
        self.deleted += deleted

    def remove(self, key: bytes) -> int:
        """Removes a key. Returns the bytes of its value."""
        rows = self._store.rows(self._delete, (key,))
        if not rows:
            return 0
        size: int | None = rows[0][0]
        if size is None:
            self.deleted -= 1
            return 0
        self.values -= 1
        return size

    def forget_deleted(self, next_offset: int) -> None:
        self.deleted -= len(self._store.rows(self._forget, (next_offset,)))

    def page(self, first: bytes) -> list[tuple[bytes, bytes]]:
        """Values from a key on, in the order of keys; fewer than PAGE_KEYS at the end."""
        return self._store.rows(self._page, (first, PAGE_KEYS))

    def drop(self) -> None:
        if not self.values and not self.deleted and self._store.rows(f"SELECT 1 FROM {self._name} LIMIT 1"):  # noqa: S608 - our own name
            violated("spilled_rows_are_counted", f"{self._name} has rows, and counts none")
        self._store.drop(self._name)


def _about(name: str, statement: str) -> str:
    return statement.replace(" cold", f" {name}")
