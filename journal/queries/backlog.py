"""The requests that wait for destinations, how their last attempts ended, and how much of their budgets these used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.tables.deliveries import ATTEMPTS, DEAD_LETTERS, GATES, HAS_NO_END, WAITING
from journal.tables.offsets import OFFSETS

WAITING_MAX: Final = 50_000
"""Waiting requests of a destination that are counted one by one: the oldest."""
SAMPLE: Final = 50
"""Last attempts of a destination, by which its health is judged: as many as its breaker looks at."""
BUDGET_ATTEMPTS_MAX: Final = 20_000
"""Attempts of a budget's window that are counted: more are said to be at least so many."""
LETTERS_MAX: Final = 100_000
"""Dead letters without an end that are counted."""

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Requests that wait for a destination, alike in call and class. `held`: those that were given up and hold their
    lane; `oldest_ms`: when delivery took the oldest."""

    touchpoint: str
    is_hold: bool
    is_redriven: bool
    count: int
    held: int
    oldest_ms: int


@dataclass(slots=True)
class DestinationRows:
    """The rows of a destination. `more`: more requests wait than were counted; `gate_ms`: until when it
    asked for quiet, 0 if it never did; `attempts`: the last ones, the newest first."""

    waiting: list[Waiting] = field(default_factory=list)
    more: bool = False
    gate_ms: int = 0
    attempts: Sequence[Row] = ()


async def destination_rows(connection: AsyncConnection, destination: str) -> DestinationRows:
    """The rows of one destination."""
    of, found = WAITING.c, DestinationRows()
    oldest = (
        select(of.touchpoint, of.is_hold, of.is_redriven, of.is_held, of.queued_ms)
        .where(of.destination == destination)
        .order_by(of.queued_ms)
        .limit(WAITING_MAX)
        .subquery("oldest")
    )
    alike = (oldest.c.touchpoint, oldest.c.is_hold, oldest.c.is_redriven)
    counted = select(
        *alike, func.count(), func.sum(cast(oldest.c.is_held, Integer)), func.min(oldest.c.queued_ms)
    ).group_by(*alike)
    found.waiting = [Waiting(*row) for row in await connection.execute(counted)]
    found.more = sum(one.count for one in found.waiting) == WAITING_MAX
    gate = select(func.max(GATES.c.opens_ms)).where(GATES.c.destination == destination)
    found.gate_ms = await connection.scalar(gate) or 0
    last = select(ATTEMPTS).where(ATTEMPTS.c.destination == destination, ATTEMPTS.c.result != "superseded")
    found.attempts = (await connection.execute(last.order_by(ATTEMPTS.c.at_ms.desc()).limit(SAMPLE))).mappings().all()
    return found


async def attempts_since(connection: AsyncConnection, destination: str, since_ms: int) -> int:
    """How many attempts of a destination were made from this time on; at most BUDGET_ATTEMPTS_MAX."""
    of = ATTEMPTS.c
    made = (
        select(of.at_ms)
        .where(of.destination == destination, of.at_ms >= since_ms)
        .order_by(of.at_ms.desc())
        .limit(BUDGET_ATTEMPTS_MAX)
        .subquery("made")
    )
    return await connection.scalar(select(func.count()).select_from(made)) or 0


@dataclass(frozen=True, slots=True)
class Undelivered:
    """All that waits. `oldest_ms`: when delivery took the oldest, None: nothing waits; `dead`: dead letters without an
    end, at most LETTERS_MAX."""

    destinations: Mapping[str, int]
    oldest_ms: int | None
    dead: int


async def undelivered(connection: AsyncConnection) -> Undelivered:
    """All that waits, by destination: of each at most WAITING_MAX, by a walk over an index."""
    found: dict[str, int] = {}
    of = WAITING.c
    name = await connection.scalar(select(func.min(of.destination)))
    while name is not None:
        waits = select(of.queued_ms).where(of.destination == name).limit(WAITING_MAX).subquery("waits")
        found[name] = await connection.scalar(select(func.count()).select_from(waits)) or 0
        name = await connection.scalar(select(func.min(of.destination)).where(of.destination > name))
    oldest_ms = await connection.scalar(select(func.min(of.queued_ms)))
    letters = select(DEAD_LETTERS.c.died_ms).where(HAS_NO_END).limit(LETTERS_MAX).subquery("letters")
    dead = await connection.scalar(select(func.count()).select_from(letters)) or 0
    return Undelivered(found, oldest_ms, dead)


async def last_record_ms(connection: AsyncConnection) -> int | None:
    """The time of the last record that is in the journal; None: there is none."""
    return await connection.scalar(select(func.max(OFFSETS.c.record_ms))) or None
