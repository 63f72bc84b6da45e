"""Reader of stock files, as blocks of NDJSON or CSV for a gateway: unchanged, or converted from Parquet."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from sluice.errors import StartError

BLOCK_BYTES = 256 << 10
"""Bytes read and sent at once: few enough to show progress often, many enough to make few calls."""
ROWS_AT_ONCE = 5_000
"""Rows of Parquet converted at once; about half a megabyte of NDJSON."""
CONTENT_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson", "parquet": "application/x-ndjson"}
ENDINGS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}
STANDARD_INPUT = "-"


def format_of(name: str, chosen: str | None) -> str:
    """Return the format that was chosen, or that the file's ending says. Raises StartError."""
    found = chosen or ENDINGS.get(Path(name).suffix.lower())
    if found is None and name == STANDARD_INPUT:
        raise StartError("standard input does not say its format; give --format csv or ndjson")
    if found is None:
        raise StartError(f"{name}: its ending does not say its format; give --format csv, ndjson or parquet")
    if found == "parquet" and name == STANDARD_INPUT:
        raise StartError("Parquet cannot be read from standard input, because its directory is at its end: give a file")
    return found


@contextmanager
def blocks_of(name: str, kind: str) -> Iterator[Iterator[bytes]]:
    """Yield the content as blocks. Raises StartError, also while the blocks are read."""
    if name == STANDARD_INPUT:
        yield _blocks(name, sys.stdin.buffer)
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise StartError(f"{name}: cannot be read: {error.strerror}") from error
        yield _parquet(name, file) if kind == "parquet" else _blocks(name, file)


def _blocks(name: str, file: IO[bytes]) -> Iterator[bytes]:
    # read1 returns what a pipe has now; read would wait until a block is full, and the other end may be slow.
    read = getattr(file, "read1", file.read)
    try:
        while block := read(BLOCK_BYTES):
            yield block
    except OSError as error:
        raise StartError(f"{name}: cannot be read: {error.strerror}") from error


def _parquet(name: str, opened: IO[bytes]) -> Iterator[bytes]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - not everybody has it
    except ImportError as error:
        raise StartError(
            "Parquet needs pyarrow, which is not installed: pip install 'sluice-gateway[parquet]'"
        ) from error
    try:
        with parquet.ParquetFile(opened) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                yield b"".join(_line(name, row) for row in batch.to_pylist())
    except (OSError, ArrowException) as error:
        raise StartError(f"{name}: cannot be read as Parquet: {error}") from error


def _line(file: str, row: dict[str, Any]) -> bytes:
    members = {name: _member(file, name, value) for name, value in row.items() if value is not None}
    return json.dumps(members, ensure_ascii=False).encode() + b"\n"


def _member(file: str, column: str, value: Any) -> Any:
    """Return a member as the contract writes it. A column with missing quantities has floats in Parquet, a column of
    texts may have plain bytes."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise StartError(f"{file}: column {column} has bytes that are not UTF-8: {value[:40]!r}") from error
    if isinstance(value, list | dict):
        raise StartError(f"{file}: column {column} has lists or structures; a column has one value in each row")
    return value if isinstance(value, (str, int, float, bool)) else str(value)
