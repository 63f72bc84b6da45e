"""PURE: the formats of a snapshot's upload. Lines become positions, 200 at a time; what is wrong with one is a value.

NDJSON: one item of a stock batch on each line. CSV: a header with the names of an item's members, then one row a line.
"""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
from pydantic import TypeAdapter, ValidationError

from gateway.http.answers import Refused, bad_data
from topics.api.snapshots import RefusedLine
from topics.contract.models.inventory import ConsolidatedPosition, Position, numbered
from topics.contract.models.plain_stock import PlainQuantity
from topics.records.shape import NESTING_MAX, is_too_deep
from topics.schema_base import CODE_MAX, problems

LINE_BYTES_MAX = 16 << 10
"""One item with all its members at their longest; 200 such lines still fit a record."""
DIGITS_MAX = 18
"""Most digits of a number in CSV: more than a valid one has, and still 64 bits. A longer one is refused as a text."""
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CSV = ("text/csv",)

_ITEMS: dict[bool, TypeAdapter[Any]] = {False: TypeAdapter(Position), True: TypeAdapter(ConsolidatedPosition)}
_MEMBERS: dict[bool, frozenset[str]] = {
    False: frozenset(Position.model_fields),
    True: frozenset(ConsolidatedPosition.model_fields),
}
_WANTED: dict[bool, tuple[str, ...]] = {
    False: ("channelSkuCode", "quantity"),
    True: ("channelSkuCode", "consolidatedQuantity", "listingId"),
}
_NUMBERS = frozenset(("quantity", "consolidatedQuantity", "listingId"))


_decode_plain = msgspec.json.Decoder(list[PlainQuantity]).decode


@dataclass(slots=True)
class Parsed:
    """Some lines, parsed. `items`: JSON objects with commas between; `refused`: SKUs without a usable value."""

    items: bytes = b""
    count: int = 0
    refused: list[str] = field(default_factory=list)
    errors: list[RefusedLine] = field(default_factory=list)
    unreadable: int = 0
    """Refused lines of which not even the SKU is known."""


class Lines:
    """Cuts a stream into lines, and keeps less than one. Raises Refused for a line that is too long."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LINE_BYTES_MAX or (lines and len(max(lines, key=len)) > LINE_BYTES_MAX):
            raise bad_data(f"body: a line has more than {LINE_BYTES_MAX} bytes")
        return lines

    def end(self) -> list[bytes]:
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class Format(ABC):
    """A format of lines, which are numbered from 1."""

    def __init__(self, *, consolidated: bool) -> None:
        self.consolidated = consolidated

    def head(self, lines: list[bytes]) -> tuple[int, list[bytes]]:
        """The number of header lines, and the other lines. Raises Refused."""
        return 0, lines

    @abstractmethod
    def parse(self, lines: Sequence[tuple[int, bytes]]) -> Parsed:
        """Parses up to 200 lines with their numbers; none is empty."""

    def is_plain(self, items: bytes, count: int) -> bool:
        """Whether all these items are valid and have nothing but a SKU and a quantity."""
        if self.consolidated:
            return False
        try:
            return len(_decode_plain(b"[%b]" % items)) == count
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
            return False

    def judged(self, items: Iterable[tuple[int, Any]]) -> Parsed:
        """Judges items one by one, each with its line. An exception stands for one that cannot be read."""
        parsed, good = Parsed(), []
        for line, item in items:
            try:
                if isinstance(item, Exception):
                    raise item
                _ITEMS[self.consolidated].validate_python(item)
            except ValidationError as error:
                self._refuse(parsed, line, "; ".join(problems(error)), item)
            except ValueError as error:
                self._refuse(parsed, line, str(error), None)
            else:
                good.append(numbered(item))
        parsed.items = orjson.dumps(good)[1:-1]
        parsed.count = len(good)
        return parsed

    def _refuse(self, parsed: Parsed, line: int, error: str, item: Any) -> None:
        parsed.errors.append(RefusedLine(line=line, error=error))
        sku = item.get("channelSkuCode") if isinstance(item, dict) else None
        if isinstance(sku, str) and 0 < len(sku) <= CODE_MAX:
            parsed.refused.append(sku)
        else:
            parsed.unreadable += 1


class Ndjson(Format):
    def parse(self, lines: Sequence[tuple[int, bytes]]) -> Parsed:
        # A JSON string has no line breaks, so no item can span two lines.
        joined = b"\n,".join([line for _, line in lines])
        if self.is_plain(joined, len(lines)):
            return Parsed(joined, len(lines))
        return self.judged((number, _json(line)) for number, line in lines)


class Csv(Format):
    def __init__(self, *, consolidated: bool) -> None:
        super().__init__(consolidated=consolidated)
        self._columns: list[tuple[str, bool]] = []
        """The names of members, and whether they are numbers."""

    def head(self, lines: list[bytes]) -> tuple[int, list[bytes]]:
        if self._columns or not lines:
            return 0, lines
        columns = _row(lines[0].removeprefix(b"\xef\xbb\xbf"))
        if isinstance(columns, Exception):
            raise bad_data(f"line 1: {columns}")
        members, wanted = _MEMBERS[self.consolidated], _WANTED[self.consolidated]
        lacking = [name for name in wanted if name not in columns]
        unknown = [name[:40] for name in columns if name not in members]
        if lacking or unknown or len(set(columns)) != len(columns):
            raise bad_data(
                f"line 1: must name the columns, {', '.join(wanted)} among them; "
                f"lacking: {', '.join(lacking) or 'none'}; unknown: {', '.join(unknown[:10]) or 'none'}; none may come "
                "twice"
            )
        self._columns = [(name, name in _NUMBERS) for name in columns]
        return 1, lines[1:]

    def parse(self, lines: Sequence[tuple[int, bytes]]) -> Parsed:
        rows = _rows([line for _, line in lines])
        if rows is not None and all(len(row) == len(self._columns) for row in rows):
            items = [self._item(row) for row in rows]
            raw = orjson.dumps(items)[1:-1]
            if self.is_plain(raw, len(lines)):
                return Parsed(raw, len(lines))
        return self.judged((number, self._item_of(line)) for number, line in lines)

    def _item_of(self, line: bytes) -> Any:
        row = _row(line)
        if isinstance(row, Exception):
            return row
        if len(row) != len(self._columns):
            return ValueError(f"has {len(row)} fields where the header has {len(self._columns)}")
        return self._item(row)

    def _item(self, row: list[str]) -> dict[str, Any]:
        return {
            name: int(text) if is_number and text.isdigit() and text.isascii() and len(text) <= DIGITS_MAX else text
            for (name, is_number), text in zip(self._columns, row, strict=True)
            if text
        }


def _json(line: bytes) -> Any:
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return ValueError(f"is not JSON: {error.msg}")
    return ValueError(f"may nest at most {NESTING_MAX} levels deep") if is_too_deep(line, [item]) else item


def _rows(lines: list[bytes]) -> list[list[str]] | None:
    """The rows of all lines; None: they must be read one by one."""
    try:
        rows = list(csv.reader(b"\n".join(lines).decode().split("\n"), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return rows if len(rows) == len(lines) else None


def _row(line: bytes) -> list[str] | Exception:
    try:
        (row,) = csv.reader(io.StringIO(line.decode()), strict=True)
    except UnicodeDecodeError:
        return ValueError("is not UTF-8")
    except (csv.Error, ValueError):
        return ValueError("is no row of CSV; a quoted field must end on its line")
    return row


def format_of(content_type: str, *, consolidated: bool) -> Format:
    """Raises Refused for other types of content."""
    if content_type in NDJSON:
        return Ndjson(consolidated=consolidated)
    if content_type in CSV:
        return Csv(consolidated=consolidated)
    fault = f"[Content-Type: is {content_type[:40]}; must be {NDJSON[0]} or {CSV[0]}]"
    raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Snapshots are NDJSON or CSV", fault)
