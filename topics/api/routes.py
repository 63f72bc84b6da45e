"""ROUTES: one entry for each call below /api, and where touchpoints are at the gateway.

The gateway's routes, the bounds of query parameters and the OpenAPI document derive from these entries. To add a call:
one entry here, and a handler of its name in gateway/api.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel

from topics.api.management import EventsDocument, LaneDecided, OrderDocument, ReturnDocument
from topics.api.redrives import RedriveAsked, RedriveDocument, RedriveList
from topics.api.snapshots import SnapshotList, SnapshotTaken
from topics.api.stock_operations import ControlDocument, RefusedSkusDocument, StockStatusDocument
from topics.api.subscribers import (
    RotationAsked,
    SubscriptionAsked,
    SubscriptionDocument,
    SubscriptionList,
    SubscriptionMade,
    SubscriptionSettings,
)
from topics.contract.definition import Direction, Touchpoint
from topics.schema_base import CODE_MAX

MARKETPLACE_PREFIX = "/assure-magic2"
"""Increff's context path (contract 0.2): a marketplace changes only the host."""
INCREFF_PREFIX = "/channels/{channel}"

NUMBER_MAX = 1 << 53
"""Beyond it JSON readers lose digits."""


def full_path(touchpoint: Touchpoint) -> str:
    """Where its caller finds a touchpoint at the gateway."""
    prefix = MARKETPLACE_PREFIX if touchpoint.direction is Direction.TO_INCREFF else INCREFF_PREFIX
    return prefix + touchpoint.path


@dataclass(frozen=True, slots=True)
class QueryParameter:
    """A value of the query string, which may be left out. `minimum` and `maximum` bound a whole number."""

    name: str
    type: str = "string"
    minimum: int | None = None
    maximum: int | None = None
    default: int | bool | None = None
    description: str | None = None

    @property
    def schema(self) -> dict[str, Any]:
        members = ("type", "minimum", "maximum", "default", "description")
        return {name: value for name in members if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call of the management API.

    `name`: of its handler, and its operationId. `label`: what it is called in the log and the metrics. A part
    `{name:one|other}` of `path` takes these words only. `answers`: what each status of success means; all have a
    `document` as their body, or none. `receipts`: they say where in Kafka the event is. `refusals`: what other statuses
    mean than those that follow from the call's form. `uploads`: media types of a body that is no JSON, and their
    meaning. `revised`: the caller may name the revision that it means.
    """

    name: str
    method: str
    path: str
    label: str
    tag: str
    summary: str
    query: tuple[QueryParameter, ...] = ()
    body: type[BaseModel] | None = None
    uploads: Mapping[str, str] = field(default_factory=dict)
    document: type[BaseModel] | None = None
    answers: Mapping[int, str] = field(default_factory=lambda: {200: "Done"})
    receipts: bool = False
    refusals: Mapping[int, str] = field(default_factory=dict)
    revised: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether the body names only what it changes."""
        return self.method == "PATCH"

    @property
    def needs_body(self) -> bool:
        """Whether the body may not be left out, as some of its members may not."""
        return self.body is None or any(member.is_required() for member in self.body.model_fields.values())

    @property
    def has_body(self) -> bool:
        return self.body is not None or bool(self.uploads)

    @property
    def public_path(self) -> str:
        """The path as OpenAPI writes it: without the words that a part may be."""
        return re.sub(r":[^}]*", "", self.path)

    @property
    def path_parameters(self) -> dict[str, dict[str, Any]]:
        """The schema of each part of the path that varies, in their order."""
        parts = re.findall(r"{(\w+):?([^}]*)}", self.path)
        return {name: {"enum": words.split("|")} if words else _PATH_SCHEMAS[name] for name, words in parts}


_TEXT: dict[str, Any] = {"type": "string"}
_PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "code": {**_TEXT, "maxLength": CODE_MAX},
    "channel": _TEXT,
    "id": _TEXT,
    "location": {**_TEXT, "maxLength": CODE_MAX, "description": "`~ALL` or `~STORE`: consolidated stock"},
    "request": _TEXT,
}

CHANNEL = QueryParameter("channel")
FACTS_AFTER = QueryParameter("after", "integer", minimum=0, maximum=NUMBER_MAX, default=0)
FACTS_LIMIT = QueryParameter("limit", "integer", minimum=1, maximum=500, default=100)
"""An order of a few shipments has some dozens of facts in all."""
FACTS_AT = QueryParameter(
    "at", "integer", minimum=0, maximum=NUMBER_MAX, description="Where to look on, as `next` has it"
)
REFUSED_AFTER = QueryParameter("after", description="From `next`")
REFUSED_LIMIT = QueryParameter("limit", "integer", minimum=1, maximum=1_000, default=100)
"""A thousand refused SKUs take some 150 KB."""
COMPLETE = QueryParameter(
    "complete", "boolean", default=False, description="Whether SKUs that it does not name become 0"
)


def _route(call: str, name: str, summary: str, *, base: str, **more: Any) -> Route:
    """`call`: the method, and the path below `base`."""
    method, _, path = call.partition(" ")
    return Route(name=name, method=method, path=base + path, summary=summary, **more)


def _of_entity(one: str, document: type[BaseModel]) -> Iterator[Route]:
    base = f"/api/{one}s/{{code}}"
    route = partial(_route, label=f"api-{one}", tag="management", base=base, query=(CHANNEL,))
    summary = f"State, facts and deliveries of one {one}"
    yield route("GET", f"get-{one}", summary, document=document, answers={200: f"The {one}"})
    yield route(
        "GET /events",
        f"get-{one}-events",
        f"What happened to one {one} after a sequence, as subscribers get it",
        label=f"api-{one}-events",
        query=(CHANNEL, FACTS_AFTER, FACTS_LIMIT, FACTS_AT),
        document=EventsDocument,
        answers={200: "The facts"},
        refusals={410: "They are not kept any more; `detail` says which are"},
    )
    summary = "Retry a dead delivery, or let its lane go on without it"
    yield route(f"POST {_DECISION}", f"decide-{one}-delivery", summary, label="api-lane-decision", **_DECIDED)


_DECISION = "/deliveries/{request}/{action:retry|skip}"
_DECIDED: dict[str, Any] = {"document": LaneDecided, "answers": {202: "Stored"}, "receipts": True}

_redrives = partial(_route, label="api-redrives", tag="management", base="/api/redrives", document=RedriveDocument)
_FARES = "How it fares"

_subscriptions = partial(
    _route, label="api-subscriptions", tag="subscriptions", base="/api/subscriptions", document=SubscriptionDocument
)
_change = partial(_subscriptions, revised=True)
_NOT_VERIFIED = {409: "The endpoint did not answer the challenge; nothing was changed"}

_stock = partial(_route, label="api-inventory", tag="stock", base="/api/inventory", answers={200: "What is known"})
_refused = partial(_stock, query=(REFUSED_AFTER, REFUSED_LIMIT), document=RefusedSkusDocument)
_control = partial(
    _stock,
    document=ControlDocument,
    answers={202: "Stored"},
    receipts=True,
    refusals={409: "Another operator asked for something else at the same moment; or the channel has no `read_back`"},
)
_ACTION = "{action:pause|resume|resync|reconcile}"
_snapshots = partial(_stock, label="api-snapshots")

ROUTES: tuple[Route, ...] = (
    *_of_entity("order", OrderDocument),
    *_of_entity("return", ReturnDocument),
    _redrives("GET", "list-redrives", "The last redrives of this gateway", document=RedriveList, answers={200: _FARES}),
    _redrives(
        "POST",
        "redrive",
        "Count, or send again, what was given up",
        body=RedriveAsked,
        answers={202: _FARES},
        refusals={409: "Another one is going on"},
    ),
    _redrives("GET /{id}", "get-redrive", "One redrive", answers={200: _FARES}),
    _redrives("DELETE /{id}", "stop-redrive", "Send nothing more", answers={202: _FARES}),
    _subscriptions("GET", "list-subscriptions", "All subscriptions", document=SubscriptionList),
    _subscriptions(
        "POST",
        "add-subscription",
        "Add a subscriber; its endpoint is sent a challenge, and its secret is shown once",
        body=SubscriptionAsked,
        document=SubscriptionMade,
        answers={201: "Done"},
        refusals={409: "There are as many as there may be"},
    ),
    _subscriptions("GET /{id}", "get-subscription", "One subscription and how it fares"),
    _change(
        "PATCH /{id}",
        "change-subscription",
        "Change the settings that are named; another `url` has to pass the challenge first",
        body=SubscriptionSettings,
        refusals=_NOT_VERIFIED,
    ),
    _change(
        "DELETE /{id}",
        "remove-subscription",
        "Remove it; what waits is dropped",
        document=None,
        answers={204: "Done"},
    ),
    _change("POST /{id}/verify", "verify-subscription", "Send the challenge again", refusals=_NOT_VERIFIED),
    _change(
        "POST /{id}/rotate-secret",
        "rotate-subscription-secret",
        "A new secret, shown once; the ones before it go on signing for the overlap",
        body=RotationAsked,
        document=SubscriptionMade,
        refusals={409: "Too many secrets sign already"},
    ),
    _change("POST /{id}/enable", "enable-subscription", "Go on with what still waits"),
    _change("POST /{id}/disable", "disable-subscription", "Send nothing and ask for nothing; what waits stays"),
    _subscriptions(
        f"POST /{{id}}{_DECISION}",
        "decide-subscription-delivery",
        "Retry a dead fact, or go on without it",
        query=(CHANNEL, *(QueryParameter(name) for name in ("order", "return", "manifest"))),
        **_DECIDED,
    ),
    _stock("GET /status", "get-stock-status", "How the stock of each channel fares", document=StockStatusDocument),
    _stock(
        "GET /status/{channel}", "get-channel-stock-status", "The same of one channel", document=StockStatusDocument
    ),
    _refused("GET /refused/{channel}", "get-refused-skus", "The SKUs that a channel refuses"),
    _refused(
        "GET /refused/{channel}/{location}",
        "get-refused-skus-of-location",
        "The SKUs that a channel refuses at a location",
    ),
    _control(
        f"POST /{_ACTION}/{{channel}}", "control-stock", "Pause, resume, resync or reconcile the stock of a channel"
    ),
    _control(
        f"POST /{_ACTION}/{{channel}}/{{location}}",
        "control-stock-of-location",
        "Pause, resume, resync or reconcile the stock of a channel at a location",
    ),
    _snapshots(
        "GET /snapshots/{channel}/{location}",
        "get-snapshots",
        "How the snapshots of a location fare, the newest first",
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
        answers={200: "It is applied", 202: "All of it is stored and is being applied; a GET of this path tells"},
        receipts=True,
        refusals={
            408: "Nothing of the upload came for too long; nothing becomes 0",
            409: "All of it came, and it was abandoned: another snapshot of the location began meanwhile",
            415: "Neither NDJSON nor CSV",
        },
    ),
)


_probe = partial(_route, label="", tag="operations", base="/")

PROBES: tuple[Route, ...] = (
    _probe("GET live", "live", "Whether the process answers", answers={200: "It does"}),
    _probe(
        "GET ready",
        "ready",
        "Whether this gateway can accept calls",
        answers={200: "It can accept", 503: "It cannot; `reason` says why"},
    ),
    _probe("GET metrics", "metrics", "Prometheus metrics", answers={200: "Text exposition format"}),
    _probe("GET openapi.json", "openapi", "This document", answers={200: "OpenAPI 3.1"}),
    _probe("GET asyncapi.json", "asyncapi", "Every Kafka topic and what it carries", answers={200: "AsyncAPI 3.0"}),
)
"""About the gateway itself: without a token, and neither counted nor logged."""
