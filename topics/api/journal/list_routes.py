"""Entries of the lists that operators read."""

from __future__ import annotations

from functools import partial
from typing import Final

from topics.api.journal.deliveries import DeliveryList
from topics.api.journal.destinations import DestinationList
from topics.api.journal.due import DueList
from topics.api.journal.incidents import ActionList, DeadLetterGroups, DeadLetterList, RejectedGroups, RejectedList
from topics.api.journal.routes import NO_JOURNAL
from topics.api.journal.status import StatusDocument
from topics.api.query_parameters import CHANNEL, CURSOR, PAGE_LIMIT, QueryParameter
from topics.api.route import Route, route_of
from topics.records.facts.operators import ACTIONS, OUTCOMES
from topics.schema_base import CODE_MAX

NAME_MAX: Final = 200
"""Characters of the name of a destination, of a code of a reason, of a part of an error."""
DELIVERY_STATES: Final = ("waiting", "queued", "retrying", "held", "dead", "refused")
KINDS: Final = ("dead", "refused")
DUE_GROUPS: Final = ("overdue", "2h", "4h", "today")

ORDER: Final = QueryParameter("order", longest=CODE_MAX, description="The code of an order, return or manifest")
DESTINATION: Final = QueryParameter(
    "destination", longest=NAME_MAX, description="`increff`, `channel:NAME` or `subscription:ID`"
)
TOUCHPOINT: Final = QueryParameter("touchpoint", longest=NAME_MAX, description="The call, as `create-outward-order`")
SINCE: Final = QueryParameter("since", longest=64, description="At this time or later: ISO 8601, UTC without an offset")
UNTIL: Final = QueryParameter("until", longest=64, description="Before this time")
BODIES: Final = QueryParameter("bodies", "boolean", default=False, description="Whether bodies are shown, too")
ATTEMPTS: Final = QueryParameter("attempts", "boolean", default=False, description="Whether each attempt is shown")
LISTED_STATE: Final = QueryParameter(
    "state",
    words=DELIVERY_STATES,
    description="Only these; `waiting`: queued, retrying and held. Without it, delivered ones, too",
)
KIND: Final = QueryParameter("kind", words=KINDS, description="Given up, or refused")
REASON: Final = QueryParameter(
    "reason", longest=NAME_MAX, description="The HTTP status, or a part of the error or of the far side's words"
)
ALL: Final = QueryParameter("all", "boolean", default=False, description="Whether those with an end are shown, too")
ROLE: Final = QueryParameter("role", longest=NAME_MAX, description="The role that could not decide it")
CODE: Final = QueryParameter("code", longest=NAME_MAX, description="Why, as in docs/operations.md")
BY: Final = QueryParameter("by", longest=NAME_MAX, description="The operator: the name of the token")
ACTION: Final = QueryParameter("action", words=ACTIONS)
TARGET: Final = QueryParameter(
    "target",
    longest=2 * CODE_MAX,
    description="The subject: a destination, a delivery, `channel|location`, `topic|partition|offset` of a record",
)
OUTCOME: Final = QueryParameter("outcome", words=OUTCOMES, description="How it ended")
LOCATION: Final = QueryParameter("location", longest=CODE_MAX)
GROUP: Final = QueryParameter("group", words=DUE_GROUPS, description="Only these; without it, all that have a time")
ZONE: Final = QueryParameter(
    "zone", longest=6, description="Whose day is meant by today: its offset from UTC, as `+05:30`; UTC by default"
)

_list = partial(route_of, tag="journal", answers={200: "A page"}, refusals={503: NO_JOURNAL})
_groups = partial(_list, answers={200: "The groups"})
_LETTER_FILTERS = (CHANNEL, DESTINATION, TOUCHPOINT, KIND, REASON, ORDER, SINCE, UNTIL, ALL)
_REJECTED_FILTERS = (CHANNEL, ROLE, CODE, TOUCHPOINT, ORDER, SINCE, UNTIL)
GROUPS_COST: Final = 5
"""Groups are made of many rows."""
STATUS_COST: Final = 5
"""The status asks Kafka by connections of its own."""

LIST_ROUTES: Final[tuple[Route, ...]] = (
    _list(
        "GET",
        "list-deliveries",
        "Deliveries, the newest first, with their attempts and bodies on demand",
        base="/api/deliveries",
        label="api-deliveries",
        query=(
            CHANNEL,
            DESTINATION,
            TOUCHPOINT,
            LISTED_STATE,
            ORDER,
            SINCE,
            UNTIL,
            ATTEMPTS,
            BODIES,
            CURSOR,
            PAGE_LIMIT,
        ),
        document=DeliveryList,
    ),
    _list(
        "GET",
        "list-dead-letters",
        "Requests that were given up or refused, the newest first",
        base="/api/dead-letters",
        label="api-dead-letters",
        query=(*_LETTER_FILTERS, BODIES, CURSOR, PAGE_LIMIT),
        document=DeadLetterList,
    ),
    _groups(
        "GET /groups",
        "group-dead-letters",
        "The same by destination, call and reason: how many, the first, the last, an example",
        base="/api/dead-letters",
        label="api-dead-letters",
        query=_LETTER_FILTERS,
        document=DeadLetterGroups,
        cost=GROUPS_COST,
    ),
    _list(
        "GET",
        "list-rejected",
        "Records that could not be decided, the newest first",
        base="/api/rejected",
        label="api-rejected",
        query=(*_REJECTED_FILTERS, BODIES, CURSOR, PAGE_LIMIT),
        document=RejectedList,
    ),
    _groups(
        "GET /groups",
        "group-rejected",
        "The same by role, topic, kind and code: how many, the first, the last, an example",
        base="/api/rejected",
        label="api-rejected",
        query=_REJECTED_FILTERS,
        document=RejectedGroups,
        cost=GROUPS_COST,
    ),
    _list(
        "GET",
        "list-destinations",
        "Destinations: health, budget, what waits and since when",
        base="/api/destinations",
        label="api-destinations",
        query=(DESTINATION, CURSOR, PAGE_LIMIT),
        document=DestinationList,
        cost=GROUPS_COST,
    ),
    _list(
        "GET",
        "list-due",
        "Open orders by the time at which they must be handed over, with a forecast",
        base="/api/due",
        label="api-due",
        query=(GROUP, CHANNEL, LOCATION, ZONE, CURSOR, PAGE_LIMIT),
        document=DueList,
        cost=GROUPS_COST,
    ),
    _list(
        "GET",
        "list-actions",
        "What operators did, the newest first: who, what, why, before and after",
        base="/api/audit",
        label="api-audit",
        query=(BY, ACTION, TARGET, OUTCOME, CHANNEL, ORDER, SINCE, UNTIL, CURSOR, PAGE_LIMIT),
        document=ActionList,
    ),
    route_of(
        "GET",
        "get-status",
        "Every role, its partitions and lag, the journal, what waits, and the budgets",
        base="/api/status",
        label="api-status",
        tag="journal",
        document=StatusDocument,
        answers={200: "The state, also where Kafka or the journal does not answer"},
        cost=STATUS_COST,
    ),
)
