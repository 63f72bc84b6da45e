"""Lists of deliveries: what left for far sides and subscribers, what waits, and how each attempt ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Select, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.pages import Keyset, ListPage
from journal.queries.scans import Columns, Condition, scanned_page
from journal.tables.deliveries import ATTEMPTS, BODIES, DEAD_LETTERS, HAS_NO_END, REQUESTS, WAITING

ATTEMPTS_MAX: Final = 2_000
"""Attempts of the requests of one page: the newest. A request that fails for days has some hundred."""

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Source:
    """The table that has the deliveries of a state, and the column by which they are sorted. `rows`: which of them."""

    table: Table
    at: str
    rows: Any = None

    @property
    def keyset(self) -> Keyset:
        of = self.table.c
        return Keyset(f"deliveries of {self.table.name}", (of[self.at], of.request_id))


_ALL: Final = Source(REQUESTS, "written_ms")
_WAITING: Final = Source(WAITING, "queued_ms")
_ENDED: Final = Source(DEAD_LETTERS, "died_ms", HAS_NO_END)
_STATES: Final[Mapping[str, tuple[Source, tuple[Condition, ...]]]] = {
    "waiting": (_WAITING, ()),
    "queued": (_WAITING, (lambda of: of.attempts == 0, lambda of: of.is_held.is_(False))),
    "retrying": (_WAITING, (lambda of: of.attempts > 0, lambda of: of.is_held.is_(False))),
    "held": (_WAITING, (lambda of: of.is_held.is_(True),)),
    "dead": (_ENDED, (lambda of: of.kind == "dead",)),
    "refused": (_ENDED, (lambda of: of.kind == "refused",)),
}
STATES: Final = tuple(_STATES)
"""States by which deliveries are listed. Without one all of them are, the delivered ones included."""


@dataclass(slots=True)
class Delivery:
    """A request with what became of it. `waiting`, `letter`: its rows in these tables; `body`: that of `bodies`, if it
    was asked for."""

    row: Row
    waiting: Row | None = None
    letter: Row | None = None
    attempts: list[Row] = field(default_factory=list)
    body: Row | None = None


async def deliveries_page(
    connection: AsyncConnection,
    filters: Mapping[str, Any],
    *,
    keys: Sequence[str],
    cursor: str | None,
    limit: int,
    bodies: bool,
) -> tuple[list[Delivery], str | None]:
    """A page of deliveries, the newest first, and the cursor of the next. `filters`: channel, destination, touchpoint,
    state, since_ms, until_ms, as far as they were given; `keys`: those of the orders that are asked for. Raises
    CursorError."""
    source, conditions = _STATES.get(filters.get("state", ""), (_ALL, ()))
    page = await _page(connection, source, [*conditions], filters, keys, cursor, limit)
    found = [Delivery(row) for row in page.rows]
    if found:
        await _complete(connection, found, bodies=bodies)
    return found, page.next


async def _page(
    connection: AsyncConnection,
    source: Source,
    conditions: list[Condition],
    filters: Mapping[str, Any],
    keys: Sequence[str],
    cursor: str | None,
    limit: int,
) -> ListPage:
    of = source.table.c
    chosen = within(select(source.table), of[source.at], filters)
    if source.rows is not None:
        chosen = chosen.where(source.rows)
    indexed = set[str]()
    if keys:
        chosen = chosen.where(of.order_key.in_(keys))
    elif source.table is not DEAD_LETTERS and "destination" in filters:
        chosen, indexed = chosen.where(of.destination == filters["destination"]), {"destination"}
    conditions += equal(filters, ("channel", "destination", "touchpoint"), but=indexed)
    asked = {**filters, "keys": keys}
    return await scanned_page(connection, chosen, conditions, source.keyset, filters=asked, cursor=cursor, limit=limit)


def within(chosen: Select[Any], at: Any, filters: Mapping[str, Any]) -> Select[Any]:
    """A select within the times that were given."""
    if "since_ms" in filters:
        chosen = chosen.where(at >= filters["since_ms"])
    if "until_ms" in filters:
        chosen = chosen.where(at < filters["until_ms"])
    return chosen


def equal(filters: Mapping[str, Any], names: Sequence[str], but: set[str] | None = None) -> list[Condition]:
    """A condition for each of these filters that was given: the column of its name is equal to it."""
    return [_equals(name, filters[name]) for name in names if name in filters and name not in (but or ())]


def _equals(name: str, value: Any) -> Condition:
    def condition(of: Columns) -> Any:
        return of[name] == value

    return condition


async def _complete(connection: AsyncConnection, found: Sequence[Delivery], *, bodies: bool) -> None:
    """Add what other tables know of the requests of a page."""
    by_id = {one.row["request_id"]: one for one in found}
    of_page, ids = [one.row for one in found], [*by_id]
    lanes = sorted({one.row["lane"] for one in found})
    waiting = select(WAITING).where(WAITING.c.lane.in_(lanes), WAITING.c.request_id.in_(ids))
    for row in (await connection.execute(waiting)).mappings():
        by_id[row["request_id"]].waiting = row
    letters = select(DEAD_LETTERS).where(DEAD_LETTERS.c.request_id.in_(ids))
    for row in (await connection.execute(letters)).mappings():
        by_id[row["request_id"]].letter = row
    attempts = _of_orders(ATTEMPTS, of_page).where(ATTEMPTS.c.request_id.in_(ids)).order_by(ATTEMPTS.c.at_ms.desc())
    made: defaultdict[str, list[Row]] = defaultdict(list)
    for row in (await connection.execute(attempts.limit(ATTEMPTS_MAX))).mappings():
        made[row["request_id"]].append(row)
    for id_, rows in made.items():
        by_id[id_].attempts = sorted(rows, key=lambda row: (row["number"], row["at_ms"]))
    if bodies:
        for id_, body in (await bodies_of(connection, of_page)).items():
            by_id[id_].body = body


async def bodies_of(connection: AsyncConnection, rows: Sequence[Row]) -> dict[str, Row]:
    """The bodies of requests, by the requests' ids. `rows`: of a table of requests."""
    if not rows:
        return {}
    named = [row["request_id"] for row in rows]
    kept = _of_orders(BODIES, rows).where(BODIES.c.kind == "request", BODIES.c.id.in_(named))
    return {row["id"]: row for row in (await connection.execute(kept)).mappings()}


def _of_orders(table: Table, rows: Sequence[Row]) -> Select[Any]:
    """The rows of the orders that these rows belong to, in the months of these."""
    of, times = table.c, [row["received_ms"] for row in rows]
    keys = sorted({row["order_key"] for row in rows})
    return select(table).where(of.order_key.in_(keys), of.received_ms.between(min(times), max(times)))
