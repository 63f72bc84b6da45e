"""`run_journal(settings)`: the journal role in this process, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import Final

import uvloop
from sqlalchemy.exc import SQLAlchemyError

from journal.rows.keeper import Keeper, Personal
from journal.store.database import journal_url, open_database
from journal.store.retention import Retention
from journal.store.writing import Writer
from streams.journal.follower import RETRY_S, Follower, said
from streams.journal.metrics import JournalMetrics
from streams.runtime.admin import Admin
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings

log = logging.getLogger(__name__)

DAY_MS: Final = 86_400_000
RETENTION_S: Final = 3_600.0
"""How often the journal looks for what is too old."""


def run_journal(settings: Settings) -> int:
    """Returns the exit code. Raises ConfigurationError for settings that cannot be."""
    return uvloop.run(_run(settings))


def keeper_of(settings: Settings) -> Keeper:
    """Raises ConfigurationError."""
    try:
        return Keeper(Personal(settings.journal_personal), settings.secret_keys)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


async def _run(settings: Settings) -> int:
    keeper = keeper_of(settings)
    try:
        url = journal_url(settings.journal_dsn, settings.state_dir)
    except ValueError as error:
        raise ConfigurationError(f"environment: SLUICE_JOURNAL_URL: {error}") from error
    engine = open_database(url)
    writer, metrics = Writer(engine), JournalMetrics(settings.state_dir)
    follower = Follower(settings, writer, keeper, metrics)
    admin = Admin(
        settings,
        metrics,
        not_live=lambda: None,
        not_ready=follower.not_ready,
        warnings=list,
        refresh=lambda: metrics.age.set(follower.age_s()),
    )
    await admin.start()
    log.info("the journal is in %s", url.render_as_string(hide_password=True))
    work = [
        asyncio.create_task(_prepared(writer, follower), name="journal"),
        asyncio.create_task(_keep_small(settings, Retention(engine, writer.forget_months), metrics), name="retention"),
    ]
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        await asyncio.wait([*work, asyncio.create_task(ended.wait())], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        await admin.stop()
        await engine.dispose()
    for task in work:
        if not task.cancelled():
            task.result()
    return 0


async def _prepared(writer: Writer, follower: Follower) -> None:
    """Make the tables, when the database answers, and follow."""
    logged = ""
    while True:
        try:
            await writer.prepare()
            break
        except (SQLAlchemyError, OSError) as error:
            why = said(error)
            if why != logged:
                log.warning("the journal's database cannot be used yet: %s", why)
                logged = why
            await asyncio.sleep(RETRY_S)
    await follower.run()


async def _keep_small(settings: Settings, retention: Retention, metrics: JournalMetrics) -> None:
    """Delete what is older than SLUICE_JOURNAL_DAYS, once an hour."""
    while True:
        await asyncio.sleep(RETENTION_S)
        try:
            deleted = await retention.delete_before(int(time.time() * 1000) - settings.journal_days * DAY_MS)
            metrics.deleted.inc(deleted)
        except (SQLAlchemyError, OSError) as error:
            log.warning("retention did not end: %s", said(error))
