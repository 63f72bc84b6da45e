"""The span of a call: below the caller's, if its `traceparent` asks for that, or at the beginning of a trace."""

from __future__ import annotations

from aiohttp import web

from gateway.http.answers import Answer
from gateway.http.call import Call
from topics.traces import spans
from topics.traces.catalogue import REQUEST
from topics.traces.context import TRACEPARENT, read_traceparent

FAILED = 500
"""From here on an answer says that Sluice failed, and not the caller: so OpenTelemetry counts servers' spans."""


def begin(call: Call, request: web.Request) -> None:
    """Notes the caller's trace, which is handed on as it came where no span is recorded."""
    told = request.headers.get(TRACEPARENT)
    if told is None and not spans.SPANS.is_on:
        return
    caller = None if told is None else read_traceparent(told)
    call.span = span = spans.SPANS.begin(REQUEST, caller)
    call.trace = caller if span is None else span.context
    if span is not None:
        resource = request.match_info.route.resource
        span.attributes["http.request.method"] = request.method
        span.attributes["http.route"] = "" if resource is None else resource.canonical


def end(call: Call, answer: Answer, seconds: float) -> None:
    """Ends the span of a call that has one."""
    span = call.span
    if span is None:
        return
    if answer.status >= FAILED:
        span.error = call.code or str(answer.status)
    name = f"{span.attributes['http.request.method']} {span.attributes['http.route']}".rstrip()
    told = {
        "http.response.status_code": answer.status,
        "sluice.touchpoint": call.touchpoint,
        "sluice.channel": call.channel.name if call.channel else "",
        "sluice.subject": call.subject,
        "sluice.event_id": call.event,
        "sluice.verdict": call.verdict,
    }
    spans.SPANS.end(span, name, told, lasted_s=seconds)
