"""Sends spans to a collector (OTLP over HTTP) from a thread of its own, so nothing that is traced waits for it.

A bounded queue lies between: what does not fit is dropped. A collector that is away is one line of the log when it
begins and one when it ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from topics.http_faults import in_words
from topics.logs.catalogue import TRACES_AWAY, TRACES_BACK, TRACES_LOST
from topics.logs.lines import write_line
from topics.traces.catalogue import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER
from topics.traces.context import TraceContext

if TYPE_CHECKING:
    from topics.traces.spans import Span

QUEUE_MAX: Final = 2_048
"""Spans that wait: some 2 MiB, and two seconds of an orders worker that records everything."""
BATCH_MAX: Final = 512
"""Spans in one request, some 200 KiB."""
PAUSE_S: Final = 1.0
"""Between two looks at the queue, unless a batch is full before."""
TIMEOUT_S: Final = 5.0
"""For one request to the collector, its repeats included."""
STOP_S: Final = 2.0
"""How long the end of a process waits for its last spans to leave."""
QUIET_S: Final = 60.0
"""Spans that are dropped although the collector answers are a line in so long."""

_KINDS: Final = {
    SERVER: SpanKind.SERVER,
    CLIENT: SpanKind.CLIENT,
    PRODUCER: SpanKind.PRODUCER,
    CONSUMER: SpanKind.CONSUMER,
    INTERNAL: SpanKind.INTERNAL,
}
_SCOPE: Final = InstrumentationScope("sluice")


class Exporter(Protocol):
    """As OpenTelemetry's SpanExporter."""

    def export(self, spans: Any, /) -> SpanExportResult: ...

    def shutdown(self) -> None: ...


def otlp_exporter(url: str) -> OTLPSpanExporter:
    """The exporter to a collector. Certificates and headers are those of OpenTelemetry's own variables
    (`OTEL_EXPORTER_OTLP_CERTIFICATE`, `OTEL_EXPORTER_OTLP_HEADERS`)."""
    return OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S, compression=Compression.Gzip)


class SpanExport:
    """The queue, and the thread that empties it. Call it with a span that has ended."""

    def __init__(
        self,
        exporter: Exporter,
        resource: dict[str, str],
        *,
        server: str = "",
        pause_s: float = PAUSE_S,
        write: Callable[..., None] = write_line,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exporter = exporter
        self._resource = Resource(resource)
        self._server = server.rpartition("@")[2]
        self._pause_s = pause_s
        self._write = write
        self._now = now
        self._queue: deque[Span] = deque(maxlen=QUEUE_MAX)
        self._dropped = 0
        self._away_since: float | None = None
        self._told_at = float("-inf")
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        for noisy in ("opentelemetry", "urllib3"):
            # They log each try; TRACES_AWAY and TRACES_BACK say what there is to say.
            logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)

    def start(self) -> None:
        self._thread.start()

    def __call__(self, span: Span) -> None:
        """Never waits. A full queue drops its oldest span: the newest tell of what goes on."""
        if len(self._queue) == QUEUE_MAX:
            self._dropped += 1
        self._queue.append(span)
        if len(self._queue) >= BATCH_MAX and not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """Sends what waits, for STOP_S at most."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._pause_s)
            self._wake.clear()
            self._empty()
        self._empty()

    def _empty(self) -> None:
        """Sends batches until one fails: then it is dropped, and the next look tries again."""
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
            if not self._send(batch):
                return

    def _send(self, batch: list[Span]) -> bool:
        error = "it takes no spans"
        try:
            sent = self._exporter.export([self._readable(span) for span in batch]) is SpanExportResult.SUCCESS
        except Exception as raised:  # noqa: BLE001 - whatever an exporter raises, the role goes on
            sent, error = False, in_words(raised)
        if not sent:
            self._dropped += len(batch)
        self._tell(sent=sent, error=error)
        return sent

    def _tell(self, *, sent: bool, error: str) -> None:
        now = self._now()
        if not sent:
            if self._away_since is None:
                self._away_since = now
                self._write(TRACES_AWAY, server=self._server, error=error, spans=self._dropped)
        elif self._away_since is not None:
            self._write(
                TRACES_BACK, server=self._server, lasted_s=round(now - self._away_since, 1), spans=self._dropped
            )
            self._away_since, self._dropped = None, 0
        elif self._dropped and now - self._told_at >= QUIET_S:
            self._told_at = now
            self._write(TRACES_LOST, server=self._server, spans=self._dropped)
            self._dropped = 0

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.context, is_remote=False),
            parent=None if span.parent is None else _context(span.parent, is_remote=True),
            resource=self._resource,
            attributes=span.attributes,
            links=[Link(_context(one, is_remote=True)) for one in span.links],
            kind=_KINDS[span.type.kind],
            status=Status(StatusCode.ERROR) if span.error else Status(StatusCode.UNSET),
            start_time=span.started_ns,
            end_time=span.ended_ns,
            instrumentation_scope=_SCOPE,
        )


def _context(context: TraceContext, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=is_remote, trace_flags=flags)
