"""The rows from which stories are told, of one order or of a page of them, in a few selects for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Table, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.destinations import downs_of, pauses_of, quiets_of, turns_of
from journal.story.rows import (
    ActionRow,
    AttemptRow,
    DeadLetterRow,
    FactRow,
    Lag,
    OrderRow,
    RefusedCallRow,
    RequestRow,
    Row,
    Rows,
    WaitingRow,
    nothing_known,
    row_of,
)
from journal.tables.deliveries import ATTEMPTS, DEAD_LETTERS, REQUESTS, WAITING
from journal.tables.incidents import REFUSED_CALLS
from journal.tables.offsets import OFFSETS
from journal.tables.operators import ACTIONS, REDRIVEN
from journal.tables.orders import FACTS, ORDERS
from topics.records.keys import partition_of, subscription_of

EARLIER_MS: Final = 40 * 86_400_000
"""How long before its Create the first record of an order may have come: early events are kept for a day, and a return
may be expected for weeks."""
ROWS_MAX: Final = 20_000
"""Rows of a table that are read for the stories of one answer. An order has some dozens."""
_BEGIN: Final = 0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Facts from beside the rows. `partitions`: of the orders role's topics; `rates`: by destination, how many
    requests may leave a shard in a second by its budget; `lags`: by partition, how far the orders role is."""

    now_ms: int
    partitions: int
    rates: Mapping[str, float] = field(default_factory=dict)
    lags: Mapping[int, Lag] = field(default_factory=dict)

    def partition_of(self, key: str) -> int:
        """The partition of an order, return or manifest."""
        return partition_of(key.encode(), self.partitions)


@dataclass(frozen=True, slots=True)
class Life:
    """An order, and since when rows with its key are its own: those of an order that had its code before are not."""

    order: OrderRow
    since_ms: int


async def lives_of(connection: AsyncConnection, keys: Sequence[str], around: Surroundings) -> dict[str, Life]:
    """The last life of each key; of one of which there is no row, an order of which nothing is known."""
    of = ORDERS.c
    found: dict[str, list[RowMapping]] = defaultdict(list)
    asked = select(ORDERS).where(of.order_key.in_(keys)).order_by(of.received_ms.desc()).limit(ROWS_MAX)
    for row in (await connection.execute(asked)).mappings():
        found[row["order_key"]].append(row)
    return {key: _life(key, found[key], around) for key in keys}


def _life(key: str, newest_first: Sequence[RowMapping], around: Surroundings) -> Life:
    if not newest_first:
        return Life(nothing_known(key, around.partition_of(key), around.now_ms), _BEGIN)
    order = order_of(newest_first[0])
    before_ms = newest_first[1]["received_ms"] + 1 if len(newest_first) > 1 else _BEGIN
    return Life(order, max(order.received_ms - EARLIER_MS, before_ms))


def order_of(row: Mapping[Any, Any]) -> OrderRow:
    """The story's row of an order: one that lists no units has none."""
    return row_of(OrderRow, {**row, "units": row["units"] or 0, "units_open": row["units_open"] or 0})


async def rows_of(
    connection: AsyncConnection, lives: Mapping[str, Life], around: Surroundings, *, with_turns: bool = True
) -> dict[str, Rows]:
    """The rows of these orders, by their keys. `with_turns`: with their places in queues, which cost a walk along the
    queue for each: too much for a list."""
    read = _Reading(connection, lives)
    facts = await read.rows(FACTS, FactRow)
    requests = await read.rows(REQUESTS, RequestRow)
    attempts = await read.rows(ATTEMPTS, AttemptRow)
    letters = await read.rows(DEAD_LETTERS, DeadLetterRow)
    waiting = await read.rows(WAITING, WaitingRow, by_life=False)
    refused = await read.rows(REFUSED_CALLS, RefusedCallRow, by_life=False)
    actions = await read.rows(ACTIONS, ActionRow, by_life=False)
    redrives = await read.redrives()
    everything = [row for rows in waiting.values() for row in rows]
    destinations = {row.destination for row in everything if subscription_of(row.destination) is None}
    sent_to = {row.destination for rows in requests.values() for row in rows}
    pauses = await pauses_of(connection, destinations | sent_to, around.now_ms)
    quiets = await quiets_of(connection, destinations, around.now_ms)
    downs = await downs_of(connection, destinations)
    turns = await turns_of(connection, everything, around.rates, around.now_ms) if with_turns else []
    return {
        key: Rows(
            order=life.order,
            facts=facts[key],
            requests=requests[key],
            attempts=attempts[key],
            waiting=waiting[key],
            dead_letters=letters[key],
            refused_calls=refused[key],
            actions=[*actions[key], *redrives[key]],
            pauses=pauses,
            quiets=quiets,
            downs=downs,
            turns=turns,
            lag=around.lags.get(life.order.partition),
        )
        for key, life in lives.items()
    }


class _Reading:
    """Reads rows of some orders from one table after the other."""

    def __init__(self, connection: AsyncConnection, lives: Mapping[str, Life]) -> None:
        self._connection = connection
        self._lives = lives

    async def rows(self, table: Table, kind: type[Row], *, by_life: bool = True) -> defaultdict[str, list[Row]]:
        """`by_life`: the table has the time at which the order's life began. Dead letters of which only the end is
        known have none, and tell nothing."""
        names = [name for name in kind.__struct_fields__ if name in table.c]
        asked = select(*(table.c[name] for name in dict.fromkeys(("order_key", *names))))
        asked = asked.where(*self._of_lives(table) if by_life else (table.c.order_key.in_(list(self._lives)),))
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in (await self._connection.execute(asked.limit(ROWS_MAX))).mappings():
            found[row["order_key"]].append(row_of(kind, row))
        return found

    async def redrives(self) -> defaultdict[str, list[ActionRow]]:
        """Redrives are of no single order: they are those that sent a request of the order again."""
        of, sent = ACTIONS.c, REDRIVEN.c
        asked = select(sent.order_key, *(of[name] for name in ActionRow.__struct_fields__)).distinct()
        asked = asked.join_from(REDRIVEN, ACTIONS, sent.redrive == of.event_id)
        asked = asked.where(sent.order_key.in_(list(self._lives)), of.order_key != sent.order_key)
        found: defaultdict[str, list[ActionRow]] = defaultdict(list)
        for row in (await self._connection.execute(asked.limit(ROWS_MAX))).mappings():
            found[row["order_key"]].append(row_of(ActionRow, row))
        return found

    def _of_lives(self, table: Table) -> Iterable[ColumnElement[bool]]:
        """One condition for each order; the earliest time lets PostgreSQL leave older months out."""
        of = table.c
        yield of.received_ms >= min((life.since_ms for life in self._lives.values()), default=_BEGIN)
        yield or_(*(and_(of.order_key == key, of.received_ms >= life.since_ms) for key, life in self._lives.items()))


async def positions_of(connection: AsyncConnection) -> dict[tuple[str, int], int]:
    """The offsets that the journal reads next, by topic and partition."""
    of = OFFSETS.c
    found = await connection.execute(select(of.topic, of.partition, of.next_offset))
    return {(row.topic, row.partition): row.next_offset for row in found}
