"""Opens the journal's database: SQLite or PostgreSQL, one way of using both.

Neither waits for its disk at a commit. What a crash of the database or its machine takes away are the last
transactions, with the offsets in them, so the journal reads those records again.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

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
_WRITER_PRAGMAS: Final = ("journal_mode=WAL", "synchronous=NORMAL")
_PRAGMAS: Final = ("cache_size=-65536", "temp_store=MEMORY")
_STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at the clock: some tenths of a millisecond. SQLite has no time-out of its
own for a statement."""
_ENDS_S: Final = "sluice_ends_s"
"""When the transaction of a connection has to end, among what SQLAlchemy keeps of the connection."""


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


def open_database(
    url: URL, *, read_only: bool = False, connections: int = POOL, time_out_s: float | None = None
) -> AsyncEngine:
    """An engine for this process. `read_only`: its transactions wait for no writer, change nothing and make no file.
    `time_out_s`: how long a statement, in SQLite a transaction, may take, and how long it waits for a connection."""
    pool: dict[str, Any] = {"pool_size": connections}
    if time_out_s is not None:
        pool |= {"pool_timeout": time_out_s, "max_overflow": 0}
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url, pool, read_only=read_only, time_out_s=time_out_s)
    settings = {"synchronous_commit": "off", "default_transaction_read_only": "on" if read_only else "off"}
    if read_only:
        settings["default_transaction_isolation"] = "repeatable read"  # as SQLite: all its queries see one state
    if time_out_s is not None:
        settings["statement_timeout"] = str(int(time_out_s * 1000))
    return create_async_engine(
        url, connect_args={"server_settings": settings, "timeout": CONNECT_S}, pool_pre_ping=True, **pool
    )


def _open_sqlite(url: URL, pool: dict[str, Any], *, read_only: bool, time_out_s: float | None) -> AsyncEngine:
    if read_only:
        url = url.set(database=f"file:{quote(url.database or '')}", query={"mode": "ro", "uri": "true"})
    elif url.database:
        make_private(Path(url.database).parent)
        with suppress(FileExistsError):
            make_private_file(Path(url.database))  # SQLite's other files are as private as this one
    engine = create_async_engine(url, connect_args={"timeout": BUSY_S}, **pool)
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    """A deferred transaction that turns into a writer fails at once where another writes, however long it may wait."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, "query_only=ON") if read_only else (*_WRITER_PRAGMAS, *_PRAGMAS):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        if time_out_s is not None:
            info = record.info
            info[_ENDS_S] = math.inf
            await_only(
                connection.driver_connection.set_progress_handler(lambda: time.monotonic() > info[_ENDS_S], _STEPS)
            )

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.info[_ENDS_S] = math.inf if time_out_s is None else time.monotonic() + time_out_s
        connection.exec_driver_sql(begin)

    return engine
