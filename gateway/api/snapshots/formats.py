"""PURE: the formats of a snapshot's upload. Lines become positions, 200 at a time; what is wrong with one is a value.

NDJSON: one item of a stock batch on each line. CSV: a header with the names of an item's members, then one row a line.
"""

from __future__ import annotations

import csv
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import msgspec
import orjson
from pydantic import ValidationError

from gateway.http.answers import Refused, bad_data
from topics.api.snapshots import RefusedLine
from topics.contract.leniency import as_text, judged
from topics.contract.models.inventory import ConsolidatedPosition, Position
from topics.contract.models.plain_stock import PlainQuantity
from topics.records.json_text import JsonTextError, read, without_mark, write
from topics.records.shape import NESTING_MAX, is_too_deep
from topics.schema_base import CODE_MAX, Body, problems

LINE_BYTES_MAX = 16 << 10
"""One item with all its members at their longest; 200 such lines still fit a record."""
DIGITS_MAX = 18
"""Most digits of a number in CSV: more than a valid one has, and still 64 bits. A longer one is refused as a text."""
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CSV = ("text/csv",)
MARK_BYTES = 4
"""First bytes of a stream that say what it is."""
_UTF16 = "is UTF-16; it must be UTF-8"
_FOREIGN = {
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"\x1f\x8b": "is gzip: send it with `Content-Encoding: gzip`, or unpacked",
    b"PK\x03\x04": "is a ZIP archive or a spreadsheet: send CSV or NDJSON",
}
"""First bytes of streams that are no lines of UTF-8, and what is wrong with these."""
_TO_CLOSING_QUOTE = re.compile(rb'(?:[^"]++|"")*+"')
"""From behind an opening quote to the closing one, as the csv module reads these."""
Entry = tuple[int, bytes]
"""A line that is not empty, with its number from 1."""

_ITEMS: dict[bool, type[Body]] = {False: Position, True: ConsolidatedPosition}
_WANTED: dict[bool, tuple[str, ...]] = {
    False: ("channelSkuCode", "quantity"),
    True: ("channelSkuCode", "consolidatedQuantity", "listingId"),
}
_NAMES = {consolidated: {name.lower(): name for name in item.model_fields} for consolidated, item in _ITEMS.items()}
"""The names of columns as some programs write these: spaces and capitals tell nothing apart."""
_QUANTITIES = ("quantity", "consolidatedQuantity")
_DECIMAL = re.compile(r"\s*-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\s*", re.ASCII)
"""A number as spreadsheets print it, `5.0` among them: CSV does not tell numbers from texts."""
_WHOLE = re.compile("0|[1-9][0-9]*", re.ASCII)
"""A number that has no other digits as text: 007 is a code."""


_FIRST = itemgetter(0)
_BRACE = set(b"{")
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
    """Cuts a stream into lines, and keeps less than one. Raises Refused for a line that is too long, and for a stream
    that is no text in UTF-8, as its first bytes say."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        text = self._rest + chunk
        if not self._is_begun:
            if len(text) < MARK_BYTES:
                self._rest = text
                return []
            text = self._begin(text)
        lines = text.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LINE_BYTES_MAX or (lines and len(max(lines, key=len)) > LINE_BYTES_MAX):
            raise bad_data(f"body: a line has more than {LINE_BYTES_MAX} bytes; lines end with LF or CR LF")
        return lines

    def end(self) -> list[bytes]:
        rest, self._rest = self._rest, b""
        if not self._is_begun:
            rest = self._begin(rest)
        return rest.split(b"\n") if rest else []

    def _begin(self, text: bytes) -> bytes:
        """The text behind a byte order mark."""
        self._is_begun = True
        for mark, fault in _FOREIGN.items():
            if text.startswith(mark):
                raise bad_data(f"line 1: {fault}")
        text = without_mark(text)
        if b"\0" in text[:MARK_BYTES]:
            raise bad_data(f"line 1: {_UTF16}")
        return text


@dataclass(slots=True)
class _Open:
    """A row of CSV that is not over at the end of its line. `last`: its last line so far."""

    first: int
    last: int
    bytes: int

    def fault(self) -> ValueError:
        where = f"goes on to line {self.last}" if self.last > self.first else "does not end"
        return ValueError(f"a quoted field {where}; it must end on its line")


class Format(ABC):
    """A format of lines: the reader of one stream."""

    def __init__(self, *, consolidated: bool) -> None:
        self.consolidated = consolidated
        self._number = 0

    def entries(self, lines: list[bytes]) -> list[Entry]:
        """The entries in the next lines of the stream. Raises Refused."""
        entries = [(number, line) for number, line in enumerate(lines, self._number + 1) if line and not line.isspace()]
        self._number += len(lines)
        return entries

    def head(self, entries: list[Entry]) -> tuple[bool, list[Entry]]:
        """Whether a header is among these entries, and the others. Raises Refused."""
        return False, entries

    @abstractmethod
    def parse(self, entries: Sequence[Entry]) -> Parsed:
        """Parses up to 200 entries, in the order of the stream."""

    def end(self) -> Parsed:
        """Parses what the end of the stream cuts off."""
        return Parsed()

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
                position = judged(_ITEMS[self.consolidated], item)
            except ValidationError as error:
                self._refuse(parsed, line, "; ".join(problems(error)), item)
            except ValueError as error:
                self._refuse(parsed, line, str(error), None)
            else:
                good.append(position)
        parsed.items = write(good)[1:-1]
        parsed.count = len(good)
        return parsed

    def _refuse(self, parsed: Parsed, line: int, error: str, item: Any) -> None:
        parsed.errors.append(RefusedLine(line=line, error=error))
        sku = as_text(item.get("channelSkuCode")) if isinstance(item, dict) else None
        if sku is not None and 0 < len(sku) <= CODE_MAX:
            parsed.refused.append(sku)
        else:
            parsed.unreadable += 1


class Ndjson(Format):
    def parse(self, entries: Sequence[Entry]) -> Parsed:
        lines = [line for _, line in entries]
        joined = b"\n,".join(lines)
        # Each line begins an item of its own: an item without objects in it goes on with a name.
        if set(map(_FIRST, lines)) == _BRACE and self.is_plain(joined, len(lines)):
            return Parsed(joined, len(lines))
        return self.judged((number, _json(line)) for number, line in entries)


class Csv(Format):
    def __init__(self, *, consolidated: bool) -> None:
        super().__init__(consolidated=consolidated)
        self._columns: list[tuple[str, bool]] = []
        """The names of members, and whether they are quantities."""
        self._open: _Open | None = None

    def head(self, entries: list[Entry]) -> tuple[bool, list[Entry]]:
        if self._columns or not entries:
            return False, entries
        line, header = entries[0]
        row = _row(header)
        if isinstance(row, Exception):
            raise bad_data(f"line {line}: {row}")
        names, wanted = _NAMES[self.consolidated], _WANTED[self.consolidated]
        columns = [names.get(name.strip().lower()) for name in row]
        lacking = [name for name in wanted if name not in columns]
        unknown = [
            name[:40] or "a column without a name" for name, column in zip(row, columns, strict=True) if column is None
        ]
        if lacking or unknown or len(set(columns)) != len(columns):
            raise bad_data(
                f"line {line}: must name the columns, each once and with commas between, {', '.join(wanted)} "
                f"among them; lacking: {', '.join(lacking) or 'none'}; unknown: {', '.join(unknown[:10]) or 'none'}"
            )
        self._columns = [(name, name in _QUANTITIES) for name in columns if name is not None]
        return True, entries[1:]

    def parse(self, entries: Sequence[Entry]) -> Parsed:
        rows = _rows([line for _, line in entries]) if self._open is None else None
        if rows is not None and all(len(row) == len(self._columns) for row in rows):
            items = [self._item(row) for row in rows]
            raw = orjson.dumps(items)[1:-1]
            if self.is_plain(raw, len(entries)):
                return Parsed(raw, len(entries))
        return self.judged(self._rows_of(entries))

    def end(self) -> Parsed:
        opened, self._open = self._open, None
        return self.judged([] if opened is None else [(opened.first, opened.fault())])

    def _rows_of(self, entries: Sequence[Entry]) -> Iterator[tuple[int, Any]]:
        """The rows of lines. One whose quoted field goes on behind its line is one fault: no line of it is a row."""
        for number, line in entries:
            opened = self._open
            is_open = _is_open_behind(line, is_open=opened is not None)
            if opened is None and not is_open:
                yield number, self._item_of(line)
                continue
            if opened is None:
                opened = self._open = _Open(number, number, 0)
            opened.last = number
            opened.bytes += len(line) + 1
            if opened.bytes > LINE_BYTES_MAX:
                fault = f"a quoted field begins and does not end within {LINE_BYTES_MAX} bytes"
                raise bad_data(f"line {opened.first}: {fault}")
            if not is_open:
                self._open = None
                yield opened.first, opened.fault()

    def _item_of(self, line: bytes) -> Any:
        row = _row(line)
        if isinstance(row, Exception):
            return row
        if len(row) != len(self._columns):
            return ValueError(f"has {len(row)} fields where the header has {len(self._columns)}")
        item = self._item(row)
        for name in _QUANTITIES:
            text = item.get(name)
            if type(text) is str and _DECIMAL.fullmatch(text):
                item[name] = float(text)
        listing = item.get("listingId", "")
        if len(listing) <= DIGITS_MAX and _WHOLE.fullmatch(listing):
            item["listingId"] = int(listing)
        return item

    def _item(self, row: list[str]) -> dict[str, Any]:
        return {
            name: int(text) if is_number and text.isdigit() and text.isascii() and len(text) <= DIGITS_MAX else text
            for (name, is_number), text in zip(self._columns, row, strict=True)
            if text
        }


def _json(line: bytes) -> Any:
    try:
        item = read(line)
    except JsonTextError as error:
        return ValueError(f"is not JSON: {error.msg}")
    return ValueError(f"may nest at most {NESTING_MAX} levels deep") if is_too_deep(line, [item]) else item


def _is_open_behind(line: bytes, *, is_open: bool) -> bool:
    """Whether a quoted field goes on behind the line, as the csv module reads it. `is_open`: one goes on into it."""
    at = 0
    while True:
        if is_open or line.startswith(b'"', at):
            end = _TO_CLOSING_QUOTE.match(line, at if is_open else at + 1)
            if end is None:
                return True
            at, is_open = end.end(), False
        at = line.find(b",", at) + 1
        if not at:
            return False


def _rows(lines: list[bytes]) -> list[list[str]] | None:
    """The rows of all lines; None: they must be read one by one."""
    joined = b"\n".join(lines)
    ends = joined.count(b"\r\n") + joined.endswith(b"\r")
    if b"\0" in joined or joined.count(b"\r") > ends:
        return None
    try:
        rows = list(csv.reader(joined.decode().split("\n"), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return rows if len(rows) == len(lines) else None


def _row(line: bytes) -> list[str] | Exception:
    if b"\r" in line.rstrip(b"\r"):
        return ValueError("has a CR inside; lines must end with LF or CR LF")
    if b"\0" in line:
        return ValueError("has a NUL character")
    try:
        (row,) = csv.reader(io.StringIO(line.decode()), strict=True)
    except UnicodeDecodeError:
        return ValueError("is not UTF-8")
    except (csv.Error, ValueError):
        return ValueError("is no row of CSV; a quoted field must end on its line, with a comma or nothing behind it")
    return row


def format_of(content_type: str, *, consolidated: bool) -> Format:
    """Raises Refused for other types of content."""
    if content_type in NDJSON:
        return Ndjson(consolidated=consolidated)
    if content_type in CSV:
        return Csv(consolidated=consolidated)
    fault = f"[Content-Type: is {content_type[:40]}; must be {NDJSON[0]} or {CSV[0]}]"
    raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Snapshots are NDJSON or CSV", fault)
