"""/api/inventory in the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel

from topics.api.stock_operations import ControlDocument, RefusedSkusDocument, StockStatusDocument
from topics.contract.models.errors import Problem
from topics.documents.openapi_parts import JSON, PROBLEM_JSON, RECEIPTS, Names, Schema, errors, parameter
from topics.schema_base import CODE_MAX

MODELS: tuple[type[BaseModel], ...] = (ControlDocument, RefusedSkusDocument, StockStatusDocument)
_ACTIONS = ("pause", "resume", "resync", "reconcile")


def stock_paths(names: Names) -> Schema:
    channel = parameter("channel", "path", {"type": "string"})
    location = parameter("location", "path", {"type": "string", "maxLength": CODE_MAX})
    page = [
        parameter("after", "query", {"type": "string", "description": "From `next`"}, required=False),
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 1_000}, required=False),
    ]
    action = parameter("action", "path", {"enum": list(_ACTIONS)})

    def operation(name: str, summary: str, answer: type[BaseModel], parameters: list[Schema]) -> Schema:
        content = {JSON: {"schema": names[answer]}}
        told: Schema = {"200": {"description": "What is known", "content": content}}
        if answer is ControlDocument:
            changed = "Another operator asked for something else at the same moment; or the channel has no `read_back`"
            told = {
                "202": {"description": "Stored", "content": content, "headers": RECEIPTS},
                "409": {"description": changed, "content": {PROBLEM_JSON: {"schema": names[Problem]}}},
            }
        made: Schema = {
            "tags": ["stock"],
            "security": [{"token": []}, {}],
            "operationId": name,
            "summary": summary,
            "responses": {**told, **errors(names[Problem], PROBLEM_JSON, ("400", "401", "404", "503"))},
        }
        return {**made, "parameters": parameters} if parameters else made

    in_place = [channel, location]
    status, skus = "How the stock of each channel fares", "The SKUs that a channel refuses"
    ask = "Pause, resume, resync or reconcile the stock of a channel"
    return {
        "/api/inventory/status": {"get": operation("get-stock-status", status, StockStatusDocument, [])},
        "/api/inventory/status/{channel}": {
            "get": operation("get-channel-stock-status", "The same of one channel", StockStatusDocument, [channel])
        },
        "/api/inventory/refused/{channel}": {
            "get": operation("get-refused-skus", skus, RefusedSkusDocument, [channel, *page])
        },
        "/api/inventory/refused/{channel}/{location}": {
            "get": operation(
                "get-refused-skus-of-location", f"{skus} at a location", RefusedSkusDocument, [*in_place, *page]
            )
        },
        "/api/inventory/{action}/{channel}": {
            "post": operation("control-stock", ask, ControlDocument, [action, channel])
        },
        "/api/inventory/{action}/{channel}/{location}": {
            "post": operation("control-stock-of-location", f"{ask} at a location", ControlDocument, [action, *in_place])
        },
    }
