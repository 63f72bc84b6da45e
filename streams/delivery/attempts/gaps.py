"""Gaps: facts that a subscriber will not get, and how later deliveries report them. Pure.

A fact that is given up leaves a gap in its order's sequence. The lane's header keeps the sequence before the gap, and
every later delivery carries it (`watermark`). If the newest fact supersedes, those between the dead one and the newest
are not sent either; they and the dead one are reported, and the newest keeps its place and its `previous_sequence`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from streams.delivery.attempts.results import Finished
from streams.delivery.outbox import reports
from streams.delivery.outbox.records import OUTBOX, LateHeader, OutboxEntry, decode_header, has_no_gap
from streams.runtime.role import Change, Table
from topics.records.deliveries import OutcomeKind
from topics.records.keys import entry_key, header_key
from topics.subscriptions.model import FACT


def watermark(entry: OutboxEntry, outbox: Table) -> int:
    """The watermark in the delivery of a lane's first entry, the same in every attempt and when it is redriven. Only
    facts carry one, so only they cost a look at the header."""
    if entry.watermark is not None:
        return entry.watermark
    if entry.request.touchpoint != FACT.name:
        return 0
    raw = outbox.get(header_key(entry.request.lane))
    return entry.previous if has_no_gap(raw) else decode_header(raw).watermark_before(entry.request, entry.previous)


def abandon(
    entry: OutboxEntry,
    finished: Finished,
    outbox: Table,
    waiting: Callable[[], Sequence[OutboxEntry]],
    *,
    now_ms: int,
    partition: int,
) -> tuple[Finished, Sequence[OutboxEntry]]:
    """Add the gap that a fact leaves, if any, to `finished`; also returns the entries that it supersedes.

    `waiting`: the entries behind it in its lane. The changes become durable in this order: 1. the header, so that a
    crash cannot lose the gap; 2. the superseded entries; 3. the dead one, so that after a crash before it the others
    are superseded again.
    """
    if not finished.leaves or finished.kind is OutcomeKind.DELIVERED or entry.request.touchpoint != FACT.name:
        return finished, ()
    # A redriven fact is older than its place in the lane: it supersedes none.
    behind = [one for one in waiting() if not one.request.redriven] if finished.supersedes else []
    passed, lane = behind[:-1], entry.request.lane
    superseded = [reports.superseded(one, behind[-1].request.id, partition, now_ms) for one in passed]
    gone = [Change(OUTBOX, entry_key(lane, one.request.id), None) for one in passed]
    changes = (LateHeader(lane, partial(_with_gap, entry), outbox), *gone, *finished.changes)
    with_gap = replace(finished, effects=(*finished.effects, *superseded), changes=changes)
    return with_gap, passed


def _with_gap(entry: OutboxEntry, raw: bytes | None) -> bytes:
    header = decode_header(raw)
    header.abandon(entry.request, entry.previous)
    return header.encode()
