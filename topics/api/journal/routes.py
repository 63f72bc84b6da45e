"""Entries of the calls that are answered from the journal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from topics.api.journal.orders import OrderList, SearchDocument, TimelineDocument
from topics.api.journal.story import StoryDocument, UntoldProblem
from topics.api.query_parameters import CHANNEL, CURSOR, PAGE_LIMIT, QueryParameter
from topics.api.route import Route, route_of
from topics.schema_base import CODE_MAX

STATE: Final = QueryParameter("state", longest=64, description="The state, as `IN_PACKING`")
KIND: Final = QueryParameter("kind", words=("order", "return", "manifest"))
OPEN: Final = QueryParameter("open", "boolean", description="Whether something is still to happen")
CAUSE_NAMES: Final = (
    "role-behind",
    "early",
    "on-hold",
    "behind-request",
    "budget",
    "quiet",
    "down",
    "back-off",
    "given-up",
    "refused",
    "far-side",
    "paused",
)
"""As `journal.story.causes` numbers them; a test compares."""
CAUSE: Final = QueryParameter(
    "cause",
    words=CAUSE_NAMES,
    description="Only orders with a wait of this cause (docs/story.md)",
)
LOCATION: Final = QueryParameter("location", longest=CODE_MAX)
_AGE: Final = partial(QueryParameter, type="integer", minimum=0, maximum=10**9)
OLDER: Final = _AGE("olderThan", description="Seconds: only what came longer ago")
NEWER: Final = _AGE("newerThan", description="Seconds: only what came since then")
DUE_WITHIN: Final = _AGE("dueWithin", description="Seconds: open orders that are overdue, or due within this time")
TEXT: Final = QueryParameter(
    "text", longest=CODE_MAX, description="Only those to which an id leads that is this text or begins with it"
)
SEARCHED: Final = QueryParameter("q", longest=CODE_MAX, description="An id, or the first three characters or more")
WHOLE: Final = QueryParameter("whole", "boolean", default=False, description="Everything in one document, as a file")
TIMELINE_LIMIT: Final = QueryParameter("limit", "integer", minimum=1, maximum=1_000, default=200)
LIST_QUERY: Final = (
    CHANNEL,
    KIND,
    STATE,
    OPEN,
    CAUSE,
    LOCATION,
    OLDER,
    NEWER,
    DUE_WITHIN,
    TEXT,
    CURSOR,
    PAGE_LIMIT,
)
LIST_COST: Final = 2
"""A page tells the waits of its orders."""
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
    yield one(
        "GET /timeline",
        f"get-{kind}-timeline",
        f"Every record about one {kind}, with its topic, partition and offset",
        label=f"api-{kind}-timeline",
        query=(CHANNEL, WHOLE, CURSOR, TIMELINE_LIMIT),
        document=TimelineDocument,
        answers={200: "A page, or with `whole` everything, as a file"},
    )


JOURNAL_ROUTES: Final[tuple[Route, ...]] = (
    *(route for kind in _KINDS for route in _of_one(kind)),
    _list(
        "GET",
        "list-orders",
        "Orders, returns and manifests, the newest first",
        base="/api/orders",
        label="api-order-list",
        query=LIST_QUERY,
        document=OrderList,
        cost=LIST_COST,
    ),
    route_of(
        "GET",
        "search",
        "Where an id leads: of an order, return, shipment, manifest, event, delivery or request, an AWB or invoice",
        base="/api/search",
        tag="journal",
        label="api-search",
        query=(SEARCHED, CHANNEL),
        document=SearchDocument,
        answers={200: "What was found, perhaps nothing"},
        refusals={503: NO_JOURNAL},
    ),
)
