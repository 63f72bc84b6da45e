"""Requests that wait for a destination: how many, of which calls, and those that wait longest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.tables.deliveries import WAITING

_of = WAITING.c


async def waiting_by_call(connection: AsyncConnection, destination: str) -> dict[str, int]:
    """Numbers of requests by touchpoint, the most first."""
    count = func.count().label("number")
    chosen = select(_of.touchpoint, count).where(_of.destination == destination).group_by(_of.touchpoint)
    found = await connection.execute(chosen.order_by(count.desc(), _of.touchpoint))
    return {row.touchpoint: int(row.number) for row in found}


async def waiting_longest(connection: AsyncConnection, destination: str, limit: int) -> list[Mapping[str, Any]]:
    """Rows of `waiting`, the oldest first."""
    chosen = select(WAITING).where(_of.destination == destination).order_by(_of.queued_ms).limit(limit)
    return [dict(row) for row in (await connection.execute(chosen)).mappings()]
