"""Selects that are many short walks along an index, one for each value of what stands before the time in it.

The newest orders of a channel lie apart in the index (channel, state, time): newest for each state. A select that
names no state would walk all orders of the channel. So each state is walked on its own for as many rows as a page has,
and the walks are merged. No index more is needed, and the cost does not grow with the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, literal, tuple_, union_all

ORDER_STATES: Final = (
    "EXPECTED",
    "RECEIVED",
    "HELD",
    "SUBMITTED",
    "REJECTED",
    "ACKNOWLEDGED",
    "PACKED",
    "LABELLED",
    "MANIFESTED",
    "HANDED_OVER",
    "DELIVERED",
    "CANCELLED",
)
OTHER_STATES: Final = ("", "ASKED", "REFUSED", "COMPLETED", "REQUESTED")
"""States that only returns and manifests have; the empty one: no fact has said a state."""
STATES: Final = (*ORDER_STATES, *OTHER_STATES)
"""All states; a test compares them with those of the orders role."""

At = tuple[Any, ...]
"""Where a walk goes on: behind these values of its sorting."""


def walk(
    chosen: Select[Any], sorting: Sequence[ColumnElement[Any]], *, after: At | None, limit: int, descending: bool = True
) -> Select[Any]:
    """One walk: so many rows behind a place. The first value bounds it once more, alone: an index that has only this
    one of the sorting begins there, and PostgreSQL leaves out months."""
    if after is not None:
        values = [literal(value, column.type) for value, column in zip(after, sorting, strict=True)]
        first = sorting[0] <= values[0] if descending else sorting[0] >= values[0]
        here, there = tuple_(*sorting), tuple_(*values)
        chosen = chosen.where(first, here < there if descending else here > there)
    return chosen.order_by(*(one.desc() if descending else one.asc() for one in sorting)).limit(limit)


def merged(walks: Iterable[Select[Any]], names: Sequence[str], *, limit: int, descending: bool = True) -> Select[Any]:
    """The first rows of all walks together. `names`: of the sorting columns, as the walks call them."""
    each = [one.subquery() for one in walks]
    if len(each) == 1:
        of = each[0]
        return of.select().order_by(*(of.c[name].desc() if descending else of.c[name].asc() for name in names))
    whole = union_all(*(one.select() for one in each)).subquery()
    order = [whole.c[name].desc() if descending else whole.c[name].asc() for name in names]
    return whole.select().order_by(*order).limit(limit)
