"""What an attempt makes of its request: done, tried again, given up, or holding its lane. Pure."""

from __future__ import annotations

from random import Random

from streams.delivery.attempts.retry_schedule import RetrySchedule
from streams.delivery.outbox.records import OutboxEntry, expires_ms
from streams.delivery.ports import AttemptResult, ResponseClass
from topics.contract.definition import Repeat, Touchpoint, WhenDead
from topics.records.deliveries import Attempt, DeliveryRequest, OutcomeKind
from topics.subscriptions.model import KINDS
from topics.values import value

REDRIVEN_FOR_MS = 600_000
"""How long a redriven request is tried before it is dead again: behind it wait newer ones of its order, which must not
pay for it a second time. Its operator may redrive once more."""


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


def resolve(
    entry: OutboxEntry,
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


def record_attempt(entry: OutboxEntry, result: AttemptResult, resolution: Resolution) -> Attempt:
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


def _refusal_may_hold(request: DeliveryRequest, touchpoint: Touchpoint) -> bool:
    """Whether a refusal needs an operator. A relay's goes to its caller, and a refused create is the order's to judge
    (it becomes REJECTED); a cancellation that the far side refuses has nobody else to tell."""
    judged_by_order = touchpoint.repeat is Repeat.CONFLICT_IF_CHANGED
    return not request.relay and not judged_by_order
