"""The end of every HTTP call: its response, its count and its line in the log; and what an error is answered with."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.http import tracing
from gateway.http.access_log import AccessLog
from gateway.http.answers import OVERLOAD_RETRY_AFTER_S, Answer, Refused, kafka_away, overloaded, stood_still
from gateway.http.call import Call
from gateway.http.metrics import NO_CHANNEL, Metrics
from gateway.ports import Overloaded, RecordTooLarge, StoodStill, Unavailable
from topics.http_faults import in_words
from topics.logs.catalogue import REQUEST

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Responder:
    """Makes the response of a call, counts the call and logs it."""

    def __init__(self, metrics: Metrics, access_log: AccessLog) -> None:
        self._metrics = metrics
        self._access_log = access_log

    def respond(self, call: Call, answer: Answer) -> web.Response:
        seconds = time.perf_counter() - call.started
        channel = call.channel.name if call.channel else NO_CHANNEL
        self._metrics.count_request(channel, call.touchpoint, answer.status, seconds)
        if call.decided_s is not None:
            self._metrics.count_verdict(channel, call.decided_s)
        if call.span is not None:
            tracing.end(call, answer, seconds)
        if call.is_logged and self._access_log.wants_requests:
            line = {
                "touchpoint": call.touchpoint,
                "channel": call.channel.name if call.channel else None,
                "address": call.address,
                "subject": call.subject,
                "status": answer.status,
                "verdict": call.verdict,
                "took_ms": round(seconds * 1_000, 2),
                "event_id": call.event,
                "position": str(call.positions[0]) if call.positions else None,
                "records": len(call.positions),
            }
            if call.code:
                line["code"] = call.code
                line["reason"] = call.reason
            if call.trace is not None:
                line["trace_id"] = call.trace.trace_id
            if call.target:
                line["method"] = call.method
                line["target"] = call.target
            self._access_log.line(REQUEST, line)
        return call.response(answer)

    def log_action(self, call: Call, answer: Answer, *, name: str, method: str, target: str) -> None:
        """Logs an action by the API: the actor, and what became of it. `name`: of its route; `target`: its path."""
        self._access_log.action(
            {
                "actor": call.actor,
                "address": call.address,
                "action": name,
                "method": method,
                "target": target,
                "channel": call.channel.name if call.channel else None,
                "subject": call.subject,
                "status": answer.status,
                "event_id": call.event,
                "position": str(call.positions[0]) if call.positions else None,
            }
        )


def refusal_of(error: Exception, what: str) -> Refused:
    """The refusal that an error becomes. `what`: the call's name in the log."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, Unavailable):
        return kafka_away()
    if isinstance(error, Overloaded):
        return overloaded(str(error), error.retry_after_s or OVERLOAD_RETRY_AFTER_S)
    if isinstance(error, StoodStill):
        return stood_still()
    if isinstance(error, RecordTooLarge):
        return Refused(413, "TOO_LARGE", "The request is too large")
    log.error("%s failed: %s", what, in_words(error))
    return Refused(500, "INTERNAL", "Sluice failed to handle this; a repeat is safe")
