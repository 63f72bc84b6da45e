"""Journal of a sandbox's state, kept over a restart: a file of JSON lines, in which the last line of a key counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from topics.records.json_text import read, write

JournalEntry = tuple[str, str, Any]
"""(kind, key, value): the new state of one thing; value None when it is gone."""

COMPACT_BYTES = 64 << 20
"""A journal that has grown by this much is written anew, so that a start takes only seconds."""


class Journal:
    """Appends changes to a file; without a path, it keeps nothing.

    `live` yields the whole state, to write the file anew. Lines are written by `flush`, which the server calls a few
    times a second and at its end: a killed sandbox loses the last moments at most.
    """

    def __init__(self, path: Path | None, live: Callable[[], Iterable[JournalEntry]]) -> None:
        self._path = path
        self._live = live
        self._file: IO[bytes] | None = None
        self._grown = 0

    def load(self) -> list[JournalEntry]:
        """Return the state at the last write. A torn last line (after a kill) is left out."""
        found: dict[tuple[str, str], Any] = {}
        if self._path is not None and self._path.exists():
            for line in self._path.read_bytes().splitlines():
                try:
                    kind, key, value = read(line)
                except ValueError:
                    continue  # torn by a kill; the lines after it were never confirmed
                found[kind, key] = value
        return [(kind, key, value) for (kind, key), value in found.items() if value is not None]

    def put(self, kind: str, key: str, value: Any) -> None:
        if self._path is None:
            return
        if self._file is None:
            self.compact()
            return  # the live state has this change already
        line = write((kind, key, value)) + b"\n"
        self._file.write(line)
        self._grown += len(line)

    def flush(self) -> None:
        if self._file is None:
            return
        if self._grown > COMPACT_BYTES:
            self.compact()
        self._file.flush()

    def compact(self) -> None:
        """Write the live state beside the old file, and replace the old file in one step."""
        if self._path is None:
            return
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as lines:
            lines.writelines(write(entry) + b"\n" for entry in self._live())
        fresh.replace(self._path)
        self._file = self._path.open("ab")
        self._grown = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
