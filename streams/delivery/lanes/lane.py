"""The rules of a lane: what it does next, and what an attempt's result makes of a request. Pure.

A lane is strictly first-in-first-out, also through retries, with two exceptions that design demands. A relay whose
caller is gone leaves from anywhere in the lane. And a relay passes optional notifications that keep failing, after it
has waited RELAY_PATIENCE_MS: somebody stands at a packing table and waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streams.delivery.clock import NEVER
from streams.delivery.outbox.records import OutboxEntry, decode_entry, entry_key, expires_ms
from streams.runtime.role import Table
from topics.contract.definition import WhenDead
from topics.records.deliveries import DeliveryRequest
from topics.subscriptions.model import KINDS
from topics.values import value

RELAY_PATIENCE_MS = 3_000
"""How long a relay waits behind failing optional notifications before it passes them: a blip is over by then, and most
of the 40 s deadline is left."""
DECODED_MAX = 2_000
"""Requests of a runner that wait decoded, some 4 MB. What is beyond is decoded again when its turn comes."""


@value
class Send:
    entry: OutboxEntry


@value
class Expire:
    """The caller of this relay is gone, or will be before an answer could reach it."""

    entry: OutboxEntry


@value
class Wait:
    """Nothing to do before `until_ms`; None: nothing until something new arrives (empty, or held)."""

    until_ms: int | None


Step = Send | Expire | Wait


_REDRIVEN = 1


def mark_of(entry: OutboxEntry) -> int:
    return 2 * entry.position + (_REDRIVEN if entry.request.redriven else 0)


class OutboxReader:
    """The requests of a runner's lanes: all are in the outbox, and `decoded` of them are kept decoded."""

    __slots__ = ("decoded", "outbox")

    def __init__(self, outbox: Table) -> None:
        self.outbox = outbox
        self.decoded = 0

    def read(self, lane: str, name: str) -> OutboxEntry | None:
        raw = self.outbox.get(entry_key(lane, name))
        return None if raw is None else decode_entry(raw)


class Lane:
    """The requests of one lane, oldest first. `busy`: `in_air` is in the air (or is being withdrawn), and meanwhile
    nothing happens but that relays whose callers are gone leave.

    It has the names of its requests. They themselves are decoded again when they are needed, if there are too many to
    keep; only relays always stay, because they have deadlines.
    """

    __slots__ = (
        "_decoded",
        "_of",
        "blocked_by",
        "busy",
        "in_air",
        "name",
        "place",
        "relays",
        "requests",
        "since_ms",
        "ticket",
    )

    def __init__(self, name: str, of: OutboxReader, requests: dict[str, int] | None = None) -> None:
        self.name = name
        self._of = of
        self.requests: dict[str, int] = requests or {}
        """Each with a mark: twice its position, which is the log's order, and 1 more when it is redriven."""
        self._decoded: dict[str, OutboxEntry] = {}
        self.relays: set[str] = set()
        self.busy = False
        self.in_air = ""
        self.blocked_by = ""
        """The request that was given up and holds it, when it was scheduled last."""
        self.place: int | None = None
        """Where it is counted; see streams/delivery/lanes/lane_set.py."""
        self.since_ms = 0
        """Since when its first request waits."""
        self.ticket = 0
        """Changes whenever the lane is scheduled anew; what was scheduled under an older one is void."""

    @property
    def first(self) -> OutboxEntry | None:
        while self.requests:
            name = next(iter(self.requests))
            entry = self._decoded.get(name)
            if entry is not None:
                return entry
            entry = self._of.read(self.name, name)
            if entry is not None:
                self._keep(entry)
                return entry
            del self.requests[name]  # deleted by a record of this chunk, of which we are told next
        return None

    def rest(self) -> None:
        """It will be long until its requests are needed."""
        for name in [name for name in self._decoded if name not in self.relays]:
            self._let_go(name)

    def put(self, entry: OutboxEntry) -> bool:
        """A new request, or a new value of one that is here; returns whether it is the first."""
        name, mark = entry.request.id, mark_of(entry)
        if self.busy and name == self.in_air:
            return True  # what is in the air knows more than was given
        is_new = name not in self.requests
        is_out_of_order = is_new and self.requests and mark < next(reversed(self.requests.values()))
        self.requests[name] = mark
        if is_out_of_order:
            self.requests = dict(sorted(self.requests.items(), key=lambda item: item[1]))
        if entry.request.relay:
            self.relays.add(name)
        is_first = next(iter(self.requests)) == name
        if is_first or entry.request.relay or self._of.decoded < DECODED_MAX:
            self._keep(entry)
        else:
            self._let_go(name)
        return is_first

    def holds_up(self, entry: OutboxEntry) -> bool:
        """Whether its first is redriven and would keep waiting who must not wait as long as it may."""
        return not entry.request.redriven and bool(next(iter(self.requests.values())) & _REDRIVEN)

    def remove(self, request_id: str) -> None:
        self.requests.pop(request_id, None)
        self.relays.discard(request_id)
        self._let_go(request_id)

    def _keep(self, entry: OutboxEntry) -> None:
        self._let_go(entry.request.id)
        self._decoded[entry.request.id] = entry
        self._of.decoded += 1

    def _let_go(self, name: str) -> None:
        if self._decoded.pop(name, None) is not None:
            self._of.decoded -= 1

    def behind(self) -> list[OutboxEntry]:
        """What waits behind the first."""
        return list(self._entries())[1:]

    @property
    def is_redriven(self) -> bool:
        """Whether everything in it is sent again by an operator: then it leaves room for others."""
        return all(mark & _REDRIVEN for mark in self.requests.values())

    def next_step(self, now_ms: int) -> Step:
        """What this lane does now. A lane that is busy is not asked."""
        soonest = NEVER
        for relay in self._waiting_relays():
            ends = expires_ms(relay.request)
            if ends <= now_ms:
                return Expire(relay)
            soonest = min(soonest, ends)
        head = self.first
        if head is None or head.held:
            return Wait(None if soonest == NEVER else soonest)
        passing, passes_ms = self._passing_relay(head)
        if passing is not None and passes_ms <= now_ms:
            return Send(passing)
        if head.next_ms <= now_ms:
            return Send(head)
        return Wait(min(soonest, head.next_ms, passes_ms))

    def next_expiry_ms(self) -> int | None:
        """When the first waiting relay must leave, None without any."""
        soonest = min((expires_ms(relay.request) for relay in self._waiting_relays()), default=NEVER)
        return None if soonest == NEVER else soonest

    def overdue(self, now_ms: int) -> list[OutboxEntry]:
        """The waiting relays whose callers are gone."""
        return [relay for relay in self._waiting_relays() if expires_ms(relay.request) <= now_ms]

    def _waiting_relays(self) -> Iterable[OutboxEntry]:
        return (self._decoded[name] for name in self.relays if not (self.busy and name == self.in_air))

    def _passing_relay(self, head: OutboxEntry) -> tuple[OutboxEntry | None, int]:
        """The first relay, if only optional notifications are before it and the head failed; and when it may pass."""
        if not self.relays or not head.failures or not _gives_way(head.request):
            return None, NEVER
        for entry in self._entries():
            if entry.request.relay:
                return entry, max(entry.next_ms, entry.queued_ms + RELAY_PATIENCE_MS)
            if not _gives_way(entry.request):
                break
        return None, NEVER

    def _entries(self) -> Iterator[OutboxEntry]:
        for name in self.requests:
            entry = self._decoded.get(name) or self._of.read(self.name, name)
            if entry is not None:
                yield entry


def _gives_way(request: DeliveryRequest) -> bool:
    return not request.relay and KINDS[request.touchpoint].when_dead is WhenDead.SKIP
