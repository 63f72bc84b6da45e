"""A collector of traces: takes OTLP over HTTP, and keeps the spans as they came."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class SeenSpan:
    """A span as the collector has it. Ids as hex; `parent` empty at the beginning of a trace."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    started: int
    ended: int
    failed: bool


@dataclass
class Collector:
    spans: list[SeenSpan] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    """The requests, uncompressed."""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.raw.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_seen(about["service.name"], span) for span in scope.spans]
        taken = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=taken, content_type="application/x-protobuf")

    def of_trace(self, trace: str) -> list[SeenSpan]:
        return sorted((one for one in self.spans if one.trace == trace), key=lambda one: one.started)


def _seen(service: str, span: Any) -> SeenSpan:
    values = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
    return SeenSpan(
        service,
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        tuple(link.trace_id.hex() for link in span.links),
        values,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == 2,
    )


@asynccontextmanager
async def collector(port: int) -> AsyncIterator[Collector]:
    """A collector that listens on this port of the machine."""
    found = Collector()
    # A gzipped body is left as it is: what came is to be seen.
    app = web.Application()
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield found
    finally:
        await asyncio.wait_for(runner.cleanup(), 10)
