"""The spans of this process: begun where something begins, handed to the exporter when it has ended.

Without an exporter nothing is recorded, and a trace that a caller began is passed on as it came.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any, Final

from topics.logs.lines import STRICT_VARIABLE
from topics.traces.catalogue import ALLOWED, SpanType
from topics.traces.context import TraceContext
from topics.values import Value

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
LINKS_MAX: Final = 128
"""Links of one span: the most that OpenTelemetry's own SDK keeps. A group has a few thousand records at most, of which
one in a hundred is recorded."""
_RANDOM: Final = SystemRandom()


class Span(Value, frozen=True):
    """A span that has ended. `error`: why it failed, as one word; empty for one that did not. Times in nanoseconds."""

    type: SpanType
    name: str
    context: TraceContext
    parent: TraceContext | None
    links: tuple[TraceContext, ...]
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    error: str


@dataclass(slots=True)
class OpenSpan:
    """A span that has begun. `error`: why it failed, as one word."""

    type: SpanType
    context: TraceContext
    parent: TraceContext | None
    links: tuple[TraceContext, ...]
    started_ns: int
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str = ""


class Spans:
    """Begins and ends spans. `ratio`: the share of what has no trace yet that begins one."""

    def __init__(
        self,
        export: Callable[[Span], None] | None = None,
        ratio: float = 0.0,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        random: Callable[[], float] = _RANDOM.random,
    ) -> None:
        self.is_on = export is not None
        self.current: OpenSpan | None = None
        """The decision that is being made: a role may add attributes to it. Decisions have no await in them."""
        self._export = export
        self._ratio = ratio
        self._now_ns = now_ns
        self._random = random

    def begin(self, type_: SpanType, parent: TraceContext | None) -> OpenSpan | None:
        """A span below one of somebody else, or at the beginning of a trace. None: it is not recorded."""
        if not self.is_on:
            return None
        if parent is None:
            if self._ratio <= 0 or self._random() >= self._ratio:
                return None
            return self._opened(type_, TraceContext(_id(TRACE_ID_BYTES), _id(SPAN_ID_BYTES), sampled=True), None, ())
        if not parent.sampled:
            return None
        context = TraceContext(parent.trace_id, _id(SPAN_ID_BYTES), sampled=True)
        return self._opened(type_, context, parent, ())

    def begin_child(self, type_: SpanType, parent: TraceContext, about: str) -> OpenSpan | None:
        """A span below one of Sluice, under the id that `about` gives it. None: it is not recorded."""
        if not (self.is_on and parent.sampled):
            return None
        return self._opened(type_, parent.child(about), parent, ())

    def begin_linked(self, type_: SpanType, linked: Sequence[TraceContext]) -> OpenSpan | None:
        """A trace of its own that says what it follows from. None: it is not recorded."""
        links = tuple(one for one in linked if one.sampled)[:LINKS_MAX]
        if not (self.is_on and links):
            return None
        return self._opened(type_, TraceContext(_id(TRACE_ID_BYTES), _id(SPAN_ID_BYTES), sampled=True), None, links)

    def _opened(
        self, type_: SpanType, context: TraceContext, parent: TraceContext | None, links: tuple[TraceContext, ...]
    ) -> OpenSpan:
        return OpenSpan(type_, context, parent, links, self._now_ns())

    def end(
        self,
        span: OpenSpan,
        name: str,
        attributes: Mapping[str, Any],
        *,
        lasted_s: float | None = None,
    ) -> None:
        """`lasted_s`: how long it took, where it began before it was opened. Attributes without a value are left
        out."""
        if self._export is None:
            return
        ended_ns = self._now_ns()
        found = {key: value for key, value in {**span.attributes, **attributes}.items() if value not in (None, "")}
        if span.error:
            found["error.type"] = span.error
        if not found.keys() <= ALLOWED[span.type.name]:
            found = _only(span.type, found)
        self._export(
            Span(
                span.type,
                name,
                span.context,
                span.parent,
                span.links,
                span.started_ns if lasted_s is None else ended_ns - int(lasted_s * 1e9),
                ended_ns,
                found,
                span.error,
            )
        )


def _id(size: int) -> str:
    return os.urandom(size).hex()


def _only(type_: SpanType, attributes: Mapping[str, Any]) -> dict[str, Any]:
    allowed = ALLOWED[type_.name]
    if os.environ.get(STRICT_VARIABLE) == "raise":
        more = ", ".join(sorted(attributes.keys() - allowed))
        raise LookupError(f"topics/traces/catalogue.py does not list these attributes of {type_.name}: {more}")
    return {name: value for name, value in attributes.items() if name in allowed}


SPANS = Spans()
"""Those of this process: none are recorded, until `topics.traces.setup.configure` says where they go."""


def use(spans: Spans) -> Spans:
    """Makes these the spans of this process. Returns those before, for tests."""
    global SPANS
    before, SPANS = SPANS, spans
    return before
