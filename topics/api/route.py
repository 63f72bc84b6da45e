"""The form of an entry for a call below /api."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from topics.api.query_parameters import QueryParameter
from topics.paths.patterns import PathPattern
from topics.schema_base import CODE_MAX


@dataclass(frozen=True, kw_only=True)
class Route:
    """One call of the management API.

    `name`: the name of its handler, and its operationId. `label`: its name in the log and the metrics. A part
    `{name:one|other}` of `path` takes these words only. `answers`: what each status of success means; all have a
    `document` as their body, or none. `receipts`: they say where in Kafka the event is. `cost`: as how many reads a GET
    counts. `refusals`: what other statuses mean than those that follow from the call's form. `problems`: bodies of
    refusals that say more than others. `uploads`: media types of a body that is no JSON, and their meaning. `revised`:
    the caller may name the revision that it means.
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
    problems: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    revised: bool = False
    cost: int = 1

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"

    @property
    def is_partial(self) -> bool:
        """Whether the body names only what it changes."""
        return self.method == "PATCH"

    @property
    def needs_body(self) -> bool:
        """Whether the body is required, because one of its members is."""
        return self.body is None or any(member.is_required() for member in self.body.model_fields.values())

    @property
    def has_body(self) -> bool:
        return self.body is not None or bool(self.uploads)

    @cached_property
    def pattern(self) -> PathPattern:
        return PathPattern(self.path)

    @property
    def path_parameters(self) -> dict[str, dict[str, Any]]:
        """The schema of each part of the path that varies, in their order."""
        parts = self.pattern.words.items()
        return {name: {"enum": [*words]} if words else _PATH_SCHEMAS[name] for name, words in parts}


_TEXT: dict[str, Any] = {"type": "string"}
_PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "code": {**_TEXT, "maxLength": CODE_MAX},
    "channel": _TEXT,
    "destination": {**_TEXT, "description": "`increff`, `channel:NAME` or `subscription:ID`"},
    "id": _TEXT,
    "location": {**_TEXT, "maxLength": CODE_MAX, "description": "`~ALL` or `~STORE`: consolidated stock"},
    "request": _TEXT,
}


def route_of(call: str, name: str, summary: str, *, base: str, **more: Any) -> Route:
    """`call`: the method, and the path below `base`."""
    method, _, path = call.partition(" ")
    return Route(name=name, method=method, path=base + path, summary=summary, **more)
