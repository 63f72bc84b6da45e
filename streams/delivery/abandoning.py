"""What a subscriber will not get, and how it can tell.

A fact that is given up leaves a gap in its order's story: the lane's header keeps how far the story reached, and every
later delivery says it (`watermark`). Where the newest fact supersedes, those between the dead one and it are passed
over, too; they and the dead one are reported, and the newest keeps its place and its `previous_sequence`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from streams.delivery import outcomes
from streams.delivery.attempts import TABLE as OUTBOX
from streams.delivery.attempts import Finished
from streams.delivery.outbox import Entry, LaneHeader, decode_header, entry_key, has_no_gap, header_key
from streams.runtime.role import Change, Table
from topics.deliveries import OutcomeKind
from topics.subscriptions import FACT


def watermark(entry: Entry, outbox: Table) -> int:
    """What the delivery of the first entry of a lane says, the same in every attempt and when it is redriven. Only
    subscribers are told, so only a fact costs the look."""
    if entry.watermark is not None:
        return entry.watermark
    if entry.request.touchpoint != FACT.name:
        return 0
    raw = outbox.get(header_key(entry.request.lane))
    return entry.previous if has_no_gap(raw) else decode_header(raw).watermark_before(entry.previous)


def abandon(
    entry: Entry,
    finished: Finished,
    outbox: Table,
    waiting: Callable[[], Sequence[Entry]],
    *,
    now_ms: int,
    partition: int,
) -> tuple[Finished, Sequence[Entry]]:
    """`finished` with what tells of the gap it leaves, if it does, and the entries that it supersedes.

    `waiting`: what is behind it in its lane. In the order in which the changes become durable: 1. the header, so that a
    crash cannot lose the gap; 2. those between; 3. the dead one, so that a crash before it supersedes them again.
    """
    if not finished.leaves or finished.kind is OutcomeKind.DELIVERED or entry.request.touchpoint != FACT.name:
        return finished, ()
    # A redriven fact is older than it looks by its place: it takes nobody's.
    behind = [one for one in waiting() if not one.request.redriven] if finished.supersedes else []
    passed, lane = behind[:-1], entry.request.lane
    header = _header(entry, outbox)
    header.abandon(entry.request, entry.previous)
    told = [outcomes.superseded(one, behind[-1].request.id, partition, now_ms) for one in passed]
    gone = [Change(OUTBOX, entry_key(lane, one.request.id), None) for one in passed]
    kept = Change(OUTBOX, header_key(lane), header.encode())
    with_gap = replace(finished, effects=(*finished.effects, *told), changes=(kept, *gone, *finished.changes))
    return with_gap, passed


def _header(entry: Entry, outbox: Table) -> LaneHeader:
    return decode_header(outbox.get(header_key(entry.request.lane)))
