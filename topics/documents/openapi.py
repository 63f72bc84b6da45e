"""The OpenAPI 3.1 document of the gateway, derived from TOUCHPOINTS, ROUTES, the models and the samples."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import metadata
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from topics.api.route import Route
from topics.api.routes import ADMIN_PROBES, PROBES, ROUTES, full_paths
from topics.api.subscribers import SubscriptionDocument
from topics.configuration.settings import GATEWAY_ADMIN_PORT
from topics.contract.definition import Direction, Mode, Touchpoint
from topics.contract.models.errors import ChannelError, IncreffError, Problem
from topics.contract.models.inventory import LocationWiseAtpAnswer, SearchInventoryAnswer, SearchSkuAnswer
from topics.contract.sample_files import Sample, sample
from topics.contract.touchpoints import TOUCHPOINTS
from topics.documents.json_schema import Untitled
from topics.paths.bases import API_BASE, MARKETPLACE_BASES

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

Schema = dict[str, Any]
Names = dict[type[BaseModel], Schema]
"""The reference to each model's schema."""

ERRORS = {
    "400": "Not valid, in conflict with what Sluice knows, or not possible now; nothing was changed",
    "401": "Credentials are missing or wrong",
    "403": "The gateway has no token for calls of `/api`, so it takes none",
    "404": "The channel does not take part in this call, or what the call is about is not known",
    "413": "The body is too large",
    "415": "The body has a `Content-Encoding` that is not taken",
    "429": "Too many wrong credentials came from this address, or too many reads with this token",
    "503": "Kafka, the verdict or the far side did not answer in time; a repeat is safe",
}
_OF_TOUCHPOINTS = tuple(status for status in ERRORS if status != "403")
_TEXT: Schema = {"schema": {"type": "string"}}
_MORE_HEADERS: dict[str, Schema] = {
    "401": {"WWW-Authenticate": {"description": "The scheme with which callers authenticate", **_TEXT}},
    "415": {"Accept-Encoding": {"description": "The encodings that are taken", **_TEXT}},
}
RECEIPTS: Schema = {
    "Sluice-Event-Id": {
        "description": "Id of the event, or of the batch whose orders became one event each",
        "schema": {"type": "string"},
    },
    "Sluice-Position": {
        "description": "Where in Kafka the event is, on all in-sync replicas: topic/partition/offset",
        "schema": {"type": "string"},
    },
}
RETRY_AFTER: Schema = {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}}

_WRITTEN_HERE = (
    IncreffError,
    ChannelError,
    Problem,
    LocationWiseAtpAnswer,
    SearchInventoryAnswer,
    SearchSkuAnswer,
)
"""Bodies that Sluice writes: each member has one type. Others are a caller's or a far side's (docs/values.md)."""

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
    "token": {"type": "http", "scheme": "bearer", "description": "One of the gateway's tokens, see SLUICE_API_TOKENS"},
}
_FROM_MARKETPLACE: list[Schema] = [
    {"authUsername": [], "authPassword": [], "authDomainName": []},
    {"authUsername": [], "authPassword": []},
]


_ADMIN_SERVERS: list[Schema] = [
    {
        "url": "http://{host}:{port}",
        "description": "The gateway's admin port",
        "variables": {
            "host": {"default": "127.0.0.1", "description": "SLUICE_ADMIN_HOST"},
            "port": {"default": str(GATEWAY_ADMIN_PORT), "description": "SLUICE_ADMIN_PORT"},
        },
    }
]


_ADMIN_ONLY = {probe.path for probe in ADMIN_PROBES} - {probe.path for probe in PROBES}


def is_of_admin_port(path: str) -> bool:
    """Whether the admin port alone takes a path of the document."""
    return path.startswith(f"{API_BASE}/") or path in _ADMIN_ONLY


@cache
def document(bases: tuple[str, ...] = MARKETPLACE_BASES) -> dict[str, Any]:
    """The whole document. Each call returns the same object, which must not be changed. `bases`: the paths below which
    marketplaces find their calls; the first stands in the document."""
    names, schemas = _schemas()
    paths: dict[str, Schema] = {}
    for touchpoint in TOUCHPOINTS:
        operation = _operation(touchpoint, sample(touchpoint.name), names)
        for number, path in enumerate(full_paths(touchpoint, bases[:1])):
            former = {"operationId": f"{touchpoint.name}-former-{number}", "deprecated": True} if number else {}
            paths.setdefault(path, {})[touchpoint.method.lower()] = {**operation, **former}
    for route in ROUTES:
        paths.setdefault(route.pattern.template, {})[route.method.lower()] = _api_operation(route, names)
    for probe in ADMIN_PROBES:
        paths[probe.path] = {"get": _probe(probe, names)}
    for path, operations in paths.items():
        if is_of_admin_port(path):
            for operation in operations.values():
                operation["servers"] = _ADMIN_SERVERS
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": metadata.version("sluice-gateway"),
            "description": "Increff's public channel contract, for both sides, and the management API",
        },
        "tags": [
            {"name": Direction.TO_INCREFF.value, "description": _as_increff(bases)},
            {"name": Direction.TO_MARKETPLACE.value, "description": "As if Sluice were the marketplace"},
            {"name": "management", "description": "State, facts and deliveries of orders; redrives"},
            {"name": "journal", "description": "Lists and stories, from the journal; the state of everything"},
            {"name": "subscriptions", "description": "Subscribers, which get facts over HTTP"},
            {"name": "stock", "description": "The state of stock, its controls and full snapshots"},
            {"name": "operations", "description": "Health, metrics and this document"},
        ],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY_SCHEMES},
    }


def _as_increff(bases: tuple[str, ...]) -> str:
    also = " and ".join(f"`{base or '/'}`" for base in bases[1:])
    return f"As if Sluice were Increff{f'; the same calls are below {also}, too' if also else ''}"


def _schemas() -> tuple[Names, Schema]:
    """The references to models, and all component schemas."""
    models: dict[type[BaseModel], None] = dict.fromkeys((IncreffError, ChannelError, Problem))
    for route in ROUTES:
        models |= dict.fromkeys(model for model in (route.body, route.document) if model is not None)
        models |= dict.fromkeys(route.problems.values())
    for touchpoint in TOUCHPOINTS:
        models[touchpoint.request] = None
        if touchpoint.response is not None:
            models[touchpoint.response] = None
    modes: dict[type[BaseModel], Literal["serialization", "validation"]] = {
        model: "serialization" if model in _WRITTEN_HERE else "validation" for model in models
    }
    made, definitions = models_json_schema(list(modes.items()), ref_template=_REF, schema_generator=Untitled)
    return {model: made[model, mode] for model, mode in modes.items()}, definitions["$defs"]


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
        sentences.append(f"If it comes before the call that it needs: {touchpoint.early}.")
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
        parameters.append(_parameter("channel", "path", {"type": "string"}))
    schema = touchpoint.request.model_json_schema(schema_generator=Untitled)
    in_path = touchpoint.path_members
    parameters += [_parameter(name, "path", schema["properties"][name], example.path[name]) for name in in_path]
    if touchpoint.query:
        required = schema.get("required", ())
        for name, member in schema.get("properties", {}).items():
            parameters.append(_parameter(name, "query", member, example.query.get(name), required=name in required))
    return parameters


def _without(model: type[BaseModel], names: tuple[str, ...]) -> Schema:
    """A model's schema without the members that travel in the path."""
    schema = model.model_json_schema(ref_template=_REF, schema_generator=Untitled)
    schema.pop("$defs", None)
    schema["properties"] = {name: member for name, member in schema["properties"].items() if name not in names}
    schema["required"] = [name for name in schema["required"] if name not in names]
    return schema


def _responses(touchpoint: Touchpoint, example: Sample, names: Names) -> Schema:
    success: Schema = {"description": "Accepted" if touchpoint.mode is Mode.ACCEPT else "The answer"}
    if touchpoint.mode is not Mode.ANSWER:
        success["headers"] = RECEIPTS
    if touchpoint.response is not None:
        success["content"] = {JSON: {"schema": names[touchpoint.response], "example": example.answer}}
    error = IncreffError if touchpoint.direction is Direction.TO_INCREFF else ChannelError
    return {str(example.status): success, **_errors(names[error], JSON)}


def _api_operation(route: Route, names: Names) -> Schema:
    """The operation of one call of the management API."""
    parameters = [_parameter(name, "path", schema) for name, schema in route.path_parameters.items()]
    parameters += [_parameter(one.name, "query", one.schema, required=False) for one in route.query]
    if route.revised:
        parameters.append(_parameter("If-Match", "header", {"type": "string"}, '"3"', required=False))
    operation: Schema = {
        "tags": [route.tag],
        "security": [{"token": []}],
        "operationId": route.name,
        "summary": route.summary,
        "responses": _api_answers(route, names) | _api_refusals(route, names),
    }
    if parameters:
        operation["parameters"] = parameters
    if route.has_body:
        operation["requestBody"] = {"required": route.needs_body, "content": _api_body(route, names)}
    return operation


def _api_body(route: Route, names: Names) -> Schema:
    if route.body is None:
        return {
            media_type: {"schema": {"type": "string", "description": meaning}}
            for media_type, meaning in route.uploads.items()
        }
    schema = names[route.body]
    if route.is_partial:
        schema = {**route.body.model_json_schema(ref_template=_REF, schema_generator=Untitled), "required": []}
        schema.pop("$defs", None)
    return {JSON: {"schema": schema}}


def _api_answers(route: Route, names: Names) -> Schema:
    answers: Schema = {}
    for status, description in route.answers.items():
        answer = answers[str(status)] = {"description": description}
        if route.document is not None:
            answer["content"] = {JSON: {"schema": names[route.document]}}
            if issubclass(route.document, SubscriptionDocument):
                answer["headers"] = {"ETag": {"description": "Its revision", "schema": {"type": "string"}}}
        if route.receipts:
            answer["headers"] = RECEIPTS
    return answers


def _api_refusals(route: Route, names: Names) -> Schema:
    """The refusals that the route names, and those that follow from the form of the call."""
    statuses = ["401", "403", "429", "503"]
    if route.path_parameters or route.query or route.has_body:
        statuses.append("400")
    if route.path_parameters:
        statuses.append("404")
    if route.has_body:
        statuses += ["413", "415"]
    named = {str(status): description for status, description in route.refusals.items()}
    if route.revised:
        named["412"] = "If-Match names another revision than the present one; nothing was changed"
    content = {PROBLEM_JSON: {"schema": names[Problem]}}
    refusals: Schema = {status: {"description": said, "content": content} for status, said in named.items()}
    refusals = _errors(names[Problem], PROBLEM_JSON, statuses) | refusals
    for status, model in route.problems.items():
        refusals[str(status)]["content"] = {PROBLEM_JSON: {"schema": names[model]}}
    return refusals


def _probe(probe: Route, names: Names) -> Schema:
    answers = _api_answers(probe, names)
    return {"operationId": probe.name, "summary": probe.summary, "tags": [probe.tag], "responses": answers}


def _parameter(name: str, where: str, schema: Schema, example: Any = None, *, required: bool = True) -> Schema:
    parameter = {"name": name, "in": where, "required": required, "schema": schema}
    return parameter if example is None else {**parameter, "example": example}


def _errors(schema: Schema, media_type: str, statuses: Iterable[str] = _OF_TOUCHPOINTS) -> Schema:
    responses: Schema = {}
    for status in statuses:
        responses[status] = {"description": ERRORS[status], "content": {media_type: {"schema": schema}}}
    for status, headers in _MORE_HEADERS.items():
        if status in responses:
            responses[status]["headers"] = headers
    responses["429"]["headers"] = {"Retry-After": RETRY_AFTER}
    responses["503"]["headers"] = {**RECEIPTS, "Retry-After": RETRY_AFTER}
    return responses
