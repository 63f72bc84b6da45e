"""/api/inventory/snapshots in the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel

from topics.api.snapshots import SnapshotList, SnapshotTaken
from topics.contract.models.errors import Problem
from topics.documents.openapi_parts import JSON, PROBLEM_JSON, RECEIPTS, Names, Schema, errors, parameter
from topics.schema_base import CODE_MAX

MODELS: tuple[type[BaseModel], ...] = (SnapshotList, SnapshotTaken)
_REFUSED = {
    "408": "Nothing of the upload came for too long; nothing becomes 0",
    "409": "All of it came, and it was abandoned: another snapshot of the location began meanwhile",
    "415": "Neither NDJSON nor CSV",
}


def snapshot_paths(names: Names) -> Schema:
    problem = {PROBLEM_JSON: {"schema": names[Problem]}}
    place = [
        parameter("channel", "path", {"type": "string"}),
        parameter("location", "path", {"type": "string", "maxLength": CODE_MAX, "description": "Or `~ALL`, `~STORE`"}),
    ]
    common: Schema = {"tags": ["stock"], "security": [{"token": []}, {}]}
    taken = {JSON: {"schema": names[SnapshotTaken]}}
    text = {"schema": {"type": "string", "description": "One item of a stock batch on each line"}}
    rows = {"schema": {"type": "string", "description": "A header with names of members, then one item a row"}}
    complete = parameter(
        "complete",
        "query",
        {"type": "boolean", "default": False, "description": "Whether SKUs that it does not name become 0"},
        required=False,
    )
    return {
        "/api/inventory/snapshots/{channel}/{location}": {
            "put": {
                **common,
                "operationId": "put-snapshot",
                "summary": "The whole stock of a location, as a stream of any size",
                "parameters": [*place, complete],
                "requestBody": {"required": True, "content": {"application/x-ndjson": text, "text/csv": rows}},
                "responses": {
                    "200": {"description": "It is applied", "content": taken, "headers": RECEIPTS},
                    "202": {
                        "description": "All of it is stored and is being applied; a GET of this path tells",
                        "content": taken,
                        "headers": RECEIPTS,
                    },
                    **{status: {"description": said, "content": problem} for status, said in _REFUSED.items()},
                    **errors(names[Problem], PROBLEM_JSON, ("400", "401", "404", "413", "503")),
                },
            },
            "get": {
                **common,
                "operationId": "get-snapshots",
                "summary": "How the snapshots of a location fare, the newest first",
                "parameters": place,
                "responses": {
                    "200": {"description": "What is known", "content": {JSON: {"schema": names[SnapshotList]}}},
                    **errors(names[Problem], PROBLEM_JSON, ("400", "401", "404", "503")),
                },
            },
        }
    }
