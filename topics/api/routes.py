"""ROUTES: one entry for each call below /api. Also the paths of touchpoints at the gateway.

The gateway's routes, the bounds of query parameters and the OpenAPI document derive from these entries. To add a call,
add an entry here and a handler with its name in gateway/api.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pydantic import BaseModel

from topics.api.action_routes import ACTION_ROUTES, of_entity, of_subscription
from topics.api.journal.list_routes import LIST_ROUTES
from topics.api.journal.routes import JOURNAL_ROUTES
from topics.api.management import (
    EventsDocument,
    OrderDocument,
    ReturnDocument,
    UnknownProblem,
)
from topics.api.query_parameters import (
    CHANNEL,
    COMPLETE,
    FACTS_AFTER,
    FACTS_AT,
    FACTS_LIMIT,
    REFUSED_AFTER,
    REFUSED_LIMIT,
    WAIT,
)
from topics.api.redrives import RedriveDocument, RedriveList
from topics.api.resubmissions import (
    ResubmissionDocument,
    ResubmissionList,
)
from topics.api.route import Route, route_of
from topics.api.snapshots import SnapshotList, SnapshotTaken
from topics.api.stock_operations import RefusedSkusDocument, StockStatusDocument
from topics.api.subscribers import (
    RotationAsked,
    SubscriptionAsked,
    SubscriptionDocument,
    SubscriptionList,
    SubscriptionMade,
    SubscriptionSettings,
)
from topics.contract.definition import Direction, Touchpoint
from topics.paths.bases import INCREFF_BASE, MARKETPLACE_BASES


def full_path(touchpoint: Touchpoint, base: str = MARKETPLACE_BASES[0]) -> str:
    """The path of a touchpoint at the gateway. `base`: the one below which marketplaces find theirs."""
    return (base if touchpoint.direction is Direction.TO_INCREFF else INCREFF_BASE) + touchpoint.path


def full_paths(touchpoint: Touchpoint, bases: tuple[str, ...] = MARKETPLACE_BASES) -> Iterator[str]:
    """All paths of a touchpoint at the gateway, the one that is in use now first."""
    for base in bases if touchpoint.direction is Direction.TO_INCREFF else (INCREFF_BASE,):
        for path in (touchpoint.path, *touchpoint.former_paths):
            yield base + path


FACTS_COST = 5
"""A page of facts asks the orders role, and then reads the topic with a consumer of its own."""
SUBSCRIPTIONS_COST = 20
"""The list has all subscriptions, which may be thousands."""


def _of_entity(one: str, document: type[BaseModel]) -> Iterator[Route]:
    base = f"/api/{one}s/{{code}}"
    route = partial(
        route_of, label=f"api-{one}", tag="management", base=base, query=(CHANNEL,), problems={404: UnknownProblem}
    )
    summary = f"State, facts and deliveries of one {one}"
    yield route("GET", f"get-{one}", summary, document=document, answers={200: f"The {one}"})
    yield route(
        "GET /events",
        f"get-{one}-events",
        f"Facts of one {one} after a sequence, as subscribers get them",
        label=f"api-{one}-events",
        query=(CHANNEL, FACTS_AFTER, FACTS_LIMIT, FACTS_AT),
        document=EventsDocument,
        answers={200: "The facts"},
        cost=FACTS_COST,
        refusals={410: "The facts are not kept any more; `detail` says which are"},
    )
    yield from of_entity(one)


_redrives = partial(route_of, label="api-redrives", tag="management", base="/api/redrives", document=RedriveDocument)
_STATE = "The state of the redrive"
_resubmissions = partial(
    route_of, label="api-resubmissions", tag="management", base="/api/resubmissions", document=ResubmissionDocument
)
_RESUBMITTED = "The state of the resubmission"

_subscriptions = partial(
    route_of, label="api-subscriptions", tag="subscriptions", base="/api/subscriptions", document=SubscriptionDocument
)
_change = partial(_subscriptions, revised=True)
_NOT_VERIFIED = {409: "The endpoint did not answer the challenge; nothing was changed"}

_stock = partial(route_of, label="api-inventory", tag="stock", base="/api/inventory", answers={200: "The known state"})
_refused = partial(_stock, query=(REFUSED_AFTER, REFUSED_LIMIT), document=RefusedSkusDocument)
_snapshots = partial(_stock, label="api-snapshots")

ROUTES: tuple[Route, ...] = (
    *_of_entity("order", OrderDocument),
    *_of_entity("return", ReturnDocument),
    *JOURNAL_ROUTES,
    *LIST_ROUTES,
    *ACTION_ROUTES,
    _redrives("GET", "list-redrives", "The last redrives of this gateway", document=RedriveList, answers={200: _STATE}),
    _redrives("GET /{id}", "get-redrive", "One redrive", answers={200: _STATE}),
    _redrives("DELETE /{id}", "stop-redrive", "Stop a redrive", answers={202: _STATE}),
    _resubmissions(
        "GET",
        "list-resubmissions",
        "The last resubmissions of this gateway",
        document=ResubmissionList,
        answers={200: _RESUBMITTED},
    ),
    _resubmissions("GET /{id}", "get-resubmission", "One resubmission", answers={200: _RESUBMITTED}),
    _resubmissions("DELETE /{id}", "stop-resubmission", "Stop a resubmission", answers={202: _RESUBMITTED}),
    _subscriptions(
        "GET", "list-subscriptions", "All subscriptions", document=SubscriptionList, cost=SUBSCRIPTIONS_COST
    ),
    _subscriptions(
        "POST",
        "add-subscription",
        "Add a subscription; its endpoint is sent a challenge, and its secret is shown once",
        body=SubscriptionAsked,
        document=SubscriptionMade,
        answers={201: "Done"},
        refusals={409: "There are too many subscriptions"},
    ),
    _subscriptions("GET /{id}", "get-subscription", "One subscription and its health"),
    _change(
        "PATCH /{id}",
        "change-subscription",
        "Change the settings that are named; another `url` has to pass the challenge first",
        query=(WAIT,),
        body=SubscriptionSettings,
        refusals=_NOT_VERIFIED,
    ),
    _change(
        "DELETE /{id}",
        "remove-subscription",
        "Remove a subscription; waiting facts are dropped",
        document=None,
        answers={204: "Done"},
    ),
    _change("POST /{id}/verify", "verify-subscription", "Send the challenge again", refusals=_NOT_VERIFIED),
    _change(
        "POST /{id}/rotate-secret",
        "rotate-subscription-secret",
        "Make a new secret, which is shown once; older ones sign beside it for the overlap",
        body=RotationAsked,
        document=SubscriptionMade,
        refusals={409: "Too many secrets sign already"},
    ),
    _change(
        "POST /{id}/enable",
        "enable-subscription",
        "Enable a subscription; it gets the facts that still wait",
        query=(WAIT,),
    ),
    _change("POST /{id}/disable", "disable-subscription", "Disable a subscription; waiting facts stay"),
    *of_subscription(),
    _stock("GET /status", "get-stock-status", "The state of each channel's stock", document=StockStatusDocument),
    _stock(
        "GET /status/{channel}",
        "get-channel-stock-status",
        "The state of one channel's stock",
        document=StockStatusDocument,
    ),
    _refused("GET /refused/{channel}", "get-refused-skus", "The SKUs that a channel refuses"),
    _refused(
        "GET /refused/{channel}/{location}",
        "get-refused-skus-of-location",
        "The SKUs that a channel refuses at a location",
    ),
    _snapshots(
        "GET /snapshots/{channel}/{location}",
        "get-snapshots",
        "The snapshots of a location, the newest first",
        document=SnapshotList,
    ),
    _snapshots(
        "PUT /snapshots/{channel}/{location}",
        "put-snapshot",
        "The whole stock of a location, as a stream of any size",
        query=(COMPLETE,),
        uploads={
            "application/x-ndjson": "One item of a stock batch on each line",
            "text/csv": "A header with names of members, then one item a row",
        },
        document=SnapshotTaken,
        answers={200: "Applied", 202: "Stored, and being applied; a GET of this path tells the rest"},
        receipts=True,
        refusals={
            408: "Nothing of the upload came for too long; nothing becomes 0",
            409: "Abandoned after all of it had come, because another snapshot of the location began",
            415: "Neither NDJSON nor CSV, or a `Content-Encoding` that is not taken",
        },
    ),
)


_probe = partial(route_of, label="", tag="operations", base="/")

PROBES: tuple[Route, ...] = (
    _probe("GET live", "live", "Whether the process answers", answers={200: "It does"}),
    _probe(
        "GET ready",
        "ready",
        "Whether this gateway can accept calls",
        answers={200: "It can accept", 503: "It cannot; `reason` says why"},
    ),
    _probe("GET openapi.json", "openapi", "This document", answers={200: "OpenAPI 3.1"}),
    _probe("GET asyncapi.json", "asyncapi", "Every Kafka topic and what it carries", answers={200: "AsyncAPI 3.0"}),
)
"""Calls about the gateway itself, on both of its ports. They need no token, and are neither counted nor logged."""

ADMIN_PROBES: tuple[Route, ...] = (
    *PROBES,
    _probe("GET openapi.html", "openapi-page", "The document of this interface for people", answers={200: "HTML"}),
    _probe("GET metrics", "metrics", "Prometheus metrics", answers={200: "Text exposition format"}),
)
"""Those of the admin port."""
