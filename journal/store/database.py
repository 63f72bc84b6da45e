"""Opens the journal's database: SQLite or PostgreSQL, one way of using both.

Neither waits for its disk at a commit. What a crash of the database or its machine takes away are the last
transactions, with the offsets in them, so the journal reads those records again.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from topics.configuration.private_files import make_private, make_private_file

BUSY_S: Final = 10.0
"""How long a writer of SQLite waits for another: a batch takes some tenths of a second."""
CONNECT_S: Final = 5.0
POOL: Final = 4
"""Connections of a process: one writes, others read."""
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_PRAGMAS: Final = ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536", "temp_store=MEMORY")


def journal_url(configured: str, state_dir: Path) -> URL:
    """The URL of the database; by default a file of SQLite in the state directory. Raises ValueError, which never shows
    a password."""
    if not configured:
        return URL.create("sqlite+aiosqlite", database=str((state_dir / "journal.db").absolute()))
    try:
        url = make_url(configured)
    except ArgumentError:
        raise ValueError("expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE") from None
    driver = _DRIVERS.get(url.drivername.partition("+")[0])
    if driver is None:
        raise ValueError(f"the journal is kept in sqlite or postgresql, not in {url.drivername}")
    return url.set(drivername=driver)


def open_database(url: URL, *, read_only: bool = False) -> AsyncEngine:
    """An engine for this process. `read_only`: its transactions wait for no writer, and change nothing."""
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url, read_only=read_only)
    settings = {"synchronous_commit": "off", "default_transaction_read_only": "on" if read_only else "off"}
    return create_async_engine(
        url, pool_size=POOL, connect_args={"server_settings": settings, "timeout": CONNECT_S}, pool_pre_ping=True
    )


def _open_sqlite(url: URL, *, read_only: bool) -> AsyncEngine:
    if url.database and not read_only:
        make_private(Path(url.database).parent)
        with suppress(FileExistsError):
            make_private_file(Path(url.database))  # SQLite's other files are as private as this one
    engine = create_async_engine(url, connect_args={"timeout": BUSY_S})
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    """A deferred transaction that turns into a writer fails at once where another writes, however long it may wait."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, *(("query_only=ON",) if read_only else ())):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
