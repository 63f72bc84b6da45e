"""What a subscriber will not get, and how it can tell.

A fact that is given up leaves a gap in its order's story: the lane's header keeps how far the story reached, and every
later delivery says it (`watermark`). Where the newest fact supersedes, those between the dead one and it are passed
over, too; they and the dead one are reported, and the newest keeps its place and its `previous_sequence`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from streams.delivery.attempts.attempt import Finished
from streams.delivery.outbox import reports as outcomes
from streams.delivery.outbox.records import OUTBOX, OutboxEntry, decode_header, entry_key, has_no_gap, header_key
from streams.runtime.role import Change, Table
from topics.records.deliveries import OutcomeKind
from topics.subscriptions.model import FACT


class HeaderWithGap(Change):
    """A lane's header with the gap that a fact leaves, made when the runtime applies it.

    A commit may wait for room or for the end of a rebalance, and meanwhile the lane takes its next facts: what the
    header knows of these must stay.
    """

    __slots__ = ("_entry", "_outbox")
    _entry: OutboxEntry
    _outbox: Table

    def __init__(self, entry: OutboxEntry, outbox: Table) -> None:
        # The base is frozen, so its fields are set as it sets them; `value` is not a field here.
        object.__setattr__(self, "table", OUTBOX)
        object.__setattr__(self, "key", header_key(entry.request.lane))
        object.__setattr__(self, "_entry", entry)
        object.__setattr__(self, "_outbox", outbox)

    @property
    def value(self) -> bytes | None:
        header = decode_header(self._outbox.get(self.key))
        header.abandon(self._entry.request, self._entry.previous)
        return header.encode()


def watermark(entry: OutboxEntry, outbox: Table) -> int:
    """What the delivery of the first entry of a lane says, the same in every attempt and when it is redriven. Only
    subscribers are told, so only a fact costs the look."""
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
    """`finished` with what tells of the gap it leaves, if it does, and the entries that it supersedes.

    `waiting`: what is behind it in its lane. In the order in which the changes become durable: 1. the header, so that a
    crash cannot lose the gap; 2. those between; 3. the dead one, so that a crash before it supersedes them again.
    """
    if not finished.leaves or finished.kind is OutcomeKind.DELIVERED or entry.request.touchpoint != FACT.name:
        return finished, ()
    # A redriven fact is older than it looks by its place: it takes nobody's.
    behind = [one for one in waiting() if not one.request.redriven] if finished.supersedes else []
    passed, lane = behind[:-1], entry.request.lane
    told = [outcomes.superseded(one, behind[-1].request.id, partition, now_ms) for one in passed]
    gone = [Change(OUTBOX, entry_key(lane, one.request.id), None) for one in passed]
    changes = (HeaderWithGap(entry, outbox), *gone, *finished.changes)
    with_gap = replace(finished, effects=(*finished.effects, *told), changes=changes)
    return with_gap, passed
