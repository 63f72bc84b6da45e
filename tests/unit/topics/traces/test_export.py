"""Spans leave by a thread of their own; a collector that is away costs spans and one line, and nothing else."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from topics.traces.catalogue import ATTEMPT
from topics.traces.context import TraceContext
from topics.traces.export import BATCH_MAX, QUEUE_MAX, SpanExport
from topics.traces.spans import Span

CAUSE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
OTHER = TraceContext("1af7651916cd43dd8448eb211c80319c", "c7ad6b7169203331", sampled=True)


def span(error: str = "", number: int = 1) -> Span:
    context = CAUSE.child(str(number))
    return Span(ATTEMPT, "POST /x", context, CAUSE, (OTHER,), 1_000, 2_000, {"sluice.attempt": number}, error)


class Away(InMemorySpanExporter):
    """A collector that is away until `is_back`. `tried` is set at each try."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = threading.Event()
        self.is_back = False
        self.raises = False

    def export(self, spans: Any) -> SpanExportResult:
        self.tried.set()
        if self.raises:
            raise RuntimeError("a defect")
        return super().export(spans) if self.is_back else SpanExportResult.FAILURE


def test_a_span_reaches_opentelemetry_whole() -> None:
    memory = InMemorySpanExporter()
    export = SpanExport(memory, {"service.name": "sluice-delivery"}, pause_s=0.01)
    export.start()
    export(span(error="503"))
    export.stop()
    (found,) = memory.get_finished_spans()
    assert found.context is not None
    assert found.parent is not None
    assert (found.name, found.kind, found.status.status_code) == ("POST /x", SpanKind.CLIENT, StatusCode.ERROR)
    assert f"{found.context.trace_id:032x}" == CAUSE.trace_id
    assert (f"{found.parent.span_id:016x}", found.parent.is_remote) == (CAUSE.span_id, True)
    assert [f"{link.context.trace_id:032x}" for link in found.links] == [OTHER.trace_id]
    assert (found.start_time, found.end_time, dict(found.attributes or {})) == (1_000, 2_000, {"sluice.attempt": 1})
    assert found.resource.attributes == {"service.name": "sluice-delivery"}


@pytest.mark.parametrize("raises", [False, True])
def test_a_collector_that_is_away_is_one_line_and_its_return_another(raises: bool) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    away = Away()
    away.raises = raises

    def write(event: Any, **fields: Any) -> None:
        told.append((event.name, fields))
        if event.name == "traces-back":
            back.set()

    back = threading.Event()
    export = SpanExport(away, {}, server="user:secret@c:4318", pause_s=0.001, write=write, now=lambda: 5.0)
    export.start()
    for number in range(20):
        away.tried.clear()
        export(span(number=number))
        assert away.tried.wait(10)
    away.raises, away.is_back = False, True
    export(span())
    assert back.wait(10)
    export.stop()
    assert [name for name, _ in told] == ["traces-away", "traces-back"]
    assert told[0][1]["server"] == "c:4318"
    assert told[1][1] == {"server": "c:4318", "lasted_s": 0.0, "spans": 20}


def test_a_full_queue_drops_its_oldest_spans_and_says_so() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    memory = InMemorySpanExporter()
    export = SpanExport(memory, {}, write=lambda event, **fields: told.append((event.name, fields)), now=lambda: 5.0)
    for number in range(QUEUE_MAX + BATCH_MAX):  # the thread does not run yet
        export(span(number=number))
    export.start()
    export.stop()
    numbers = [(one.attributes or {})["sluice.attempt"] for one in memory.get_finished_spans()]
    assert numbers == list(range(BATCH_MAX, QUEUE_MAX + BATCH_MAX))
    assert told == [("traces-lost", {"server": "", "spans": BATCH_MAX})]
