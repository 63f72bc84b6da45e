"""A journal's database with played rows, in a file of SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from journal.store.database import journal_url, open_database
from tests.support.journal.records import Play, in_batches
from tests.support.journal.store import StoredJournal


def file_url(directory: Path) -> str:
    return f"sqlite:///{directory}/journal.db"


@asynccontextmanager
async def played_journal(directory: Path, *, orders: int, seed: int = 3) -> AsyncIterator[AsyncEngine]:
    """The engine of a writer, for further rows; `file_url` names the database."""
    engine = open_database(journal_url(file_url(directory), directory))
    try:
        journal = StoredJournal(engine)
        await journal.begin()
        for records in in_batches(Play(seed=seed, orders=orders).numbered(), 500):
            await journal.write(records)
        yield engine
    finally:
        await engine.dispose()
