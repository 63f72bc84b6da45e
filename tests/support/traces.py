"""Spans that the process under test records, kept as values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from topics.traces import spans
from topics.traces.context import TraceContext
from topics.traces.spans import Span, Spans

CALLER = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
UNSAMPLED = TraceContext(CALLER.trace_id, CALLER.span_id, sampled=False)


@contextmanager
def recorded(ratio: float = 0.0) -> Iterator[list[Span]]:
    """Records spans in a list meanwhile."""
    found: list[Span] = []
    before = spans.use(Spans(found.append, ratio))
    try:
        yield found
    finally:
        spans.use(before)
