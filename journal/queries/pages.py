"""Pages of a list by keyset: a page begins behind the last row of the page before, which its cursor names.

So the hundredth page costs as much as the first, and rows that come meanwhile move nothing. A cursor is opaque to its
callers and checked when it comes back: it belongs to one list with one choice of filters.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from topics.api.query_parameters import NUMBER_MAX
from topics.records.json_text import JsonTextError, read, write

CURSOR_CHARS_MAX: Final = 4_000
"""Longest cursor that is read: it holds the sorting values of a row, which are codes and times."""
_DIGEST_BYTES: Final = 6


class CursorError(ValueError):
    """A cursor is none of this list, or of another choice of filters."""


@dataclass(frozen=True)
class Keyset:
    """The sorting of a list. `columns`: together they are unique, and none may be null; all are sorted in one
    direction, so that an index gives the rows in their sequence."""

    name: str
    columns: tuple[ColumnElement[Any], ...]
    descending: bool = True


@dataclass(frozen=True, slots=True)
class ListPage:
    """Rows of a list. `next`: the cursor of the next page; None: this is the last."""

    rows: Sequence[Mapping[str, Any]]
    next: str | None


async def page_of(
    connection: AsyncConnection,
    chosen: Select[Any],
    keyset: Keyset,
    *,
    filters: Mapping[str, Any],
    cursor: str | None,
    limit: int,
) -> ListPage:
    """At most `limit` rows of a select, which has the keyset's columns. `filters`: those that were given, for the
    check of cursors. Raises CursorError."""
    rows = (await connection.execute(paged(chosen, keyset, filters=filters, cursor=cursor, limit=limit))).mappings()
    found = rows.all()
    more = len(found) > limit
    shown = found[:limit]
    return ListPage(shown, cursor_of(keyset, filters, shown[-1]) if more else None)


def paged(
    chosen: Select[Any], keyset: Keyset, *, filters: Mapping[str, Any], cursor: str | None, limit: int
) -> Select[Any]:
    """The select of a page, with one row more, which says whether there is another page. Raises CursorError."""
    columns = keyset.columns
    if cursor is not None:
        kinds = [column.type.python_type for column in columns]
        found = values_in(cursor, keyset.name, filters, kinds)
        values = [literal(value, _wide(column.type)) for value, column in zip(found, columns, strict=True)]
        here, there = (tuple_(*columns), tuple_(*values)) if len(columns) > 1 else (columns[0], values[0])
        chosen = chosen.where(here < there if keyset.descending else here > there)
    order = [column.desc() if keyset.descending else column.asc() for column in columns]
    return chosen.order_by(*order).limit(limit + 1)


def _wide(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type of a cursor's value: whole numbers have 64 bits, also for a column of 32."""
    return BigInteger() if isinstance(kind, Integer) else kind


def cursor_of(keyset: Keyset, filters: Mapping[str, Any], row: Mapping[Any, Any]) -> str:
    """The cursor of the page behind a row."""
    return cursor_with(keyset.name, filters, [row[column.key] for column in keyset.columns])


def cursor_with(name: str, filters: Mapping[str, Any], values: Sequence[Any]) -> str:
    """The cursor of the page of a list behind these values of its sorting."""
    return urlsafe_b64encode(write([_digest(name, filters), *values])).decode().rstrip("=")


def values_in(cursor: str, name: str, filters: Mapping[str, Any], kinds: Sequence[type]) -> list[Any]:
    """The values of a cursor. `kinds`: their types. Raises CursorError."""
    try:
        found = read(urlsafe_b64decode(cursor[:CURSOR_CHARS_MAX] + "=" * (-len(cursor) % 4)))
    except (ValueError, JsonTextError):
        raise CursorError("it is no cursor of this list") from None
    if not isinstance(found, list) or len(found) != 1 + len(kinds):
        raise CursorError("it is no cursor of this list")
    if found[0] != _digest(name, filters):
        raise CursorError("it is of another list, or of other filters: begin without it")
    if [type(value) for value in found[1:]] != list(kinds) or not all(map(_is_kept, found[1:])):
        raise CursorError("it is no cursor of this list")
    return found[1:]


def _is_kept(value: Any) -> bool:
    """Whether a column may have this value: a number that no database takes would look as if the journal were away."""
    return abs(value) <= NUMBER_MAX if isinstance(value, int) else "\x00" not in value


def _digest(name: str, filters: Mapping[str, Any]) -> str:
    """A short digest of the list and of what was asked of it."""
    asked = write([name, sorted((key, str(value)) for key, value in filters.items())])
    return hashlib.blake2b(asked, digest_size=_DIGEST_BYTES).hexdigest()
