"""Where an id leads: any code or number of an order, return, shipment, manifest, event, delivery or request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.rows.facts import event_of
from journal.tables.orders import IDS

BEGINNING_MIN: Final = 3
"""Characters of a beginning by which ids are searched: with fewer, a list says more."""
_LAST: Final = chr(0x10FFFF)
_of = IDS.c


async def found_ids(connection: AsyncConnection, text: str, limit: int) -> list[RowMapping]:
    """The ids that are this text, then those that begin with it; of each kind the newest first."""
    exact = select(IDS).where(_of.id.in_(sorted({text, event_of(text)})))
    found = await _rows(connection, exact.order_by(_of.received_ms.desc(), _of.order_key, _of.kind).limit(limit))
    if len(found) < limit and len(text) >= BEGINNING_MIN:
        begins = select(IDS).where(_begins(text, connection.dialect.name), _of.id != text)
        found += await _rows(connection, begins.order_by(_of.id, _of.kind).limit(limit - len(found)))
    return found


async def keys_of(connection: AsyncConnection, text: str, limit: int) -> list[str]:
    """The orders, returns and manifests that ids with this text lead to."""
    return list(dict.fromkeys(row["order_key"] for row in await found_ids(connection, text, limit)))


def _begins(text: str, dialect: str) -> ColumnElement[bool]:
    """Ids that begin with a text, by the index of each database: PostgreSQL's knows LIKE, SQLite's compares bytes."""
    if dialect == "postgresql":
        return _of.id.like(_escaped(text) + "%", escape="\\")
    return _of.id.between(text, text + _LAST)


def _escaped(text: str) -> str:
    for sign in ("\\", "%", "_"):
        text = text.replace(sign, f"\\{sign}")
    return text


async def _rows(connection: AsyncConnection, asked: Select[Any]) -> list[RowMapping]:
    found: Iterable[RowMapping] = (await connection.execute(asked)).mappings()
    return list(found)
