"""A lane: the requests of one order to one destination, and what the lane does next. Pure.

A lane is first in, first out, also through retries, with two exceptions. A relay whose caller is gone leaves from
anywhere in the lane, unsent. And a relay passes optional notifications if the first of them has kept failing for
RELAY_PATIENCE_MS: a person at a packing table waits for it. Each notification that is passed is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from streams.delivery.clock import NEVER
from streams.delivery.lanes.steps import Expire, Send, Step, Wait
from streams.delivery.outbox.records import OutboxEntry, decode_entry, expires_ms
from streams.runtime.role import Table
from topics.contract.definition import Priority, WhenDead
from topics.records.deliveries import DeliveryRequest
from topics.records.keys import entry_key
from topics.subscriptions.model import KINDS

RELAY_PATIENCE_MS = 3_000
"""How long an optional notification keeps failing before relays pass it, counted from its first failure: a short
disturbance is over by then, and most of a relay's 40 s deadline is left."""
DECODED_MAX = 2_000
"""Waiting requests of a dispatcher that stay decoded, some 4 MB. Others are decoded again when they come first."""

DECODED_BYTES_MAX = 8 << 20
"""Bytes of their bodies, twice the usual. A body shares its memory with the outbox until that moves it to disk."""


_REDRIVEN = 1
_HOLD = 2


def mark_of(entry: OutboxEntry) -> int:
    """Four times the position, which is the log's order, plus 1 for a redriven request and 2 for a hold or release."""
    request = entry.request
    return 4 * entry.position + (_REDRIVEN if request.redriven else 0) + (_HOLD if request.hold else 0)


class OutboxReader:
    """Reads requests of a dispatcher's lanes from the outbox. `decoded`: how many of them the lanes keep decoded;
    `decoded_bytes`: the bytes of their bodies."""

    __slots__ = ("decoded", "decoded_bytes", "outbox")

    def __init__(self, outbox: Table) -> None:
        self.outbox = outbox
        self.decoded = 0
        self.decoded_bytes = 0

    def read(self, lane: str, name: str) -> OutboxEntry | None:
        raw = self.outbox.get(entry_key(lane, name))
        return None if raw is None else decode_entry(raw)


class Lane:
    """The requests of one lane, oldest first. `busy`: the request `in_flight` is being sent or withdrawn; meanwhile
    only relays whose callers are gone leave.

    A lane keeps the names of its requests. If there are too many to keep decoded, a request is decoded again when it is
    needed; only relays always stay decoded, because they have deadlines.
    """

    __slots__ = (
        "_decoded",
        "_reader",
        "blocked_by",
        "busy",
        "in_flight",
        "name",
        "parked",
        "relays",
        "requests",
        "room",
        "since_ms",
        "ticket",
    )

    def __init__(self, name: str, reader: OutboxReader, requests: dict[str, int] | None = None) -> None:
        self.name = name
        self._reader = reader
        self.requests: dict[str, int] = requests or {}
        """Each with its mark (see `mark_of`)."""
        self._decoded: dict[str, OutboxEntry] = {}
        self.relays: set[str] = set()
        self.busy = False
        self.in_flight = ""
        self.blocked_by = ""
        """The dead request that held the lane when it was scheduled last."""
        self.room: int | None = None
        """The room in which the lane is counted; see streams/delivery/lanes/lane_set.py."""
        self.since_ms = 0
        """The time since which its first request waits."""
        self.parked = 0
        """Its place among the lanes whose large request waits for bytes, 0: it does not."""
        self.ticket = 0
        """Changes whenever the lane is scheduled anew; turns with an older ticket are void."""

    @property
    def first(self) -> OutboxEntry | None:
        while self.requests:
            name = next(iter(self.requests))
            entry = self._decoded.get(name)
            if entry is not None:
                return entry
            entry = self._reader.read(self.name, name)
            if entry is not None:
                self._keep_decoded(entry)
                return entry
            del self.requests[name]  # deleted by a record of the present chunk; the notice follows
        return None

    def release_decoded(self) -> None:
        """Keep only relays decoded: the other requests will not be needed for long."""
        for name in [name for name in self._decoded if name not in self.relays]:
            self._release(name)

    def merge(self, requests: Mapping[str, int]) -> None:
        """Add requests that were found elsewhere, each with its mark."""
        self.requests = dict(sorted({**requests, **self.requests}.items(), key=lambda item: item[1]))

    def add(self, entry: OutboxEntry) -> bool:
        """Add a request, or a new value of a known one; returns whether it is the first."""
        name, mark = entry.request.id, mark_of(entry)
        if self.busy and name == self.in_flight:
            return True  # the entry in flight is newer than the given one
        is_new = name not in self.requests
        is_out_of_order = is_new and self.requests and mark < next(reversed(self.requests.values()))
        self.requests[name] = mark
        if is_out_of_order:
            self.requests = dict(sorted(self.requests.items(), key=lambda item: item[1]))
        if entry.request.relay:
            self.relays.add(name)
        is_first = next(iter(self.requests)) == name
        reader = self._reader
        has_room = reader.decoded < DECODED_MAX and reader.decoded_bytes < DECODED_BYTES_MAX
        if is_first or entry.request.relay or has_room:
            self._keep_decoded(entry)
        else:
            self._release(name)
        return is_first

    def delays(self, entry: OutboxEntry) -> bool:
        """Whether the first request, which may wait long, would delay this one, which must not: a redriven one any
        other, a plain update a hold or release."""
        first = next(iter(self.requests.values()))
        return not entry.request.redriven and (entry.request.hold or bool(first & _REDRIVEN))

    def remove(self, request_id: str) -> None:
        self.requests.pop(request_id, None)
        self.relays.discard(request_id)
        self._release(request_id)

    def _keep_decoded(self, entry: OutboxEntry) -> None:
        self._release(entry.request.id)
        self._decoded[entry.request.id] = entry
        self._reader.decoded += 1
        self._reader.decoded_bytes += entry.request.size

    def _release(self, name: str) -> None:
        entry = self._decoded.pop(name, None)
        if entry is not None:
            self._reader.decoded -= 1
            self._reader.decoded_bytes -= entry.request.size

    def behind(self) -> list[OutboxEntry]:
        """The requests behind the first."""
        return list(self._entries())[1:]

    @property
    def is_redriven(self) -> bool:
        """Whether all its requests are redriven: then the lane leaves room for others."""
        return all(mark & _REDRIVEN for mark in self.requests.values())

    def next_step(self, now_ms: int) -> Step:
        """The next step of the lane, which must not be busy."""
        soonest = passes_ms = NEVER
        if self.relays:
            for relay in self._waiting_relays():
                ends = expires_ms(relay.request)
                if ends <= now_ms:
                    return Expire(relay)
                soonest = min(soonest, ends)
        head = self.first
        if head is None or head.held:
            return Wait(None if soonest == NEVER else soonest)
        if self.relays:
            passing, passes_ms = self._passing_relay(head)
            if passing is not None and passes_ms <= now_ms:
                return passing
        if head.next_ms <= now_ms:
            return Send(head)
        return Wait(min(soonest, head.next_ms, passes_ms))

    def urgency(self) -> Priority:
        """The highest class that a request behind a plain update has: it waits for that update's turn."""
        if len(self.requests) > 1 and any(mark & _HOLD for mark in self.requests.values()):
            highest = Priority.HOLD
        else:
            highest = Priority.UPDATE
        return min([highest, *(KINDS[self._decoded[name].request.touchpoint].priority for name in self.relays)])

    def next_expiry_ms(self) -> int | None:
        """When the first waiting relay must leave, None without any."""
        if not self.relays:
            return None
        soonest = min((expires_ms(relay.request) for relay in self._waiting_relays()), default=NEVER)
        return None if soonest == NEVER else soonest

    def overdue(self, now_ms: int) -> list[OutboxEntry]:
        """The waiting relays whose callers are gone."""
        return [relay for relay in self._waiting_relays() if expires_ms(relay.request) <= now_ms]

    def _waiting_relays(self) -> Iterable[OutboxEntry]:
        return (self._decoded[name] for name in self.relays if not (self.busy and name == self.in_flight))

    def _passing_relay(self, head: OutboxEntry) -> tuple[Send | None, int]:
        """The first relay, if only optional notifications are before it and the head failed; and when it may pass."""
        if not head.failures or not _gives_way(head.request):
            return None, NEVER
        passed: list[OutboxEntry] = []
        for entry in self._entries():
            if entry.request.relay:
                passes_ms = (head.failed_ms or head.first_ms) + RELAY_PATIENCE_MS
                return Send(entry, tuple(passed)), max(entry.next_ms, passes_ms)
            if not _gives_way(entry.request):
                break
            passed.append(entry)
        return None, NEVER

    def _entries(self) -> Iterator[OutboxEntry]:
        for name in self.requests:
            entry = self._decoded.get(name) or self._reader.read(self.name, name)
            if entry is not None:
                yield entry


def _gives_way(request: DeliveryRequest) -> bool:
    return not request.relay and KINDS[request.touchpoint].when_dead is WhenDead.SKIP
