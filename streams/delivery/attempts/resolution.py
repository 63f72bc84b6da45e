"""Resolution of an attempt: its request is done, tried again, given up, or holds its lane. Pure."""

from __future__ import annotations

from random import Random

from streams.delivery.attempts.doubt import leaves_doubt
from streams.delivery.attempts.results import Resolution
from streams.delivery.attempts.retry_schedule import RetrySchedule
from streams.delivery.outbox.records import OutboxEntry, expires_ms
from streams.delivery.ports import AttemptResult, ResponseClass
from topics.contract.definition import Repeat, Touchpoint, WhenDead
from topics.records.deliveries import Attempt, DeliveryRequest, OutcomeKind
from topics.subscriptions.model import KINDS

REDRIVEN_FOR_MS = 600_000
"""How long a redriven request is tried before it is dead again: newer requests of its order wait behind it, and must
not be delayed a second time. Its operator may redrive it once more."""


def resolve(
    entry: OutboxEntry,
    result: AttemptResult,
    schedule: RetrySchedule,
    now_ms: int,
    random: Random,
    when_dead: WhenDead | None = None,
) -> Resolution:
    """Resolve a request after an attempt; changes nothing. `when_dead`: as the destination chose; None: as its
    touchpoint says.

    A request whose endpoint is gone waits like one that failed: once its subscription is disabled, it waits until the
    subscription is enabled again.
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
        # The whole destination waits for that moment; then priority decides who goes first, not jitter.
        next_ms = result.not_before_ms
    if next_ms >= expires_ms(request):
        return Resolution(OutcomeKind.EXPIRED)
    first_ms = entry.first_ms or result.at_ms
    if schedule.gives_up(failures, now_ms - first_ms) or (request.redriven and now_ms - first_ms >= REDRIVEN_FOR_MS):
        return Resolution(OutcomeKind.DEAD, held=when_dead is WhenDead.HOLD, supersedes=when_dead is WhenDead.SUPERSEDE)
    return Resolution(OutcomeKind.RETRYING, next_ms=next_ms)


def record_attempt(entry: OutboxEntry, result: AttemptResult, resolution: Resolution) -> Attempt:
    """Write an attempt into its entry; returns the attempt to report."""
    entry.attempts += 1
    entry.first_ms = entry.first_ms or result.at_ms
    if _counts(result):
        entry.failures += 1
        entry.failed_ms = entry.failed_ms or int(result.at_ms + result.took_ms)
    entry.held = resolution.held
    entry.in_doubt = entry.in_doubt or leaves_doubt(result)
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
    """Whether an attempt makes the next pause longer. If the far side sent Retry-After, it does not."""
    if result.kind is ResponseClass.THROTTLED:
        return result.not_before_ms is None
    return result.kind in (ResponseClass.RETRY, ResponseClass.GONE)


def _refusal_may_hold(request: DeliveryRequest, touchpoint: Touchpoint) -> bool:
    """Whether a refusal needs an operator. A relay's caller learns it, and an order whose create is refused becomes
    REJECTED; a refused cancellation has no other reader."""
    judged_by_order = touchpoint.repeat is Repeat.CONFLICT_IF_CHANGED
    return not request.relay and not judged_by_order
