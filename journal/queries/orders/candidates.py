"""For each cause, orders that may have it: found by an index, so that their number does not matter. The story of each
then says whether it has.

A wait of a request is looked for among requests that wait, the one that waits longest first; anything else among
orders, the newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.orders.branches import At, merged, walk
from journal.queries.stories import Surroundings
from journal.story import causes
from journal.tables.deliveries import DEAD_LETTERS, NEEDS_A_PERSON, WAITING
from journal.tables.orders import CAME_EARLY, FACTS, IS_ON_HOLD, ORDERS

SCANNED_MAX: Final = 400
"""Candidates that one page looks at. Where fewer than a page of them have the cause, the page is short, and the next
one goes on."""
EARLY_MS: Final = 26 * 3_600_000
"""How long ago an event that is still kept may have come: it is kept for a day."""
_of, _order = WAITING.c, ORDERS.c
_FAR_STATES: Final = ("RECEIVED", "SUBMITTED", "ACKNOWLEDGED", "PACKED", "LABELLED", "MANIFESTED", "HELD")
_REFUSED_STATES: Final = ("REJECTED", "REFUSED")
_EARLY_STATES: Final = ("EXPECTED", "ASKED")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An order, and where the walk was that found it."""

    order_key: str
    at_ms: int
    fits: bool


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The choice of candidates. `channels`, `destinations`: all that are configured, or the ones that were
    asked for."""

    channels: Sequence[str]
    destinations: Sequence[str]
    around: Surroundings


Walks = Callable[[Choice, At | None], Iterator[Select[Any]]]


@dataclass(frozen=True)
class CauseSource:
    """`walks`: each gives `at_ms` and `order_key`, sorted so. `descending`: the newest first. `fits`: of an order's
    key, what else has to be; it is looked at for those alone that the walks found."""

    walks: Walks
    descending: bool
    fits: Callable[[ColumnElement[str]], ColumnElement[bool]] | None = None


async def candidates_of(connection: AsyncConnection, cause: str, choice: Choice, after: At | None) -> list[Candidate]:
    """The next candidates of a cause. Fewer than SCANNED_MAX: there are no more."""
    source = SOURCES[cause]
    walks = list(source.walks(choice, after))
    if not walks:
        return []
    found = merged(walks, ("at_ms", "order_key"), limit=SCANNED_MAX, descending=source.descending).subquery()
    fits = true() if source.fits is None else source.fits(found.c.order_key)
    order = [found.c[name].desc() if source.descending else found.c[name].asc() for name in ("at_ms", "order_key")]
    asked = select(found.c.order_key, found.c.at_ms, fits.label("fits")).order_by(*order)
    return [Candidate(row.order_key, row.at_ms, bool(row.fits)) for row in await connection.execute(asked)]


def _waiting(
    condition: Callable[[int], ColumnElement[bool]],
    by: ColumnElement[int] = _of.queued_ms,
    fits: Callable[[ColumnElement[str]], ColumnElement[bool]] | None = None,
) -> CauseSource:
    """Requests that wait, of each destination the one that was queued first first, or by another time."""

    def walks(choice: Choice, after: At | None) -> Iterator[Select[Any]]:
        for destination in choice.destinations:
            chosen = select(by.label("at_ms"), _of.order_key)
            chosen = chosen.where(_of.destination == destination, condition(choice.around.now_ms))
            yield walk(chosen, (by, _of.order_key), after=after, limit=SCANNED_MAX, descending=False)

    return CauseSource(walks, descending=False, fits=fits)


def _in_states(states: Sequence[str]) -> Walks:
    def walks(choice: Choice, after: At | None) -> Iterator[Select[Any]]:
        for channel in choice.channels:
            for state in states:
                chosen = select(_order.received_ms.label("at_ms"), _order.order_key)
                chosen = chosen.where(_order.channel == channel, _order.state == state)
                yield walk(chosen, (_order.received_ms, _order.order_key), after=after, limit=SCANNED_MAX)

    return walks


def _letters(kind: str) -> Walks:
    """Requests that were given up or refused, by when."""

    def walks(_choice: Choice, after: At | None) -> Iterator[Select[Any]]:
        of = DEAD_LETTERS.c
        chosen = select(of.died_ms.label("at_ms"), of.order_key)
        chosen = chosen.where(of.kind == kind, NEEDS_A_PERSON)
        yield walk(chosen, (of.died_ms, of.order_key), after=after, limit=SCANNED_MAX)

    return walks


def _early(choice: Choice, after: At | None) -> Iterator[Select[Any]]:
    of = FACTS.c
    chosen = select(of.at_ms, of.order_key)
    chosen = chosen.where(CAME_EARLY, of.at_ms > choice.around.now_ms - EARLY_MS)
    yield walk(chosen, (of.at_ms, of.order_key), after=after, limit=SCANNED_MAX)
    yield from _in_states(_EARLY_STATES)(choice, after)


def _on_hold(choice: Choice, after: At | None) -> Iterator[Select[Any]]:
    chosen = select(_order.received_ms.label("at_ms"), _order.order_key)
    chosen = chosen.where(IS_ON_HOLD)
    yield walk(chosen, (_order.received_ms, _order.order_key), after=after, limit=SCANNED_MAX)
    yield from _in_states(("HELD",))(choice, after)


def _role_behind(choice: Choice, after: At | None) -> Iterator[Select[Any]]:
    """Orders in partitions of which commands are not decided, as far as one may go on."""
    behind = sorted(choice.around.lags)
    if behind:
        for one in _in_states(_FAR_STATES)(choice, after):
            yield one.where(_order.partition.in_(behind))


def _refused(choice: Choice, after: At | None) -> Iterator[Select[Any]]:
    yield from _letters("refused")(choice, after)
    yield from _in_states(_REFUSED_STATES)(choice, after)


def _waits_behind(key: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether one of its requests is behind another of its lane."""
    one, earlier = WAITING.alias("one"), WAITING.alias("earlier")
    return exists().where(one.c.order_key == key, earlier.c.lane == one.c.lane, earlier.c.position < one.c.position)


def _sends_nothing(key: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether none of its requests to a far side waits."""
    return ~exists().where(_of.order_key == key, _of.touchpoint != "fact")


_LIVE: Final = _of.is_held.is_(False)
SOURCES: Final[Mapping[str, CauseSource]] = {
    causes.ROLE_BEHIND.name: CauseSource(_role_behind, descending=True),
    causes.EARLY.name: CauseSource(_early, descending=True),
    causes.ON_HOLD.name: CauseSource(_on_hold, descending=True),
    causes.BEHIND_REQUEST.name: _waiting(lambda _now_ms: true(), fits=_waits_behind),
    causes.BUDGET.name: _waiting(lambda now_ms: and_(_LIVE, or_(_of.attempts == 0, _of.next_ms <= now_ms))),
    causes.QUIET.name: _waiting(lambda _now_ms: _LIVE),
    causes.DOWN.name: _waiting(lambda _now_ms: _LIVE),
    causes.BACK_OFF.name: _waiting(lambda now_ms: and_(_LIVE, _of.attempts > 0, _of.next_ms > now_ms), _of.next_ms),
    causes.GIVEN_UP.name: CauseSource(_letters("dead"), descending=True),
    causes.REFUSED.name: CauseSource(_refused, descending=True),
    causes.FAR_SIDE.name: CauseSource(_in_states(_FAR_STATES), descending=True, fits=_sends_nothing),
    causes.PAUSED.name: _waiting(lambda _now_ms: _LIVE),
}
