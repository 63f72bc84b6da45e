"""The rules of a lane: what it does next, and what an attempt's result makes of a request. Pure.

A lane is strictly first-in-first-out, also through retries, with two exceptions that design demands. A relay whose
caller is gone leaves from anywhere in the lane. And a relay passes optional notifications that keep failing, after it
has waited RELAY_PATIENCE_MS: somebody stands at a packing table and waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from streams.delivery.attempts.retry_schedule import RetrySchedule
from streams.delivery.outbox.records import Entry, decode_entry, entry_key
from streams.delivery.ports import AttemptResult, ResponseClass
from streams.runtime.role import Table
from topics.contract.touchpoints import Repeat, Touchpoint, WhenDead
from topics.records.deliveries import Attempt, DeliveryRequest, OutcomeKind
from topics.subscriptions.kinds import KINDS
from topics.values import value

RELAY_MARGIN_MS = 1_000
"""The answer still has to be recorded by the order and to reach the caller: the way back is part of the deadline."""
RELAY_PATIENCE_MS = 3_000
"""How long a relay waits behind failing optional notifications before it passes them: a blip is over by then, and most
of the 40 s deadline is left."""
REDRIVEN_FOR_MS = 600_000
"""How long a redriven request is tried before it is dead again: behind it wait newer ones of its order, which must not
pay for it a second time. Its operator may redrive once more."""
SEND_TIMEOUT_MIN_S = 0.25
"""Shortest time-out of a request, when a relay's deadline is near; it eats into RELAY_MARGIN_MS, not past it."""
DECODED_MAX = 2_000
"""Requests of a runner that wait decoded, some 4 MB. What is beyond is decoded again when its turn comes."""

NEVER = 1 << 62


@value
class Send:
    entry: Entry


@value
class Expire:
    """The caller of this relay is gone, or will be before an answer could reach it."""

    entry: Entry


@value
class Wait:
    """Nothing to do before `until_ms`; None: nothing until something new arrives (empty, or held)."""

    until_ms: int | None


Step = Send | Expire | Wait


@value
class Resolution:
    """What an attempt made of its request. `next_ms`: it will be tried again then. `held`: it stays and blocks.
    `supersedes`: of what waits behind it only the newest is still sent."""

    kind: OutcomeKind
    next_ms: int | None = None
    held: bool = False
    supersedes: bool = False

    @property
    def leaves(self) -> bool:
        """Whether the request is gone from its lane."""
        return self.kind.final and not self.held


_REDRIVEN = 1


def mark_of(entry: Entry) -> int:
    return 2 * entry.position + (_REDRIVEN if entry.request.redriven else 0)


class Requests:
    """The requests of a runner's lanes: all are in the outbox, and `decoded` of them are kept decoded."""

    __slots__ = ("decoded", "outbox")

    def __init__(self, outbox: Table) -> None:
        self.outbox = outbox
        self.decoded = 0

    def read(self, lane: str, name: str) -> Entry | None:
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

    def __init__(self, name: str, of: Requests, requests: dict[str, int] | None = None) -> None:
        self.name = name
        self._of = of
        self.requests: dict[str, int] = requests or {}
        """Each with a mark: twice its position, which is the log's order, and 1 more when it is redriven."""
        self._decoded: dict[str, Entry] = {}
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
    def first(self) -> Entry | None:
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

    def put(self, entry: Entry) -> bool:
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

    def holds_up(self, entry: Entry) -> bool:
        """Whether its first is redriven and would keep waiting who must not wait as long as it may."""
        return not entry.request.redriven and bool(next(iter(self.requests.values())) & _REDRIVEN)

    def remove(self, request_id: str) -> None:
        self.requests.pop(request_id, None)
        self.relays.discard(request_id)
        self._let_go(request_id)

    def _keep(self, entry: Entry) -> None:
        self._let_go(entry.request.id)
        self._decoded[entry.request.id] = entry
        self._of.decoded += 1

    def _let_go(self, name: str) -> None:
        if self._decoded.pop(name, None) is not None:
            self._of.decoded -= 1

    def behind(self) -> list[Entry]:
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

    def overdue(self, now_ms: int) -> list[Entry]:
        """The waiting relays whose callers are gone."""
        return [relay for relay in self._waiting_relays() if expires_ms(relay.request) <= now_ms]

    def _waiting_relays(self) -> Iterable[Entry]:
        return (self._decoded[name] for name in self.relays if not (self.busy and name == self.in_air))

    def _passing_relay(self, head: Entry) -> tuple[Entry | None, int]:
        """The first relay, if only optional notifications are before it and the head failed; and when it may pass."""
        if not self.relays or not head.failures or not _gives_way(head.request):
            return None, NEVER
        for entry in self._entries():
            if entry.request.relay:
                return entry, max(entry.next_ms, entry.queued_ms + RELAY_PATIENCE_MS)
            if not _gives_way(entry.request):
                break
        return None, NEVER

    def _entries(self) -> Iterator[Entry]:
        for name in self.requests:
            entry = self._decoded.get(name) or self._of.read(self.name, name)
            if entry is not None:
                yield entry


def expires_ms(request: DeliveryRequest) -> int:
    """When a request is withdrawn because its caller no longer waits; NEVER for those that go on."""
    if not (request.relay and request.withdraw) or request.deadline_ms is None:
        return NEVER
    return request.deadline_ms - RELAY_MARGIN_MS


def timeout_s(request: DeliveryRequest, configured_s: float, now_ms: int) -> float:
    """The time-out of an attempt sent now: a caller that will be gone is not waited for."""
    left_s = (expires_ms(request) - now_ms) / 1000
    return min(configured_s, max(SEND_TIMEOUT_MIN_S, left_s))


def resolve(
    entry: Entry,
    result: AttemptResult,
    schedule: RetrySchedule,
    now_ms: int,
    random: Random,
    when_dead: WhenDead | None = None,
) -> Resolution:
    """What becomes of a request after an attempt. Changes nothing. `when_dead`: what the destination chose; None: each
    touchpoint's own.

    A request whose endpoint is gone waits like one that failed: whoever stops sending there lets it lie until the
    endpoint is back.
    """
    request = entry.request
    touchpoint = KINDS[request.touchpoint]
    when_dead = WhenDead.SKIP if request.redriven else when_dead or touchpoint.when_dead
    if result.kind is ResponseClass.DELIVERED:
        return Resolution(OutcomeKind.DELIVERED)
    if result.kind is ResponseClass.REFUSED:
        if when_dead is WhenDead.HOLD and _refusal_may_hold(request, touchpoint):
            return Resolution(OutcomeKind.DEAD, held=True)
        return Resolution(OutcomeKind.REFUSED, supersedes=when_dead is WhenDead.SUPERSEDE)
    failures = entry.failures + _counts(result)
    next_ms = _schedule(request, schedule, now_ms).next_ms(failures, now_ms, random, result.not_before_ms)
    if result.kind is ResponseClass.THROTTLED and result.not_before_ms is not None:
        # The whole destination waits for that moment; who goes first then is a matter of priority, not of jitter.
        next_ms = result.not_before_ms
    if next_ms >= expires_ms(request):
        return Resolution(OutcomeKind.EXPIRED)
    first_ms = entry.first_ms or result.at_ms
    if schedule.gives_up(failures, now_ms - first_ms) or (request.redriven and now_ms - first_ms >= REDRIVEN_FOR_MS):
        return Resolution(OutcomeKind.DEAD, held=when_dead is WhenDead.HOLD, supersedes=when_dead is WhenDead.SUPERSEDE)
    return Resolution(OutcomeKind.RETRYING, next_ms=next_ms)


def record_attempt(entry: Entry, result: AttemptResult, resolution: Resolution) -> Attempt:
    """Write an attempt into its entry; returns it as it is reported."""
    entry.attempts += 1
    entry.failures += _counts(result)
    entry.first_ms = entry.first_ms or result.at_ms
    entry.held = resolution.held
    entry.message = result.message
    if resolution.next_ms is not None:
        entry.next_ms = resolution.next_ms
    entry.last = Attempt(
        number=entry.attempts, at_ms=result.at_ms, took_ms=result.took_ms, status=result.status, error=result.error
    )
    return entry.last


def _schedule(request: DeliveryRequest, schedule: RetrySchedule, now_ms: int) -> RetrySchedule:
    waited_for = request.relay and request.deadline_ms is not None and now_ms < request.deadline_ms
    return schedule.for_relay() if waited_for else schedule


def _counts(result: AttemptResult) -> bool:
    """Whether an attempt makes the next pause longer: when the far side said when to come back, it does not."""
    if result.kind is ResponseClass.THROTTLED:
        return result.not_before_ms is None
    return result.kind in (ResponseClass.RETRY, ResponseClass.GONE)


def _gives_way(request: DeliveryRequest) -> bool:
    return not request.relay and KINDS[request.touchpoint].when_dead is WhenDead.SKIP


def _refusal_may_hold(request: DeliveryRequest, touchpoint: Touchpoint) -> bool:
    """Whether a refusal needs an operator. A relay's goes to its caller, and a refused create is the order's to judge
    (it becomes REJECTED); a cancellation that the far side refuses has nobody else to tell."""
    judged_by_order = touchpoint.repeat is Repeat.CONFLICT_IF_CHANGED
    return not request.relay and not judged_by_order
