"""Reports on a request: the attempt, the order's outcome, the reply, the dead letter and its conclusion. Pure."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec.structs import replace

from streams.delivery.outbox.records import OutboxEntry
from streams.runtime.role import Effect, Record
from topics.kafka.catalogue import BY_NAME
from topics.records import envelope
from topics.records.deliveries import Attempt, Concluded, Conclusion, DeliveryRequest, Outcome, OutcomeKind
from topics.records.envelope import DELIVERY_SOURCE
from topics.records.json_record import encode_record
from topics.records.verdicts import Reply, Verdict
from topics.subscriptions.model import FACT
from topics.traces.context import handed_on

REPLY_PARTITIONS = BY_NAME["replies"].partitions or 0
_VERDICTS = {OutcomeKind.DELIVERED: Verdict.ANSWERED, OutcomeKind.REFUSED: Verdict.REFUSED}


def attempted(
    entry: OutboxEntry, attempt: Attempt, partition: int, response_class: str, far_side: str, event: str = ""
) -> Effect:
    """The attempt, for analytics. It has no body, because a body may name people."""
    request = entry.request
    value = {
        "request": request.id,
        "touchpoint": request.touchpoint,
        "destination": request.destination,
        "channel": request.channel,
        "subject": request.subject,
        "lane": request.lane,
        "story": request.story,
        "class": response_class,
        "far_side": far_side,
        "sequence": request.sequence,
        "previous_sequence": entry.previous,
        "number": attempt.number,
        "at_ms": attempt.at_ms,
        "took_ms": attempt.took_ms,
        "status": attempt.status,
        "error": attempt.error,
    }
    event_id = f"{request.id}:{event or attempt.number}"
    headers = _headers(request, event_id, envelope.DELIVERY_ATTEMPTED, attempt.at_ms)
    return Effect("deliveries.attempts", request.lane.encode(), orjson.dumps(value), headers, partition)


def superseded(entry: OutboxEntry, newest: str, partition: int, now_ms: int) -> Effect:
    """A request that will not be sent, reported beside the attempts."""
    by = f"superseded by {newest}"
    passed = Attempt(number=entry.attempts, at_ms=now_ms, took_ms=0.0, status=None, error=by)
    return attempted(entry, passed, partition, OutcomeKind.SUPERSEDED, "", event="superseded")


def outcome(
    entry: OutboxEntry,
    kind: OutcomeKind,
    now_ms: int,
    *,
    body: dict[str, Any] | None = None,
    message: str = "",
    next_ms: int | None = None,
    status: int | None = None,
    traceparent: str = "",
) -> list[Effect]:
    """The outcome for the order or the gateway that made the request. A fact has none: an order knows nothing of its
    subscribers, and a fact about a fact's delivery would be delivered in turn. The id is the same when the outcome is
    reported again after a crash. `status`: another one than the last attempt's. `traceparent`: the span of that
    attempt, without which the outcome goes on with the trace of the request."""
    request = entry.request
    if request.touchpoint == FACT.name:
        return []
    if request.reply is not None:
        return _reply(request, request.reply, kind, entry.last, body, message, now_ms)
    report = Outcome(
        request=request.id,
        touchpoint=request.touchpoint,
        kind=kind,
        status=status if status is not None or entry.last is None else entry.last.status,
        body=body,
        message=message,
        attempt=entry.last,
        next_at_ms=next_ms,
    )
    suffix = f":{entry.attempts}" if kind is OutcomeKind.RETRYING else ""
    headers = _told_headers(request, f"{request.id}:{kind}{suffix}", envelope.DELIVERY_OUTCOME, now_ms)
    headers += handed_on(traceparent or request.cause)
    return [Effect("orders.commands", request.entity.encode(), report.encode(), headers)]


def overtaken(notice: OutboxEntry, relay: OutboxEntry, now_ms: int) -> Effect:
    """A failing notification that a relay is sent before, for the order, which tells both sides."""
    request, by = notice.request, relay.request
    report = Outcome(
        request=request.id,
        touchpoint=request.touchpoint,
        kind=OutcomeKind.OVERTAKEN,
        by=by.id,
        by_touchpoint=by.touchpoint,
    )
    event_id = f"{request.id}:{OutcomeKind.OVERTAKEN}:{by.id}"
    headers = _told_headers(request, event_id, envelope.DELIVERY_OUTCOME, now_ms)
    return Effect("orders.commands", request.entity.encode(), report.encode(), headers)


def _reply(
    request: DeliveryRequest,
    partition: int,
    kind: OutcomeKind,
    last: Attempt | None,
    body: dict[str, Any] | None,
    message: str,
    now_ms: int,
) -> list[Effect]:
    """The reply for a waiting gateway. None for a partition that does not exist: publishing there would end the
    process."""
    if not kind.final or not 0 <= partition < REPLY_PARTITIONS:
        return []
    verdict = _VERDICTS.get(kind, Verdict.FAILED)
    status = last.status if last else None
    reply = Reply(event=request.id, verdict=verdict, message=message, status=status, body=body)
    headers = _told_headers(request, f"{request.id}:{kind}", envelope.REPLY, now_ms)
    return [Effect("replies", request.id.encode(), reply.encode(), headers, partition)]


def dead(entry: OutboxEntry, partition: int, now_ms: int, letter: str = envelope.DELIVERY_DEAD) -> Effect:
    """The dead letter: the whole request with its reason, for the operator who decides about it. `letter`: its type."""
    value = {
        "request": entry.request,
        "attempts": entry.attempts,
        "first_ms": entry.first_ms,
        "last": entry.last,
        "message": entry.message,
        "holds_lane": entry.held,
        "previous": entry.previous,
        "watermark": entry.watermark,
    }
    how = letter.rpartition(".")[2]
    headers = _headers(entry.request, f"{entry.request.id}:{how}:{entry.attempts}", letter, now_ms)
    return Effect("deliveries.dead", entry.request.lane.encode(), encode_record(value), headers, partition)


def concluded(
    request: DeliveryRequest,
    how: Conclusion,
    partition: int,
    now_ms: int,
    *,
    attempts: int,
    redrive: str = "",
    message: str = "",
) -> Effect:
    """The end of a dead request, reported beside its dead letter."""
    report = Concluded(request=request.id, how=how, attempts=attempts, redrive=redrive, message=message)
    headers = _headers(request, f"{request.id}:{how}:{attempts}", envelope.DELIVERY_CONCLUDED, now_ms)
    return Effect("deliveries.dead", request.lane.encode(), report.encode(), headers, partition)


def superseded_refusal(request: DeliveryRequest, former: str, partition: int, now_ms: int) -> Effect:
    """The end of a refused request whose place this one takes: it is not to be sent again."""
    refused = replace(request, id=former)
    return concluded(refused, Conclusion.RESUBMITTED, partition, now_ms, attempts=0, message=f"by {request.id}")


def decided(record: Record, verdict: Verdict, message: str) -> list[Effect]:
    """The verdict on an operator's decision about a lane, if the record says where somebody waits for it."""
    try:
        asked = envelope.parse(record.headers)
    except envelope.EnvelopeError:
        return []
    address = asked.reply_partition
    if address is None or not 0 <= address < REPLY_PARTITIONS:
        return []
    reply = Reply(event=asked.id, verdict=verdict, message=message)
    headers = envelope.role_headers(
        f"{asked.id}:decided", envelope.REPLY, DELIVERY_SOURCE, asked.channel, asked.subject, record.timestamp_ms
    )
    return [Effect("replies", asked.id.encode(), reply.encode(), headers, address)]


def _headers(request: DeliveryRequest, event_id: str, event_type: str, time_ms: int) -> envelope.Headers:
    return envelope.event_headers(event_id, event_type, DELIVERY_SOURCE, request.channel, request.subject, time_ms)


def _told_headers(request: DeliveryRequest, event_id: str, event_type: str, time_ms: int) -> envelope.Headers:
    """Headers of a report to the orders role or a gateway."""
    return envelope.role_headers(event_id, event_type, DELIVERY_SOURCE, request.channel, request.subject, time_ms)
