"""The span of an attempt: below the decision that wants it, or linked to it where a retry or a redrive separates."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from streams.delivery.ports import READ_BACK, AttemptResult, Call, ResponseClass
from topics.configuration.channels import Destination, FarSide
from topics.configuration.pace import Pace
from topics.records.deliveries import event_of
from topics.subscriptions.model import FACT
from topics.traces import spans
from topics.traces.catalogue import ATTEMPT
from topics.traces.context import read_traceparent
from topics.traces.spans import OpenSpan

NO_ANSWER = "no-answer"
"""`error.type` of an attempt without a status."""


def begin(call: Call) -> OpenSpan | None:
    """None: it is not recorded. A call that belongs to no order carries what many updates changed, so it begins a trace
    of its own."""
    if not spans.SPANS.is_on:
        return None
    if not call.entity:
        return spans.SPANS.begin(ATTEMPT, None)
    cause = read_traceparent(call.traceparent) if call.traceparent else None
    if cause is None:
        return None
    if call.attempt == 1 and not call.redrive:
        return spans.SPANS.begin(ATTEMPT, cause)
    return spans.SPANS.begin_linked(ATTEMPT, (cause,))


def end(span: OpenSpan, call: Call, result: AttemptResult, config: Pace | None) -> None:
    touchpoint = call.touchpoint
    method, path, host = _place(call, config)
    if result.kind is not ResponseClass.DELIVERED:
        span.error = str(result.status or NO_ANSWER)
    told: dict[str, Any] = {
        "http.response.status_code": result.status,
        "sluice.class": str(result.kind),
        "sluice.touchpoint": touchpoint.name,
        "sluice.destination": call.destination,
        "sluice.channel": call.channel,
        "sluice.subject": call.subject,
        "sluice.delivery_id": call.delivery_id,
        "sluice.event_id": "" if touchpoint is FACT or not call.entity else event_of(call.delivery_id),
        "sluice.attempt": call.attempt,
        "sluice.redrive": call.redrive,
    }
    name = touchpoint.name
    if result.far_side is FarSide.HTTP:
        name = f"{method} {path}" if path else method
        told |= {"http.request.method": method, "url.template": path, "server.address": host}
        told["http.request.resend_count"] = call.attempt - 1 or None
    spans.SPANS.end(span, name, told)


def _place(call: Call, config: Pace | None) -> tuple[str, str, str]:
    """Method, path as a pattern and host of a call. Of a subscriber, whose URL is his own, the method alone."""
    if not isinstance(config, Destination) or call.touchpoint.name == READ_BACK:
        return call.touchpoint.method, "", ""
    touchpoint = call.touchpoint
    path = config.far_path(touchpoint).partition("?")[0]
    return config.far_method(touchpoint), path, urlsplit(config.url).hostname or ""
