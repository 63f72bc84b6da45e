"""The OpenAPI 3.1 document of the gateway, derived from TOUCHPOINTS, the models and the samples."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from topics.api.management import EventsDocument, LaneDecided, OrderDocument, ReturnDocument
from topics.api.redrives import RedriveAsked, RedriveDocument, RedriveList
from topics.api.subscribers import (
    RotationAsked,
    SubscriptionAsked,
    SubscriptionDocument,
    SubscriptionList,
    SubscriptionMade,
    SubscriptionSettings,
)
from topics.contract.definition import Direction, Mode, Touchpoint
from topics.contract.models.errors import ChannelError, IncreffError, Problem
from topics.contract.sample_files import Sample, sample
from topics.contract.touchpoints import TOUCHPOINTS
from topics.documents.json_schema import Untitled
from topics.documents.openapi_parts import JSON, PROBLEM_JSON, RECEIPTS, Names, Schema, errors, parameter
from topics.documents.openapi_snapshots import MODELS as SNAPSHOT_MODELS
from topics.documents.openapi_snapshots import snapshot_paths
from topics.documents.openapi_stock import MODELS as STOCK_MODELS
from topics.documents.openapi_stock import stock_paths
from topics.schema_base import CODE_MAX, Body

MARKETPLACE_PREFIX = "/assure-magic2"
INCREFF_PREFIX = "/channels/{channel}"

_REF = "#/components/schemas/{model}"

_SECURITY_SCHEMES: Schema = {
    "authUsername": {"type": "apiKey", "in": "header", "name": "authUsername"},
    "authPassword": {"type": "apiKey", "in": "header", "name": "authPassword"},
    "authDomainName": {"type": "apiKey", "in": "header", "name": "authDomainName"},
    "channelHeaders": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "The static header pairs of the channel's `increff_headers`; this name is the demo channel's",
    },
    "bootstrapHeaders": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Bootstrap-Key",
        "description": "The header pairs of the channel's `get_credential`; this name is the demo channel's",
    },
    "token": {"type": "http", "scheme": "bearer", "description": "Wanted when SLUICE_API_TOKEN is set"},
}
_FROM_MARKETPLACE: list[Schema] = [
    {"authUsername": [], "authPassword": [], "authDomainName": []},
    {"authUsername": [], "authPassword": []},
]


@cache
def document() -> dict[str, Any]:
    """The whole document; the same object each time, not to be changed."""
    names, schemas = _schemas()
    paths: dict[str, Schema] = {}
    for touchpoint in TOUCHPOINTS:
        operation = _operation(touchpoint, sample(touchpoint.name), names)
        paths.setdefault(full_path(touchpoint), {})[touchpoint.method.lower()] = operation
    paths.update(_management(names))
    paths.update(_redrives(names))
    paths.update(_subscriptions(names))
    paths.update(stock_paths(names))
    paths.update(snapshot_paths(names))
    paths.update(_operations())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": metadata.version("sluice"),
            "description": "Increff's public channel contract, spoken to both sides, and the management API",
        },
        "tags": [
            {"name": Direction.TO_INCREFF.value, "description": "As if Sluice were Increff"},
            {"name": Direction.TO_MARKETPLACE.value, "description": "As if Sluice were the marketplace"},
            {"name": "management", "description": "Where is order X?"},
            {"name": "subscriptions", "description": "Who gets facts over HTTP"},
            {"name": "stock", "description": "How stock fares, and what operators ask of it"},
            {"name": "operations", "description": "Health, metrics and this document"},
        ],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY_SCHEMES},
    }


def full_path(touchpoint: Touchpoint) -> str:
    prefix = MARKETPLACE_PREFIX if touchpoint.direction is Direction.TO_INCREFF else INCREFF_PREFIX
    return prefix + touchpoint.path


def _schemas() -> tuple[Names, Schema]:
    """Where each model is referred to, and all component schemas."""
    models: dict[type[BaseModel], None] = dict.fromkeys(
        (
            IncreffError,
            ChannelError,
            Problem,
            OrderDocument,
            ReturnDocument,
            LaneDecided,
            EventsDocument,
            RedriveAsked,
            RedriveDocument,
            RedriveList,
            SubscriptionAsked,
            SubscriptionSettings,
            SubscriptionDocument,
            SubscriptionMade,
            SubscriptionList,
            RotationAsked,
            *STOCK_MODELS,
            *SNAPSHOT_MODELS,
        )
    )
    for touchpoint in TOUCHPOINTS:
        models[touchpoint.request] = None
        if touchpoint.response is not None:
            models[touchpoint.response] = None
    made, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF, schema_generator=Untitled
    )
    return {model: made[model, "validation"] for model in models}, definitions["$defs"]


def _operation(touchpoint: Touchpoint, example: Sample, names: Names) -> Schema:
    operation: Schema = {
        "operationId": touchpoint.name,
        "summary": touchpoint.title,
        "description": _description(touchpoint),
        "tags": [touchpoint.direction.value],
        "security": _security(touchpoint),
        "parameters": _parameters(touchpoint, example),
        "responses": _responses(touchpoint, example, names),
    }
    if not touchpoint.query:
        schema = _without(touchpoint.request, touchpoint.path_members) if touchpoint.path_members else None
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": schema or names[touchpoint.request], "example": example.body}},
        }
    return operation


def _description(touchpoint: Touchpoint) -> str:
    sentences = [f"Section {touchpoint.section} of the channel contract.", f"Mode: {touchpoint.mode.value}."]
    sentences.append(f"Repeats: {touchpoint.repeat.value}.")
    if touchpoint.early:
        sentences.append(f"Before its forerunner: {touchpoint.early}.")
    if touchpoint.optional:
        sentences.append("Optional: a channel may switch it off.")
    return " ".join(sentences)


def _security(touchpoint: Touchpoint) -> list[Schema]:
    if touchpoint.direction is Direction.TO_INCREFF:
        return _FROM_MARKETPLACE
    return [{"bootstrapHeaders": []}] if touchpoint.off_by_default else [{"channelHeaders": []}]


def _parameters(touchpoint: Touchpoint, example: Sample) -> list[Schema]:
    parameters: list[Schema] = []
    if touchpoint.direction is Direction.TO_MARKETPLACE:
        parameters.append(parameter("channel", "path", {"type": "string"}))
    schema = touchpoint.request.model_json_schema(schema_generator=Untitled)
    in_path = touchpoint.path_members
    parameters += [parameter(name, "path", schema["properties"][name], example.path[name]) for name in in_path]
    if touchpoint.query:
        required = schema.get("required", ())
        for name, member in schema.get("properties", {}).items():
            parameters.append(parameter(name, "query", member, example.query.get(name), required=name in required))
    return parameters


def _without(model: type[Body], names: tuple[str, ...]) -> Schema:
    """A model's schema less the members that travel in the path."""
    schema = model.model_json_schema(ref_template=_REF, schema_generator=Untitled)
    schema.pop("$defs", None)
    schema["properties"] = {name: member for name, member in schema["properties"].items() if name not in names}
    schema["required"] = [name for name in schema["required"] if name not in names]
    return schema


def _responses(touchpoint: Touchpoint, example: Sample, names: Names) -> Schema:
    success: Schema = {"description": "Taken" if touchpoint.mode is Mode.ACCEPT else "The answer"}
    if touchpoint.mode is not Mode.ANSWER:
        success["headers"] = RECEIPTS
    if touchpoint.response is not None:
        success["content"] = {JSON: {"schema": names[touchpoint.response], "example": example.answer}}
    error = IncreffError if touchpoint.direction is Direction.TO_INCREFF else ChannelError
    return {str(example.status): success, **errors(names[error], JSON)}


def _management(names: Names) -> Schema:
    paths: Schema = {}
    for kind, one, model in (("orders", "order", OrderDocument), ("returns", "return", ReturnDocument)):
        code = parameter("code", "path", {"type": "string", "maxLength": CODE_MAX})
        channel = parameter("channel", "query", {"type": "string"}, required=False)
        common: Schema = {"tags": ["management"], "security": [{"token": []}, {}]}
        refused = errors(names[Problem], PROBLEM_JSON, ("400", "401", "404", "503"))
        found = {"description": f"The {one}", "content": {JSON: {"schema": names[model]}}}
        decided = {"description": "Stored", "content": {JSON: {"schema": names[LaneDecided]}}, "headers": RECEIPTS}
        paths[f"/api/{kind}/{{code}}"] = {
            "get": {
                **common,
                "operationId": f"get-{one}",
                "summary": f"State, facts and deliveries of one {one}",
                "parameters": [code, channel],
                "responses": {"200": found, **refused},
            }
        }
        paths[f"/api/{kind}/{{code}}/events"] = {
            "get": {
                **common,
                "operationId": f"get-{one}-events",
                "summary": f"What happened to one {one} after a sequence, as subscribers get it",
                "parameters": [
                    code,
                    channel,
                    parameter("after", "query", {"type": "integer", "minimum": 0, "default": 0}, required=False),
                    parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500}, required=False),
                    parameter("at", "query", {"type": "integer", "description": "From `next`"}, required=False),
                ],
                "responses": {
                    "200": {"description": "The facts", "content": {JSON: {"schema": names[EventsDocument]}}},
                    **refused,
                    "410": {
                        "description": "They are not kept any more; `detail` says which are",
                        "content": {PROBLEM_JSON: {"schema": names[Problem]}},
                    },
                },
            }
        }
        action = parameter("action", "path", {"enum": ["retry", "skip"]})
        paths[f"/api/{kind}/{{code}}/deliveries/{{request}}/{{action}}"] = {
            "post": {
                **common,
                "operationId": f"decide-{one}-delivery",
                "summary": "Retry a dead delivery, or let its lane go on without it",
                "parameters": [code, parameter("request", "path", {"type": "string"}), action, channel],
                "responses": {"202": decided, **refused},
            }
        }
    return paths


def _redrives(names: Names) -> Schema:
    """/api/redrives: what was given up is sent again."""

    def operation(name: str, summary: str, answer: type[BaseModel], status: str, *statuses: str) -> Schema:
        return {
            "tags": ["management"],
            "security": [{"token": []}, {}],
            "operationId": name,
            "summary": summary,
            "responses": {
                status: {"description": "How it fares", "content": {JSON: {"schema": names[answer]}}},
                **errors(names[Problem], PROBLEM_JSON, (*statuses, "401", "503")),
            },
        }

    one = {"parameters": [parameter("id", "path", {"type": "string"})]}
    start = operation("redrive", "Count, or send again, what was given up", RedriveDocument, "202", "400", "413")
    start["requestBody"] = {"required": False, "content": {JSON: {"schema": names[RedriveAsked]}}}
    busy = {"description": "Another one is going on", "content": {PROBLEM_JSON: {"schema": names[Problem]}}}
    start["responses"]["409"] = busy
    stop = operation("stop-redrive", "Send nothing more", RedriveDocument, "202", "404")
    return {
        "/api/redrives": {
            "get": operation("list-redrives", "The last redrives of this gateway", RedriveList, "200"),
            "post": start,
        },
        "/api/redrives/{id}": {
            "get": {**operation("get-redrive", "One redrive", RedriveDocument, "200", "404"), **one},
            "delete": {**stop, **one},
        },
    }


def _subscriptions(names: Names) -> Schema:
    """/api/subscriptions: who gets facts over HTTP."""
    in_path = [parameter("id", "path", {"type": "string"})]
    if_match = [parameter("If-Match", "header", {"type": "string"}, '"3"', required=False)]
    change = {**SubscriptionSettings.model_json_schema(ref_template=_REF, schema_generator=Untitled), "required": []}
    change.pop("$defs", None)

    def operation(
        name: str,
        summary: str,
        answer: type[BaseModel] | None,
        *,
        body: Schema | None = None,
        status: str = "200",
        conflict: str = "",
        of_one: bool = True,
        body_required: bool = True,
        changes: bool = False,
    ) -> Schema:
        statuses = ("400", "401", "404", "413", "503") if of_one else ("400", "401", "413", "503")
        refused = errors(names[Problem], PROBLEM_JSON, statuses)
        if conflict:
            refused["409"] = {"description": conflict, "content": {PROBLEM_JSON: {"schema": names[Problem]}}}
        if changes:
            old = "If-Match names another revision than the present one; nothing was changed"
            refused["412"] = {"description": old, "content": {PROBLEM_JSON: {"schema": names[Problem]}}}
        found: Schema = {"description": "Done"}
        if answer is not None:
            found["content"] = {JSON: {"schema": names[answer]}}
        if answer in (SubscriptionDocument, SubscriptionMade):
            found["headers"] = {"ETag": {"description": "Its revision", "schema": {"type": "string"}}}
        made: Schema = {
            "tags": ["subscriptions"],
            "security": [{"token": []}, {}],
            "operationId": name,
            "summary": summary,
            "responses": {status: found, **refused},
        }
        if of_one:
            made["parameters"] = [*in_path, *if_match] if changes else in_path
        if body is not None:
            made["requestBody"] = {"required": body_required, "content": {JSON: {"schema": body}}}
        return made

    one, document, made = "/api/subscriptions/{id}", SubscriptionDocument, SubscriptionMade
    unverified = "The endpoint did not answer the challenge; nothing was changed"
    return {
        "/api/subscriptions": {
            "get": operation("list-subscriptions", "All subscriptions", SubscriptionList, of_one=False),
            "post": operation(
                "add-subscription",
                "Add a subscriber; its endpoint is sent a challenge, and its secret is shown once",
                made,
                body=names[SubscriptionAsked],
                status="201",
                conflict="There are as many as there may be",
                of_one=False,
            ),
        },
        one: {
            "get": operation("get-subscription", "One subscription and how it fares", document),
            "patch": operation(
                "change-subscription",
                "Change the settings that are named; another `url` has to pass the challenge first",
                document,
                body=change,
                conflict=unverified,
                changes=True,
            ),
            "delete": operation(
                "remove-subscription", "Remove it; what waits is dropped", None, status="204", changes=True
            ),
        },
        f"{one}/verify": {
            "post": operation(
                "verify-subscription", "Send the challenge again", document, conflict=unverified, changes=True
            )
        },
        f"{one}/rotate-secret": {
            "post": operation(
                "rotate-subscription-secret",
                "A new secret, shown once; the ones before it go on signing for the overlap",
                made,
                body=names[RotationAsked],
                conflict="Too many secrets sign already",
                body_required=False,
                changes=True,
            )
        },
        f"{one}/deliveries/{{request}}/{{action}}": {
            "post": {
                **operation(
                    "decide-subscription-delivery", "Retry a dead fact, or go on without it", None, status="202"
                ),
                "parameters": [
                    *in_path,
                    parameter("request", "path", {"type": "string"}),
                    parameter("action", "path", {"enum": ["retry", "skip"]}),
                    *(
                        parameter(name, "query", {"type": "string"}, required=False)
                        for name in ("channel", "order", "return", "manifest")
                    ),
                ],
            }
        },
        f"{one}/enable": {
            "post": operation("enable-subscription", "Go on with what still waits", document, changes=True)
        },
        f"{one}/disable": {
            "post": operation(
                "disable-subscription", "Send nothing and ask for nothing; what waits stays", document, changes=True
            )
        },
    }


def _operations() -> Schema:
    def told(description: str) -> Schema:
        return {"description": description}

    def get(name: str, summary: str, responses: Schema) -> Schema:
        return {"get": {"operationId": name, "summary": summary, "tags": ["operations"], "responses": responses}}

    ready = {"200": told("It can accept"), "503": told("It cannot; `reason` says why")}
    return {
        "/live": get("live", "Whether the process answers", {"200": told("It does")}),
        "/ready": get("ready", "Whether this gateway can accept calls", ready),
        "/metrics": get("metrics", "Prometheus metrics", {"200": told("Text exposition format")}),
        "/openapi.json": get("openapi", "This document", {"200": told("OpenAPI 3.1")}),
        "/asyncapi.json": get("asyncapi", "Every Kafka topic and what it carries", {"200": told("AsyncAPI 3.0")}),
    }
