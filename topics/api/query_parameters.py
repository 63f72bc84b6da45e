"""Parameters of query strings below /api, with their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NUMBER_MAX = 1 << 53
"""Beyond it JSON readers lose digits."""


@dataclass(frozen=True, slots=True)
class QueryParameter:
    """An optional value of the query string. `minimum` and `maximum` bound a whole number; `words`: a text is one of
    these; `longest`: characters of a text."""

    name: str
    type: str = "string"
    minimum: int | None = None
    maximum: int | None = None
    default: int | bool | None = None
    description: str | None = None
    words: tuple[str, ...] = ()
    longest: int | None = None

    @property
    def schema(self) -> dict[str, Any]:
        members = ("type", "minimum", "maximum", "default", "description")
        schema = {name: value for name in members if (value := getattr(self, name)) is not None}
        if self.words:
            schema["enum"] = [*self.words]
        if self.longest is not None:
            schema["maxLength"] = self.longest
        return schema


CHANNEL = QueryParameter("channel")
FACTS_AFTER = QueryParameter("after", "integer", minimum=0, maximum=NUMBER_MAX, default=0)
FACTS_LIMIT = QueryParameter("limit", "integer", minimum=1, maximum=500, default=100)
"""An order of a few shipments has some dozens of facts in all."""
FACTS_AT = QueryParameter(
    "at", "integer", minimum=0, maximum=NUMBER_MAX, description="Where the search goes on, from `next`"
)
REFUSED_AFTER = QueryParameter("after", description="From `next`")
REFUSED_LIMIT = QueryParameter("limit", "integer", minimum=1, maximum=1_000, default=100)
"""A thousand refused SKUs take some 150 KB."""
WAIT = QueryParameter(
    "wait",
    "integer",
    minimum=0,
    maximum=30,
    default=0,
    description="Seconds to wait for the effect. Without it, the answer says what is known at once",
)
"""Longer waits would outlast proxies; whoever waits longer asks again."""
COMPLETE = QueryParameter(
    "complete", "boolean", default=False, description="Whether SKUs that the snapshot does not name become 0"
)
CURSOR = QueryParameter("cursor", longest=4_000, description="Where the page begins, from `next`")
PAGE_LIMIT = QueryParameter("limit", "integer", minimum=1, maximum=200, default=50)
"""A page of the journal is read by people, or by a program that asks for the next one."""
