"""What the parts of the OpenAPI document share: shapes of parameters and of errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

Schema = dict[str, Any]
Names = dict[type[BaseModel], Schema]
"""Where each model is referred to."""

ERRORS = {
    "400": "Not valid, in conflict with what is known, or not possible now; nothing was changed",
    "401": "Credentials are missing or wrong",
    "404": "The channel does not take part in this call, or what it is about is not known",
    "413": "The body is too large",
    "503": "Kafka, the verdict or the far side did not come in time; a repeat is safe",
}
RECEIPTS: Schema = {
    "Sluice-Event-Id": {
        "description": "Id of the event, or of the batch from which one event per order was made",
        "schema": {"type": "string"},
    },
    "Sluice-Position": {
        "description": "Where in Kafka the event is, on all in-sync replicas: topic/partition/offset",
        "schema": {"type": "string"},
    },
}
RETRY_AFTER: Schema = {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}}


def parameter(name: str, where: str, schema: Schema, example: Any = None, *, required: bool = True) -> Schema:
    parameter = {"name": name, "in": where, "required": required, "schema": schema}
    return parameter if example is None else {**parameter, "example": example}


def errors(schema: Schema, media_type: str, statuses: tuple[str, ...] = tuple(ERRORS)) -> Schema:
    responses: Schema = {}
    for status in statuses:
        responses[status] = {"description": ERRORS[status], "content": {media_type: {"schema": schema}}}
    headers = {**RECEIPTS, "Retry-After": RETRY_AFTER}
    responses["503"]["headers"] = headers
    return responses
