"""Intake: accepts records of deliveries.requests into the outbox. Pure: changes tables, sends nothing."""

from __future__ import annotations

import logging

from streams.delivery import metrics
from streams.delivery.destinations import Destinations
from streams.delivery.outbox.records import (
    OUTBOX,
    LaneHeader,
    OutboxEntry,
    decode_entry,
    decode_header,
    read_entry,
)
from streams.delivery.outbox.reports import REPLY_PARTITIONS, concluded, decided, outcome, superseded_refusal
from streams.delivery.ports import MESSAGE_CHARS_MAX
from streams.runtime.limits import VALUE_BYTES_MAX
from streams.runtime.rejected import DECISION_FAILED, TOO_LARGE
from streams.runtime.role import Effect, Poison, Record, Table
from streams.runtime.tables.local_store import LocalStoreError
from topics.configuration.channels import Channels
from topics.records import envelope
from topics.records.deliveries import (
    TAKES_PLACE_OF,
    Attempt,
    Conclusion,
    DeliveryRequest,
    LaneAction,
    LaneDecision,
    OutcomeKind,
    Redrive,
    decode_lane_decision,
    decode_redrive,
    decode_request,
)
from topics.records.envelope import ID_CHARS_MAX, iso_time
from topics.records.keys import (
    INCREFF,
    channel_destination,
    destination_partition,
    entry_key,
    header_key,
    subscription_of,
)
from topics.records.reading import made_by
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.records.verdicts import Verdict
from topics.subscriptions.model import FACT, KINDS

UNKNOWN_CHANNEL = "UNKNOWN_CHANNEL"
MEANT_FOR_ITS_LANE = frozenset({TOO_LARGE, UNKNOWN_CHANNEL, DECISION_FAILED})
"""Codes of requests that were set aside in their own lane. The others were no requests, or another lane's."""
SKIPPED = "skipped by an operator"
NEVER_SENT = "set aside before it was sent"
ENTRY_GROWTH_BYTES = 16 << 10
"""Growth of a waiting request by its attempts: the last attempt, and a message of 500 characters of at most six bytes
each. The dead letter carries the message twice."""
ENTRY_BYTES_MAX = VALUE_BYTES_MAX - ENTRY_GROWTH_BYTES
"""A larger request is set aside at once: one that outgrew its record after an attempt would end the role, for ever."""

SHARED_BYTES_MIN = 64 << 10
"""An entry of more bytes is decoded from the outbox's value, whose memory its body then shares, in place of that of the
record it came from. A smaller one is not worth the time."""

log = logging.getLogger(__name__)

Accepted = dict[bytes, tuple[bytes, OutboxEntry]]
"""Entries that were just accepted, by key, each with the value that was put for it."""


def accept(
    record: Record,
    outbox: Table,
    channels: Channels,
    configured: Destinations,
    partitions: int,
    accepted: Accepted | None = None,
) -> list[Effect]:
    """Accept one record; returns reports that must leave at once. Raises Poison for a record that can never be sent.

    The new entry is added to `accepted`, so that readers of its value need not decode it.

    A request for a subscription that is unknown or inactive here waits: its requester may know more. A request for a
    deleted subscription is dropped.
    """
    try:
        event_type = envelope.parse(record.headers).type
    except envelope.EnvelopeError as error:
        raise Poison("BAD_ENVELOPE", str(error)) from error
    if event_type == envelope.DELIVERY_REQUEST:
        request = _request(record)
        _check(request, record, channels, configured, partitions)
        if configured.is_deleted(request.destination):
            metrics.DROPPED.inc()
        else:
            return _enqueue(request, record, outbox, {} if accepted is None else accepted)
        return []
    if event_type == envelope.DELIVERY_REDRIVE:
        redrive = _redrive(record)
        _check(redrive.request, record, channels, configured, partitions)
        if configured.is_deleted(redrive.request.destination):
            return [_redrive_refused(redrive, record, "deleted")]
        return _accept_redrive(redrive, record, outbox)
    if event_type == envelope.LANE_DECISION:
        return _decide_lane(record, outbox)
    raise Poison("UNKNOWN_TYPE", f"deliveries.requests does not carry {event_type}")


def outcome_of_set_aside(record: Record, reason: str) -> list[Effect]:
    """The order's outcome of a request that was set aside, or the conclusion of a redrive that was; nothing for a
    record that is no request. Never raises.

    An order recognises a DEAD by its attempt number, so the outcome has an attempt, though nothing was sent.
    """
    try:
        if ("ce_type", envelope.LANE_DECISION.encode()) in record.headers:
            return decided(record, Verdict.FAILED, reason.strip()[:MESSAGE_CHARS_MAX])
        if ("ce_type", envelope.DELIVERY_REDRIVE.encode()) in record.headers:
            return [_redrive_refused(decode_redrive(record.value), record, reason.strip()[:MESSAGE_CHARS_MAX])]
        request = decode_request(record.value)
        # The last line of a traceback names the error.
        message = (reason.strip().splitlines() or [""])[-1][:MESSAGE_CHARS_MAX]
        never_sent = Attempt(number=1, at_ms=record.timestamp_ms, took_ms=0.0, status=None, error=NEVER_SENT)
        entry = OutboxEntry(request=request, position=0, queued_ms=record.timestamp_ms, attempts=1, last=never_sent)
        return outcome(entry, OutcomeKind.DEAD, record.timestamp_ms, message=message)
    except Exception:  # noqa: BLE001 - whatever the record holds, it is set aside
        log.warning("delivery.set_aside partition=%d offset=%d: no order to report to", record.partition, record.offset)
        return []


def note_gap(record: Record, code: str, outbox: Table) -> None:
    """Note that a subscriber will not get a fact, because it was set aside: the deliveries that follow say so."""
    if code not in MEANT_FOR_ITS_LANE or ("ce_type", envelope.DELIVERY_REQUEST.encode()) not in record.headers:
        return
    try:
        request = decode_request(record.value)
        key, epoch = header_key(request.lane), made_by(record.headers).epoch
        header = decode_header(outbox.get(key))
        if request.touchpoint != FACT.name or key != record.key or header.is_stale(epoch) or header.knows(request):
            return
        entry = header.append(request, record.timestamp_ms)
        header.abandon(request, entry.previous)
        header.epoch = max(header.epoch, epoch)
        outbox.put(key, header.encode())
    except LocalStoreError:
        raise
    except Exception:  # noqa: BLE001 - whatever the record holds, it is set aside
        log.warning("delivery.set_aside partition=%d offset=%d: no gap to note", record.partition, record.offset)


def _header_of(lane: str, record: Record, outbox: Table) -> LaneHeader:
    """Raises Poison for a header that this version cannot read: it may know of newer requests than this one."""
    key = header_key(lane)
    try:
        return decode_header(outbox.get(key))
    except UnreadableError as error:
        raise _unreadable(key, record, error) from error


def _entry_of(key: bytes, record: Record, outbox: Table) -> OutboxEntry | None:
    """The waiting request under a key. Raises Poison for one that this version cannot read."""
    raw = outbox.get(key)
    try:
        return None if raw is None else read_entry(key, raw)
    except UnreadableError as error:
        raise _unreadable(key, record, error) from error


def _unreadable(key: bytes, record: Record, error: UnreadableError) -> Poison:
    UNREADABLE.note(OUTBOX, key, error, partition=record.partition)
    return Poison("UNREADABLE_LANE", f"{OUTBOX} has something of this lane that this version cannot read: {error}")


def _request(record: Record) -> DeliveryRequest:
    try:
        return decode_request(record.value)
    except ValueError as error:
        raise Poison("BAD_REQUEST", f"not a delivery request: {error}") from error


def _redrive(record: Record) -> Redrive:
    try:
        return decode_redrive(record.value)
    except ValueError as error:
        raise Poison("BAD_REDRIVE", f"not a redrive: {error}") from error


def _redrive_refused(redrive: Redrive, record: Record, reason: str) -> Effect:
    return concluded(
        redrive.request,
        Conclusion.NOT_TAKEN,
        record.partition,
        record.timestamp_ms,
        attempts=redrive.attempts,
        redrive=redrive.id,
        message=reason,
    )


def _accept_redrive(redrive: Redrive, record: Record, outbox: Table) -> list[Effect]:
    """Redrive each end of a request once. A request that holds its lane gets a fresh schedule in its place. One that
    waits, because it was redriven already, is left alone. One that left its lane is appended to it."""
    request = redrive.request
    key, waiting = header_key(request.lane), entry_key(request.lane, request.id)
    header = _header_of(request.lane, record, outbox)
    if header.knows_redrive(redrive):
        return []
    if 0 < request.story < header.story:
        return [_redrive_refused(redrive, record, "its order was forgotten, and is another one now")]
    entry = _entry_of(waiting, record, outbox)
    if entry is None:
        entry = header.append_redriven(redrive, record.timestamp_ms)
    elif entry.held and entry.attempts == redrive.attempts:
        header.note_redriven(redrive)
        entry.reset_schedule(redrive.id)
    else:
        return []
    raw = entry.encode()
    if len(raw) > ENTRY_BYTES_MAX:
        raise Poison(TOO_LARGE, f"the request would take {len(raw)} bytes while it waits")
    outbox.put(waiting, raw)
    outbox.put(key, header.encode())
    return []


def _check(
    request: DeliveryRequest,
    record: Record,
    channels: Channels,
    configured: Destinations,
    partitions: int,
) -> None:
    if request.lane.encode() != record.key:
        raise Poison("WRONG_LANE", f"the record's key is not its lane {request.lane}")
    if request.touchpoint not in KINDS:
        raise Poison("UNKNOWN_TOUCHPOINT", f"{request.touchpoint} is not a touchpoint")
    config = configured.get(request.destination)
    if config is None and subscription_of(request.destination) is None:
        raise Poison("UNKNOWN_DESTINATION", f"{request.destination} is not configured")
    if request.channel not in channels.channels:
        # Facts in flight when their channel is removed from channels.toml: any number of them.
        raise Poison(UNKNOWN_CHANNEL, f"channel {request.channel} is not configured")
    home = destination_partition(request.destination, request.shard, partitions)
    if (config is not None and request.shard >= config.shards) or home != record.partition:
        # A worker that does not own the shard's budget would send it.
        raise Poison("WRONG_PARTITION", f"shard {request.shard} of {request.destination} lives in partition {home}")
    if not _is_meant_for(request.destination, request):
        # The far side has no such call, and its answers would be judged by another's rules.
        raise Poison("WRONG_DESTINATION", f"{request.touchpoint} does not go to {request.destination}")
    if request.reply is not None and request.reply >= REPLY_PARTITIONS:
        raise Poison("BAD_REQUEST", "not a delivery request: `replies` has no such partition - at `$.reply`")


def _is_meant_for(destination: str, request: DeliveryRequest) -> bool:
    """Whether calls of the request's touchpoint go to this destination."""
    touchpoint = KINDS[request.touchpoint]
    if touchpoint is FACT:
        return subscription_of(destination) is not None
    return destination == (INCREFF if touchpoint.far_side == "increff" else channel_destination(request.channel))


def _enqueue(request: DeliveryRequest, record: Record, outbox: Table, accepted: Accepted) -> list[Effect]:
    key, now_ms, epoch = header_key(request.lane), record.timestamp_ms, made_by(record.headers).epoch
    header = _header_of(request.lane, record, outbox)
    if header.is_stale(epoch):
        log.warning(
            "delivery.stale lane=%s id=%s epoch=%d newest=%d: a former owner requested it too late, nothing is sent",
            request.lane,
            request.id,
            epoch,
            header.epoch,
        )
    elif not header.knows(request):
        metrics.count_request(request)
        entry = header.append(request, now_ms)
        raw = entry.encode_new(record.value)
        if len(raw) > ENTRY_BYTES_MAX:
            raise Poison(TOO_LARGE, f"the request would take {len(raw)} bytes while it waits")
        waiting = entry_key(request.lane, request.id)
        outbox.put(waiting, raw)
        if len(raw) > SHARED_BYTES_MIN:
            entry = decode_entry(raw)
        accepted[waiting] = (raw, entry)
    header.epoch = max(header.epoch, epoch)
    outbox.put(key, header.encode())
    former = _former(record)
    return [] if not former else [superseded_refusal(request, former, record.partition, now_ms)]


def _former(record: Record) -> str:
    """The refused request whose place a request takes; empty for nearly all."""
    for name, content in record.headers:
        if name == TAKES_PLACE_OF and content:
            return content.decode(errors="replace")[:ID_CHARS_MAX]
    return ""


def _decide_lane(record: Record, outbox: Table) -> list[Effect]:
    try:
        decision = decode_lane_decision(record.value)
    except ValueError as error:
        raise Poison("BAD_DECISION", f"not a lane decision: {error}") from error
    if decision.lane.encode() != record.key:
        raise Poison("WRONG_LANE", f"the record's key is not its lane {decision.lane}")
    key = entry_key(decision.lane, decision.request)
    entry = _entry_of(key, record, outbox)
    if entry is None or not entry.held:
        why = _not_held(entry, decision.request)
        known = decided(record, Verdict.REFUSED, why)
        if known:
            return known  # its caller learns it, and nothing is left for others to look after
        raise Poison("NOT_HELD", f"{why} (lane {decision.lane})")
    header = _header_of(decision.lane, record, outbox)
    reports: list[Effect] = []
    if decision.action is LaneAction.SKIP:
        header.abandon(entry.request, entry.previous)
        outbox.delete(key)
        # Final for the order as well, for which a dead request is still open.
        why = _skipped(decision)
        reports += outcome(entry, OutcomeKind.REFUSED, record.timestamp_ms, message=why)
        how, where, now_ms = Conclusion.SKIPPED, record.partition, record.timestamp_ms
        reports.append(concluded(entry.request, how, where, now_ms, attempts=entry.attempts, message=why))
    else:
        entry.reset_schedule()
        outbox.put(key, entry.encode())
    # Written, so that the runtime knows the record as decided: a redelivery must not decide about a later failure.
    outbox.put(header_key(decision.lane), header.encode())
    log.info("delivery.decided lane=%s id=%s action=%s", decision.lane, decision.request, decision.action)
    return [*reports, *decided(record, Verdict.APPLIED, "")]


def _not_held(entry: OutboxEntry | None, request: str) -> str:
    """Why there is nothing to decide about a request."""
    if entry is None:
        return f"request {request} does not wait any more: it was delivered, refused or given up, or was never there"
    if entry.attempts:
        return f"request {request} waits for its next attempt, at {iso_time(entry.next_ms)}: nothing is to be decided"
    return f"request {request} waits for its first attempt: nothing is to be decided"


def _skipped(decision: LaneDecision) -> str:
    said = f"{SKIPPED}{f' ({decision.by})' if decision.by else ''}"
    return f"{said}: {decision.reason}"[:MESSAGE_CHARS_MAX] if decision.reason else said
