"""Entries of the calls that are answered from the journal."""

from __future__ import annotations

from functools import partial
from typing import Final

from topics.api.journal.orders import OrderList
from topics.api.query_parameters import CHANNEL, CURSOR, PAGE_LIMIT, QueryParameter
from topics.api.route import Route, route_of

STATE: Final = QueryParameter("state", longest=64, description="The state, as `IN_PACKING`")
NO_JOURNAL: Final = "The journal cannot be read now, or took too long; `detail` says which setting to look at"

_list = partial(route_of, tag="journal", answers={200: "A page"}, refusals={503: NO_JOURNAL})

JOURNAL_ROUTES: Final[tuple[Route, ...]] = (
    _list(
        "GET",
        "list-orders",
        "Orders, returns and manifests, the newest first",
        base="/api/orders",
        label="api-order-list",
        query=(CHANNEL, STATE, CURSOR, PAGE_LIMIT),
        document=OrderList,
    ),
)
