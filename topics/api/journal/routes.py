"""Entries of the calls that are answered from the journal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from topics.api.journal.orders import OrderList
from topics.api.journal.story import StoryDocument, UntoldProblem
from topics.api.query_parameters import CHANNEL, CURSOR, PAGE_LIMIT, QueryParameter
from topics.api.route import Route, route_of

STATE: Final = QueryParameter("state", longest=64, description="The state, as `IN_PACKING`")
NO_JOURNAL: Final = "The journal cannot be read now, or took too long; `detail` says which setting to look at"

STORY_COST: Final = 2
"""Some ten selects, and a look at Kafka that stories share."""

_list = partial(route_of, tag="journal", answers={200: "A page"}, refusals={503: NO_JOURNAL})

_KINDS: Final = ("order", "return", "manifest")


def _of_one(kind: str) -> Iterator[Route]:
    one = partial(
        route_of,
        tag="journal",
        base=f"/api/{kind}s/{{code}}",
        query=(CHANNEL,),
        refusals={503: NO_JOURNAL},
        problems={404: UntoldProblem},
    )
    yield one(
        "GET /story",
        f"get-{kind}-story",
        f"What one {kind} waits for, since when, why, until when, and what to do about it",
        label=f"api-{kind}-story",
        document=StoryDocument,
        answers={200: "The story"},
        cost=STORY_COST,
    )


JOURNAL_ROUTES: Final[tuple[Route, ...]] = (
    *(route for kind in _KINDS for route in _of_one(kind)),
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
