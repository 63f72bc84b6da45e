"""Places in a request of its lane and numbers: `header:NAME` or `body:path.to.member`, joined with commas. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

HEADER, BODY = "header", "body"


class FieldError(ValueError):
    """A place is not written as it must be; the message says how."""


@dataclass(frozen=True, slots=True)
class Field:
    """One place, or several whose values are joined with `|`."""

    parts: tuple[tuple[str, str], ...]

    @property
    def reads_body(self) -> bool:
        return any(kind == BODY for kind, _ in self.parts)

    def text(self, headers: Mapping[str, str], body: Any) -> str:
        """Return the value as text, empty when a part is missing. Header names are in lower case."""
        found = [headers.get(name, "") if kind == HEADER else _at(body, name) for kind, name in self.parts]
        return "|".join(found) if all(found) else ""

    def number(self, headers: Mapping[str, str], body: Any) -> int | None:
        """Return the value as a number from 0; None when it is missing or no number."""
        text = self.text(headers, body)
        return int(text) if text.isascii() and text.isdigit() else None


def parse_field(text: str) -> Field:
    """Parse one place, or several with commas. Raises FieldError."""
    parts = []
    for part in text.split(","):
        kind, _, name = part.strip().partition(":")
        if kind not in {HEADER, BODY} or not name:
            raise FieldError(f"{part!r} is no place in a request; write header:NAME or body:path.to.member")
        parts.append((kind, name.lower() if kind == HEADER else name))
    return Field(tuple(parts))


def _at(body: Any, path: str) -> str:
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return "" if body is None or isinstance(body, dict | list) else str(body)


@dataclass(frozen=True, slots=True)
class Fields:
    """The places of everything that the scorer needs. The defaults are those of Sluice."""

    id: Field = field(default_factory=lambda: parse_field("header:webhook-id"))
    lane: Field = field(default_factory=lambda: parse_field("body:delivery.channel,body:delivery.order"))
    sequence: Field = field(default_factory=lambda: parse_field("header:sluice-sequence"))
    previous: Field = field(default_factory=lambda: parse_field("header:sluice-previous-sequence"))
    watermark: Field = field(default_factory=lambda: parse_field("body:delivery.watermark"))
    redrive: Field = field(default_factory=lambda: parse_field("header:sluice-redrive"))

    @property
    def reads_body(self) -> bool:
        return any(place.reads_body for place in (getattr(self, one.name) for one in fields(self)))
