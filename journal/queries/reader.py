"""Reads from the journal: a few connections, none of which may write, and a bound on how long a query takes.

Opening it connects to nothing, so a process that reads from a journal starts and works without one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journal.store.database import journal_url, open_database
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings

log = logging.getLogger(__name__)

GRACE_S: Final = 2.0
"""How long the database has, beside the time of a query, to say that the query took too long."""
_STOPPED: Final = ("statement timeout", "interrupted")
"""How PostgreSQL and SQLite say that a query was stopped."""


class JournalAwayError(Exception):
    """The journal cannot be read now. The text says why, without the statement and its values."""


class JournalSlowError(JournalAwayError):
    """The journal did not answer in time, or has too much to do."""


class JournalReader:
    """The journal of one process that reads it."""

    def __init__(self, url: URL, *, connections: int, time_out_s: float) -> None:
        self._url, self._connections, self._time_out_s = url, connections, time_out_s
        self._engine: AsyncEngine | None = None
        self._is_away = False

    @property
    def where(self) -> str:
        """The database, without a password."""
        return self._url.render_as_string(hide_password=True)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, so that its queries see one state. Raises JournalAwayError, also from the
        middle of the caller's block."""
        try:
            async with asyncio.timeout(2 * self._time_out_s + GRACE_S):
                async with self._opened().connect() as connection, connection.begin():
                    yield connection
        except (TimeoutError, PoolTimeoutError) as error:
            raise JournalSlowError(f"it did not answer within {self._time_out_s:g} s") from error
        except (SQLAlchemyError, OSError) as error:
            why = said(error)
            if any(word in why for word in _STOPPED):
                raise JournalSlowError(f"a query took longer than {self._time_out_s:g} s") from error
            if not self._is_away:
                log.warning("the journal in %s cannot be read: %s", self.where, why)
                self._is_away = True
            raise JournalAwayError(why) from error
        if self._is_away:
            log.info("the journal can be read again")
            self._is_away = False

    async def stop(self) -> None:
        """Close its connections."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            self._engine = open_database(
                self._url, read_only=True, connections=self._connections, time_out_s=self._time_out_s
            )
        return self._engine


def said(error: Exception) -> str:
    """The words of the database, without the statement and its values."""
    return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]


def journal_reader(settings: Settings) -> JournalReader:
    """The journal that the settings name. Raises ConfigurationError."""
    try:
        url = journal_url(settings.journal_dsn, settings.state_dir)
    except ValueError as error:
        raise ConfigurationError(f"environment: SLUICE_JOURNAL_URL: {error}") from error
    return JournalReader(url, connections=settings.journal_connections, time_out_s=settings.journal_time_out_s)
