"""One attempt: sends and classifies it, and makes the records and the changes of the outbox that report it."""

from __future__ import annotations

import logging
from random import Random

from msgspec.structs import replace

from streams.delivery.attempts import tracing
from streams.delivery.attempts.classify import ACKNOWLEDGEMENT, ResponseVerdict, classify
from streams.delivery.attempts.resolution import record_attempt, resolve
from streams.delivery.attempts.response_headers import spent_until_ms
from streams.delivery.attempts.results import Finished, Resolution
from streams.delivery.attempts.retry_schedule import RetrySchedule
from streams.delivery.outbox import reports
from streams.delivery.outbox.records import OUTBOX, OutboxEntry
from streams.delivery.ports import (
    FAULTS,
    Answer,
    AttemptResult,
    Call,
    Clock,
    ResponseClass,
    Sender,
    UnreadableBodyError,
)
from streams.runtime.role import Change
from topics.configuration.pace import Pace
from topics.contract.definition import Mode, WhenDead
from topics.logs.catalogue import ATTEMPT
from topics.logs.lines import write_line
from topics.records.deliveries import Conclusion, OutcomeKind, event_of
from topics.records.envelope import DELIVERY_DEAD, DELIVERY_REFUSED
from topics.records.keys import entry_key
from topics.subscriptions.model import FACT, KINDS
from topics.traces.context import trace_id_of

WITHDRAWN = "not sent before the caller's deadline"
TAKEN_STATUS = 200
"""The status of a success that a refusal told of."""
LATE = "no success before the caller's deadline"

log = logging.getLogger(__name__)


async def attempt_once(sender: Sender, call: Call, clock: Clock, config: Pace | None = None) -> AttemptResult:
    """Send once and classify the answer; writes one wide log line, and a span if the call is traced. `config`: of the
    destination, for the names in the span."""
    at_ms = clock.now_ms()
    span = tracing.begin(call)
    sent = call if span is None else replace(call, traceparent=span.context.traceparent)
    try:
        answer = await sender.send(sent)
    except UnreadableBodyError as error:
        # Delivery decodes a body where a sender needs a member of it, and not before.
        answer = Answer(status=None, error=f"the request cannot be sent as it is: {error}"[:300], unsendable=True)
    now_ms = clock.now_ms()
    verdict = _judged(call, answer, now_ms)
    result = AttemptResult(
        kind=verdict.kind,
        at_ms=at_ms,
        took_ms=float(now_ms - at_ms),
        status=answer.status,
        body=verdict.body,
        message=verdict.message,
        error=answer.error or (f"the answer {FAULTS[verdict.fault]}" if verdict.fault else ""),
        not_before_ms=verdict.not_before_ms,
        spent_until_ms=spent_until_ms(answer.headers, now_ms),
        far_side=answer.far_side,
        fault=verdict.fault,
        traceparent=sent.traceparent,
    )
    if span is not None:
        tracing.end(span, call, result, config)
    write_line(
        ATTEMPT,
        destination=call.destination,
        far_side=result.far_side,
        channel=call.channel,
        touchpoint=call.touchpoint.name,
        subject=call.subject,
        delivery_id=call.delivery_id,
        event_id="" if call.touchpoint is FACT else event_of(call.delivery_id),
        trace_id=trace_id_of(call.traceparent),
        attempt=call.attempt,
        **{"class": result.kind},
        status=result.status,
        took_ms=now_ms - at_ms,
        not_before_ms=result.not_before_ms,
        error=result.error,
    )
    return result


def _judged(call: Call, answer: Answer, now_ms: int) -> ResponseVerdict:
    """Classify an answer. No answer may end the role, however odd: one that cannot be classified counts as none."""
    try:
        members = call.read_members() if call.touchpoint.name == ACKNOWLEDGEMENT else None
        return classify(call.touchpoint, members, answer, now_ms)
    except Exception as error:
        log.exception("delivery.unjudged destination=%s id=%s", call.destination, call.delivery_id)
        return ResponseVerdict(ResponseClass.RETRY, message=f"the answer could not be judged: {type(error).__name__}")


def finish(
    entry: OutboxEntry,
    result: AttemptResult,
    schedule: RetrySchedule,
    now_ms: int,
    random: Random,
    *,
    partition: int,
    when_dead: WhenDead | None = None,
) -> Finished:
    """Write an attempt into its entry; returns the reports and the change to commit."""
    resolution = resolve(entry, result, schedule, now_ms, random, when_dead)
    attempt = record_attempt(entry, result, resolution)
    kind = resolution.kind
    effects = [
        reports.attempted(entry, attempt, partition, result.kind, result.far_side),
        *reports.outcome(
            entry,
            kind,
            now_ms,
            # Only the caller of a relay gets the body; otherwise the order keeps the message alone.
            body=result.body if kind.final and KINDS[entry.request.touchpoint].wants_answer else None,
            message=f"{LATE}: {result.message}" if kind is OutcomeKind.EXPIRED else result.message,
            next_ms=resolution.next_ms,
            # The attempt keeps the status that came; to those who wait for the answer it is a success.
            status=TAKEN_STATUS if result.taken_before else None,
            traceparent=result.traceparent,
        ),
    ]
    if kind is OutcomeKind.DELIVERED and entry.dead_at:
        request, attempts, redrive = entry.request, entry.attempts, entry.redrive
        how = Conclusion.DELIVERED
        effects.append(reports.concluded(request, how, partition, now_ms, attempts=attempts, redrive=redrive))
    letter = _letter(entry, kind)
    if letter:
        effects.append(reports.dead(entry, partition, now_ms, letter))
    changes = (_change(entry, resolution),)
    return Finished(kind, tuple(effects), changes, resolution.leaves, resolution.supersedes)


def _letter(entry: OutboxEntry, kind: OutcomeKind) -> str:
    """The type of the record on deliveries.dead that keeps the request for an operator; empty: none does.

    A refusal of what its caller was promised changes nothing here, so it may be redriven as it is; so may a fact.
    Others change their order, which decides them anew (streams/order/machine/resubmit.py). The operator of a redrive
    looks here for the end of it.
    """
    if entry.request.reply is not None or kind not in (OutcomeKind.DEAD, OutcomeKind.REFUSED):
        return ""  # a question of a caller that no longer waits is not asked again
    touchpoint = KINDS[entry.request.touchpoint]
    if kind is OutcomeKind.DEAD or not touchpoint.refusable:
        return DELIVERY_DEAD
    return DELIVERY_REFUSED if touchpoint.mode is Mode.ACCEPT or entry.dead_at else ""


def expire(entry: OutboxEntry, now_ms: int) -> Finished:
    """The relay's caller is gone: withdraw it if it was never sent, else give it up with its last answer."""
    message = f"{LATE}: {entry.message}" if entry.attempts else WITHDRAWN
    effects = reports.outcome(entry, OutcomeKind.EXPIRED, now_ms, message=message)
    return Finished(
        OutcomeKind.EXPIRED, tuple(effects), (_change(entry, Resolution(OutcomeKind.EXPIRED)),), leaves=True
    )


def _change(entry: OutboxEntry, resolution: Resolution) -> Change:
    key = entry_key(entry.request.lane, entry.request.id)
    return Change(OUTBOX, key, None if resolution.leaves else entry.encode())
