"""`sluice bench journal`: how fast the journal role takes records into an empty database.

Topics are filled with usual orders (bench.journal.load); measured is the time in which `sluice run journal` has the
middle of them in its database, from 20 to 90 % of the records. Void unless each order has its row and all of its facts.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.journal.load import FACTS, PER_ORDER, fill
from bench.journal.postgres import NoPostgresError, postgres
from bench.processes import (
    VoidRunError,
    cpu_each,
    cpu_now,
    cpu_text,
    demo,
    machine,
    memory_mib,
    quiet_client,
    running,
    sayer,
    scratch_kafka,
)
from journal.store.database import journal_url, open_database
from journal.tables.offsets import OFFSETS
from journal.tables.orders import FACTS as FACT_ROWS
from journal.tables.orders import ORDERS
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create

ORDERS_PER_SECOND = 1_500
"""Orders for each second of `--seconds`."""
GOAL_PER_S = {"postgresql": 15_000, "sqlite": None}
FROM, TO = 0.2, 0.9
TIMEOUT_S = 600.0
_POLL_S = 0.1


@contextmanager
def _sqlite(directory: Path) -> Iterator[str]:
    yield f"sqlite:///{directory}/journal.db"


@contextmanager
def _postgresql(_directory: Path) -> Iterator[str]:
    try:
        with postgres() as url:
            yield url
    except NoPostgresError as error:
        raise VoidRunError(str(error)) from error


PARTS: dict[str, Callable[[Path], Any]] = {"postgresql": _postgresql, "sqlite": _sqlite}


def main(seconds: float, as_json: bool, parts: Sequence[str] = tuple(PARTS)) -> int:
    """Return 0 when the goals were met."""
    say = sayer(as_json=as_json)
    quiet_client()
    orders = max(500, int(seconds * ORDERS_PER_SECOND))
    results: dict[str, Any] = {}
    with scratch_kafka() as (kafka, directory):
        settings = load_settings(kafka=kafka, topic_prefix="journal")
        asyncio.run(create(settings, demo()))
        say(f"filling the topics with {orders:,} orders ...")
        records = asyncio.run(fill(settings, orders, int(time.time() * 1000) - orders))
        for part in parts:
            home = directory / part
            home.mkdir()
            with PARTS[part](home) as url:
                results[part] = asyncio.run(_measure(settings, home, url, records, orders))
                results[part]["goal_per_s"] = GOAL_PER_S[part]
            say(_line(part, results[part]))
    met = all(not of["goal_per_s"] or of["records_per_s"] >= of["goal_per_s"] for of in results.values())
    result = {"bench": "journal", "records_per_order": PER_ORDER, **results, "met": met, "machine": machine()}
    print(json.dumps(result))
    return 0 if met else 1


async def _measure(settings: Settings, directory: Path, url: str, records: int, orders: int) -> dict[str, Any]:
    engine = open_database(journal_url(url, directory), read_only=True)
    more = {"SLUICE_JOURNAL_URL": url, "SLUICE_STATE_DIR": str(directory), "SLUICE_JOURNAL_PERSONAL": "none"}
    # A group of its own for each database: the journal goes by its database, so only Kafka's hints are shared.
    with running("journal", settings, directory, instance=directory.name, more=more) as role:
        begin_s, before = await _until(engine, int(records * FROM)), cpu_now()
        first = await _read(engine)
        end_s = await _until(engine, int(records * TO))
        last, cpu = await _read(engine), cpu_now()
        await _until(engine, records)
        memory = memory_mib(role.process.pid)
    found = {table.name: await _count(engine, table) for table in (ORDERS, FACT_ROWS)}
    await engine.dispose()
    if found != {"orders": orders, "facts": orders * len(FACTS)}:
        raise VoidRunError(f"void: the journal has {found}, of {orders} orders with {len(FACTS)} facts each")
    return {
        "records": records,
        "records_per_s": round((last - first) / (end_s - begin_s)),
        "cpu": cpu_each("record", last - first, before, cpu),
        "memory_mib": round(memory),
    }


async def _until(engine: AsyncEngine, records: int) -> float:
    """When the journal has read so many records."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if await _read(engine) >= records:
            return time.monotonic()
        await asyncio.sleep(_POLL_S)
    raise VoidRunError(f"void: {records:,} records were not read within {TIMEOUT_S:.0f} s")


async def _read(engine: AsyncEngine) -> int:
    try:
        async with engine.connect() as connection:
            return int(await connection.scalar(select(func.sum(OFFSETS.c.next_offset))) or 0)
    except (SQLAlchemyError, OSError):
        return 0  # the tables are not made yet


async def _count(engine: AsyncEngine, table: Any) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(table)) or 0)


def _line(part: str, of: dict[str, Any]) -> str:
    goal = f" (goal {of['goal_per_s']:,})" if of["goal_per_s"] else ""
    return f"{part}: {of['records_per_s']:,} records/s{goal}, {of['memory_mib']} MiB; {cpu_text(of['cpu'])}"
