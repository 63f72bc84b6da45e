"""Places in a trace, as W3C Trace Context writes them: `traceparent` of HTTP requests and of records. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from topics.values import Value

TRACEPARENT: Final = "traceparent"
"""The HTTP header; also that of a record."""
TRACEPARENT_CHARS_MAX: Final = 200
"""A longer text names no trace: version 00 has 55 characters, and a later one may add a few members."""
_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 1


class TraceContext(Value, frozen=True):
    """A span, known by its trace and its own id. `sampled`: whether the spans of the trace are recorded."""

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self, about: str) -> TraceContext:
        """A span below this one whose id is made from what it is about: a record that is decided again has the same
        span, so what is sent because of it is the same."""
        made = blake2b(f"{self.span_id}/{about}".encode(), digest_size=8).hexdigest()
        return TraceContext(self.trace_id, made, self.sampled)


def read_traceparent(text: str) -> TraceContext | None:
    """None for a text that names no trace: a caller may write anything there."""
    if len(text) > TRACEPARENT_CHARS_MAX:
        return None
    found = _FORM.fullmatch(text)
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN:
        return None
    if found[4] is not None and text.startswith("00"):
        return None  # version 00 ends with its flags
    return TraceContext(found[1], found[2], bool(int(found[3], 16) & _SAMPLED))


def context_in(headers: Iterable[tuple[str, bytes | None]]) -> TraceContext | None:
    """The span that caused a record; None without a trace. Of a repeated header the last value counts."""
    raw = dict(headers).get(TRACEPARENT)
    return None if raw is None else read_traceparent(raw.decode(errors="replace"))


def traceparent_of(raw: bytes | None) -> str:
    """A header's value in the form in which it is handed on; empty for one that names no trace."""
    context = None if raw is None else read_traceparent(raw.decode(errors="replace"))
    return "" if context is None else context.traceparent


def traceparent_in(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """That of a record."""
    context = context_in(headers)
    return "" if context is None else context.traceparent


def trace_id_of(traceparent: str) -> str:
    """The id of the trace, for lines of the log; empty for a text that names none."""
    context = read_traceparent(traceparent) if traceparent else None
    return "" if context is None else context.trace_id


def trace_id_in(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """That of a record."""
    context = context_in(headers)
    return "" if context is None else context.trace_id


def handed_on(traceparent: str) -> tuple[tuple[str, bytes], ...]:
    """The header of a record that goes on with a trace; none without one."""
    return ((TRACEPARENT, traceparent.encode()),) if traceparent else ()


def with_context(
    headers: Iterable[tuple[str, bytes | None]], context: TraceContext
) -> tuple[tuple[str, bytes | None], ...]:
    """The headers of a record, caused by this span."""
    others = [one for one in headers if one[0] != TRACEPARENT]
    return (*others, (TRACEPARENT, context.traceparent.encode()))
