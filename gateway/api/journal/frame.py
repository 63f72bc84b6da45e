"""The frame of all calls that the journal answers: the connection, its errors, and pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.http.answers import Refused, bad_data
from gateway.http.query import flag_of, number_of, text_of
from journal.queries.pages import CursorError
from journal.queries.reader import JournalAwayError, JournalReader, JournalSlowError
from topics.api.query_parameters import CURSOR, PAGE_LIMIT, QueryParameter

AWAY_RETRY_AFTER_S: Final = 5
"""A journal that restarts, or is made for the first time, is there within moments."""
_PAGING: Final = frozenset({CURSOR.name, PAGE_LIMIT.name})


@asynccontextmanager
async def reading(journal: JournalReader) -> AsyncIterator[AsyncConnection]:
    """A connection to the journal. Raises Refused when it is away or slow, or a cursor is none."""
    try:
        async with journal.reading() as connection:
            yield connection
    except JournalSlowError as error:
        advice = f"{error}; ask for less, or look at SLUICE_JOURNAL_TIME_OUT_S and SLUICE_JOURNAL_CONNECTIONS"
        raise Refused(503, "JOURNAL_SLOW", "The journal is too slow", advice, AWAY_RETRY_AFTER_S) from error
    except JournalAwayError as error:
        advice = (
            f"{error}. Look at SLUICE_JOURNAL_URL, which is {journal.where} here, and whether `sluice run journal` runs"
        )
        raise Refused(503, "JOURNAL_AWAY", "The journal cannot be read", advice, AWAY_RETRY_AFTER_S) from error
    except CursorError as error:
        raise bad_data(f"{CURSOR.name}: {error}") from error


def filters_of(request: web.Request, parameters: Iterable[QueryParameter]) -> dict[str, Any]:
    """Values of the parameters that were given, without those of paging. Raises Refused."""
    found: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name in _PAGING or not request.query.get(parameter.name):
            continue
        if parameter.type == "integer":
            found[parameter.name] = number_of(request, parameter)
        elif parameter.type == "boolean":
            found[parameter.name] = flag_of(request, parameter)
        else:
            found[parameter.name] = text_of(request, parameter)
    return found


def cursor_in(request: web.Request) -> str | None:
    return text_of(request, CURSOR)


def limit_in(request: web.Request) -> int:
    return number_of(request, PAGE_LIMIT)


def next_path(request: web.Request, cursor: str | None) -> str | None:
    """The path of the next page: the same question, with its cursor."""
    if cursor is None:
        return None
    query: Mapping[str, str] = {**request.query, CURSOR.name: cursor}
    return str(request.rel_url.with_query(query))
