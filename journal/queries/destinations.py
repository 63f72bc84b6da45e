"""Destinations that requests wait for, as they are now: whether they asked for quiet or are down, and how many requests
have their turn before one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.story.rows import Down, Pause, Quiet, Turn, WaitingRow
from journal.tables.deliveries import ATTEMPTS, GATES, WAITING
from journal.tables.operators import PAUSES
from topics.contract.definition import Priority
from topics.contract.touchpoints import TOUCHPOINTS
from topics.destinations.pauses import CONTROLS
from topics.records.keys import subscription_of

LOOKED_AT: Final = 300
"""Last attempts of a destination that are looked at: those of the last seconds of one that is busy, and of some hours
of one that is down, where a request a minute probes."""
DOWN_LANES_MIN: Final = 5
"""Orders whose attempts must have failed, as many as open the breaker (streams/delivery/admission/circuit_breaker.py):
with fewer it is their own trouble."""
DOWN_WITHIN_MS: Final = 60_000
"""Time in which they must have failed, as the breaker has it."""
AHEAD_MAX: Final = 20_000
"""Requests of a destination, the oldest, that are looked at for the place of one: it takes some hundredths of a
second."""
PAUSES_MAX: Final = 50
"""Pauses of a destination that are looked at: operators pause some times a year."""
SERVER_ERROR: Final = 500
_THROTTLED: Final = "throttled"
_of = WAITING.c


async def pauses_of(connection: AsyncConnection, destinations: Collection[str], now_ms: int) -> list[Pause]:
    """The last pauses of these destinations: what they cost an order is in its time account."""
    of = PAUSES.c
    found: list[Pause] = []
    for destination in sorted(destinations):
        asked = select(PAUSES).where(of.destination == destination).order_by(of.since_ms.desc()).limit(PAUSES_MAX)
        found += [_pause(row, now_ms) for row in (await connection.execute(asked)).mappings()]
    return found


def _pause(row: RowMapping, now_ms: int) -> Pause:
    """A pause that nobody ended has ended at its planned end, when that is over."""
    until_ms, ended_ms = row["until_ms"], row["ended_ms"]
    if until_ms is not None and until_ms <= now_ms:
        ended_ms = until_ms if ended_ms is None else min(until_ms, ended_ms)
    return Pause(
        destination=row["destination"],
        since_ms=row["since_ms"],
        until_ms=until_ms,
        ended_ms=ended_ms,
        actor=row["actor"],
        reason=row["reason"],
        topic=CONTROLS,
        partition=row["partition"],
        record_offset=row["record_offset"],
    )


async def quiets_of(connection: AsyncConnection, destinations: Collection[str], now_ms: int) -> list[Quiet]:
    """The shards of these destinations that ask for quiet now."""
    of = GATES.c
    if not destinations:
        return []
    asked = select(GATES).where(of.destination.in_(sorted(destinations)), of.opens_ms > now_ms)
    found = []
    for row in (await connection.execute(asked)).mappings():
        if not row["scope"].isdecimal():
            continue  # a gate of stock calls
        found.append(
            Quiet(
                destination=row["destination"],
                shard=int(row["scope"]),
                since_ms=await _throttled_ms(connection, row["destination"]),
                opens_ms=row["opens_ms"],
                partition=row["partition"],
                record_offset=row["record_offset"],
            )
        )
    return found


async def _throttled_ms(connection: AsyncConnection, destination: str) -> int:
    last = _last_attempts(destination, ATTEMPTS.c.at_ms, ATTEMPTS.c.result)
    asked = select(func.max(last.c.at_ms)).where(last.c.result == _THROTTLED)
    return await connection.scalar(asked) or 0


def _last_attempts(destination: str, *columns: ColumnElement[Any]) -> Any:
    of = ATTEMPTS.c
    chosen = select(*columns).where(of.destination == destination, of.result != "superseded")
    return chosen.order_by(of.at_ms.desc()).limit(LOOKED_AT).subquery()


async def downs_of(connection: AsyncConnection, destinations: Collection[str]) -> list[Down]:
    """Those of these destinations that are down: since their last answer, attempts of several orders failed within a
    minute, as they open the breaker. It is open until a probe is answered, so until there is an answer."""
    of = ATTEMPTS.c
    columns = (of.at_ms, of.lane, of.status, of.error, of.partition, of.record_offset)
    found = []
    for destination in sorted(destinations):
        rows = (await connection.execute(select(_last_attempts(destination, *columns)))).mappings().all()
        down = _down(destination, sorted(rows, key=lambda row: (-row["at_ms"], -row["record_offset"])))
        if down is not None:
            found.append(down)
    return found


def _down(destination: str, newest_first: Sequence[RowMapping]) -> Down | None:
    failed = []
    for row in newest_first:
        if row["status"] is not None and row["status"] < SERVER_ERROR:
            break
        failed.append(row)
    failed.reverse()
    if not _opens_breaker(failed):
        return None
    first = failed[0]
    return Down(
        destination=destination,
        begin_ms=first["at_ms"],
        end_ms=None,
        error=first["error"] or f"status {first['status']}",
        partition=first["partition"],
        record_offset=first["record_offset"],
    )


def _opens_breaker(failed: Sequence[RowMapping]) -> bool:
    """Whether within a minute attempts of enough lanes are among these. Sorted by time."""
    begin, lanes = 0, defaultdict[str, int](int)
    for row in failed:
        lanes[row["lane"]] += 1
        while failed[begin]["at_ms"] < row["at_ms"] - DOWN_WITHIN_MS:
            lanes[failed[begin]["lane"]] -= 1
            if not lanes[failed[begin]["lane"]]:
                del lanes[failed[begin]["lane"]]
            begin += 1
        if len(lanes) >= DOWN_LANES_MIN:
            return True
    return False


async def turns_of(
    connection: AsyncConnection, waiting: Iterable[WaitingRow], rates: Mapping[str, float], now_ms: int
) -> list[Turn]:
    """The place of each request that is due, and first in its lane, among those of its shard. `rates`: by destination,
    how many may leave a shard in a second."""
    firsts: dict[str, WaitingRow] = {}
    for row in waiting:
        before = firsts.get(row.lane)
        if before is None or (row.position, row.request_id) < (before.position, before.request_id):
            firsts[row.lane] = row
    found = []
    for row in firsts.values():
        if row.is_held or row.next_ms > now_ms or subscription_of(row.destination) is not None:
            continue
        ahead, is_more = await _ahead(connection, row, now_ms)
        rate = rates.get(row.destination, 0.0)
        found.append(Turn(request_id=row.request_id, ahead=ahead, per_s=rate, is_more=is_more))
    return found


async def _ahead(connection: AsyncConnection, row: WaitingRow, now_ms: int) -> tuple[int, bool]:
    """Requests that leave before it, if none comes meanwhile, and whether there are more than were looked at: those of
    a higher class, and those of its own that were due earlier. One in four goes by age instead, so it is near the
    truth."""
    names = ("shard", "lane", "touchpoint", "queued_ms", "next_ms", "is_held", "is_redriven", "is_hold")
    first = select(*(_of[name] for name in names)).where(_of.destination == row.destination)
    looked = first.order_by(_of.queued_ms).limit(AHEAD_MAX).subquery()
    of = looked.c
    due_ms = max(row.queued_ms, row.next_ms)
    may_leave = and_(of.shard == row.shard, of.is_held.is_(False), of.next_ms <= now_ms, of.lane != row.lane)
    earlier = and_(of.queued_ms <= due_ms, of.next_ms <= due_ms, or_(of.queued_ms < due_ms, of.next_ms < due_ms))
    before = case((and_(may_leave, _goes_before(row, of, earlier)), 1))
    counted = (await connection.execute(select(func.count(before), func.count()).select_from(looked))).one()
    return counted[0], counted[1] >= AHEAD_MAX


def _goes_before(row: WaitingRow, of: Any, earlier: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether one that is due as well goes before a request."""
    own, live = _class_of(row), of.is_redriven.is_(False)
    if own == Priority.BACKGROUND:
        return or_(live, earlier)
    higher = of.touchpoint.in_([one.name for one in TOUCHPOINTS if one.priority < own])
    same = of.touchpoint.in_([one.name for one in TOUCHPOINTS if one.priority == own])
    if own > Priority.HOLD:
        return and_(live, or_(higher, of.is_hold.is_(True), and_(same, earlier)))
    if own == Priority.HOLD:
        return and_(live, or_(higher, and_(of.is_hold.is_(True), earlier)))
    return and_(live, same, earlier)


def _class_of(row: WaitingRow) -> Priority:
    if row.is_redriven:
        return Priority.BACKGROUND
    if row.is_hold:
        return Priority.HOLD
    return _CLASSES.get(row.touchpoint, Priority.UPDATE)


_CLASSES: Final = {one.name: one.priority for one in TOUCHPOINTS}
