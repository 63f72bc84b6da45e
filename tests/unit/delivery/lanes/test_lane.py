"""What an attempt makes of a request, and what a lane does next: one row for each rule."""

from __future__ import annotations

from random import Random

import pytest

from streams.delivery.attempts.resolution import record_attempt, resolve
from streams.delivery.attempts.results import Resolution
from streams.delivery.attempts.retry_schedule import RELAY_MAX_MS, RetrySchedule
from streams.delivery.lanes.lane import RELAY_PATIENCE_MS, Lane, OutboxReader
from streams.delivery.lanes.ready_queue import AGEING_MS, AGEING_TURN, PriorityQueue
from streams.delivery.lanes.steps import Expire, Send, Step, Wait
from streams.delivery.outbox.records import (
    RELAY_MARGIN_MS,
    SEND_TIMEOUT_MIN_S,
    OutboxEntry,
    decode_entry,
    timeout_s,
)
from streams.delivery.ports import AttemptResult, ResponseClass
from tests.fakes.delivery import START_MS, request_for
from tests.fakes.delivery_tables import MemoryTable
from topics.contract.definition import Priority
from topics.records.deliveries import OutcomeKind
from topics.records.keys import entry_key, header_key, is_entry_key, names_of_entry_key

DELIVERED, RETRY, THROTTLED, REFUSED, _GONE = ResponseClass
SCHEDULE = RetrySchedule(first_ms=1_000, max_ms=60_000, give_up_ms=3_600_000)
DEADLINE_MS = START_MS + 40_000


def taken(queue: PriorityQueue[str], now_ms: int, *, background: bool = True) -> str | None:
    """Whose turn it is, taken."""
    first = queue.peek(now_ms, lambda _: True, background=background)
    return None if first is None else queue.pop_peeked()


def entry(
    name: str,
    request_id: str = "r",
    *,
    relay: bool = False,
    failures: int = 0,
    next_ms: int = 0,
    held: bool = False,
    failed_ms: int = START_MS,
) -> OutboxEntry:
    request = request_for(name, "A", request_id, deadline_ms=DEADLINE_MS if relay else None)
    return OutboxEntry(
        request=request,
        position=0,
        queued_ms=START_MS,
        next_ms=next_ms,
        failures=failures,
        attempts=failures,
        failed_ms=failed_ms if failures else 0,
        held=held,
    )


def result(kind: ResponseClass, not_before_ms: int | None = None) -> AttemptResult:
    return AttemptResult(kind=kind, at_ms=START_MS, took_ms=1.0, status=500, not_before_ms=not_before_ms)


def resolved(
    waiting: OutboxEntry, kind: ResponseClass, now_ms: int = START_MS, not_before: int | None = None
) -> Resolution:
    return resolve(waiting, result(kind, not_before), SCHEDULE, now_ms, Random(1))


@pytest.mark.parametrize(
    ("name", "relay", "kind", "outcome", "held"),
    [
        ("create-outward-order", False, DELIVERED, OutcomeKind.DELIVERED, False),
        ("create-outward-order", False, REFUSED, OutcomeKind.REFUSED, False),
        ("create-return-order", False, REFUSED, OutcomeKind.REFUSED, False),
        ("create-outward-order", False, RETRY, OutcomeKind.RETRYING, False),
        ("create-outward-order", False, THROTTLED, OutcomeKind.RETRYING, False),
        ("acknowledgement", False, REFUSED, OutcomeKind.REFUSED, False),
        ("update-order-properties", False, REFUSED, OutcomeKind.REFUSED, False),
        ("pack-order", True, REFUSED, OutcomeKind.REFUSED, False),
        ("customer-cancellation", True, REFUSED, OutcomeKind.REFUSED, False),
        ("customer-cancellation", False, REFUSED, OutcomeKind.DEAD, True),
        ("seller-cancellation", False, REFUSED, OutcomeKind.DEAD, True),
        ("handover-notification", False, REFUSED, OutcomeKind.REFUSED, False),
        ("cancel-return-order-items", False, REFUSED, OutcomeKind.DEAD, True),
    ],
)
def test_what_an_answer_makes_of_a_request(
    name: str, relay: bool, kind: ResponseClass, outcome: OutcomeKind, held: bool
) -> None:
    resolution = resolved(entry(name, relay=relay), kind)
    assert (resolution.kind, resolution.held) == (outcome, held)
    assert resolution.leaves == (outcome.final and not held)


@pytest.mark.parametrize(("name", "held"), [("create-outward-order", True), ("acknowledgement", False)])
@pytest.mark.parametrize("kind", [RETRY, THROTTLED])
def test_after_the_whole_schedule_a_request_is_dead(name: str, held: bool, kind: ResponseClass) -> None:
    waiting = entry(name)
    waiting.first_ms = START_MS
    alive = resolved(waiting, kind, START_MS + 3_599_999)
    dead = resolved(waiting, kind, START_MS + 3_600_000)
    assert (alive.kind, dead.kind, dead.held) == (OutcomeKind.RETRYING, OutcomeKind.DEAD, held)


def test_waiting_behind_others_does_not_use_up_the_schedule() -> None:
    waiting = entry("create-outward-order")
    first_try = AttemptResult(kind=RETRY, at_ms=START_MS + 9_000_000, took_ms=1.0)
    assert resolve(waiting, first_try, SCHEDULE, START_MS + 9_000_001, Random(1)).kind is OutcomeKind.RETRYING


def test_being_throttled_does_not_lengthen_the_pauses() -> None:
    waiting = entry("create-outward-order")
    for _ in range(20):
        throttled = result(THROTTLED, START_MS + 5_000)
        resolution = resolve(waiting, throttled, SCHEDULE, START_MS, Random(1))
        record_attempt(waiting, throttled, resolution)
    assert (waiting.attempts, waiting.failures, waiting.next_ms) == (20, 0, START_MS + 5_000)


def test_a_relay_whose_next_try_would_be_too_late_is_expired_now() -> None:
    waiting = entry("pack-order", relay=True, failures=10)
    late = DEADLINE_MS - RELAY_MARGIN_MS - 1
    assert resolved(waiting, RETRY, late).kind is OutcomeKind.EXPIRED
    assert resolved(waiting, RETRY, START_MS, DEADLINE_MS).kind is OutcomeKind.EXPIRED


def test_a_relay_is_tried_quickly_while_its_caller_waits_and_patiently_after() -> None:
    cancellation = entry("customer-cancellation", relay=True, failures=20)
    quick = resolved(cancellation, RETRY).next_ms
    patient = resolved(cancellation, RETRY, DEADLINE_MS).next_ms
    assert quick is not None
    assert patient is not None
    assert quick - START_MS <= RELAY_MAX_MS * 1.2
    assert patient - DEADLINE_MS >= SCHEDULE.max_ms * 0.8


@pytest.mark.parametrize(
    ("left_ms", "expected"), [(60_000, 30.0), (10_000, 10.0), (100, SEND_TIMEOUT_MIN_S), (-5, SEND_TIMEOUT_MIN_S)]
)
def test_a_caller_that_will_be_gone_is_not_waited_for(left_ms: int, expected: float) -> None:
    pack = request_for("pack-order", "A", "r", deadline_ms=START_MS + RELAY_MARGIN_MS + left_ms)
    assert timeout_s(pack, 30.0, START_MS) == expected


def test_a_notification_has_the_destinations_time_out() -> None:
    assert timeout_s(request_for("acknowledgement", "A", "r"), 30.0, START_MS) == 30.0


PASSES_MS = START_MS + RELAY_PATIENCE_MS
EXPIRES_MS = DEADLINE_MS - RELAY_MARGIN_MS
LATER = START_MS + 100_000


@pytest.mark.parametrize(
    ("waiting", "now_ms", "expected"),
    [
        ([], START_MS, None),
        ([entry("acknowledgement", "a"), entry("handover-notification", "b")], START_MS, "a"),
        ([entry("acknowledgement", "a", next_ms=LATER), entry("handover-notification", "b")], START_MS, LATER),
        ([entry("create-outward-order", "a", held=True), entry("update-order-properties", "b")], LATER, None),
        ([entry("seller-cancellation", "a", held=True), entry("pack-order", "b", relay=True)], START_MS, EXPIRES_MS),
        ([entry("seller-cancellation", "a", held=True), entry("pack-order", "b", relay=True)], EXPIRES_MS, "x b"),
        (
            [entry("acknowledgement", "a", failures=1, next_ms=LATER), entry("pack-order", "b", relay=True)],
            START_MS,
            PASSES_MS,
        ),
        (
            [entry("acknowledgement", "a", failures=1, next_ms=LATER), entry("pack-order", "b", relay=True)],
            PASSES_MS,
            "b",
        ),
        ([entry("acknowledgement", "a"), entry("pack-order", "b", relay=True)], PASSES_MS, "a"),
        (
            [
                # The relay has waited for long, but the notification failed just now.
                entry("acknowledgement", "a", failures=1, next_ms=LATER, failed_ms=PASSES_MS),
                entry("pack-order", "b", relay=True),
            ],
            PASSES_MS,
            PASSES_MS + RELAY_PATIENCE_MS,
        ),
        (
            [
                entry("acknowledgement", "a", failures=1, next_ms=LATER),
                entry("seller-cancellation", "b"),
                entry("pack-order", "c", relay=True),
            ],
            PASSES_MS,
            EXPIRES_MS,
        ),
        (
            [
                entry("acknowledgement", "a", failures=1, next_ms=LATER),
                entry("return-order-acknowledgement", "b"),
                entry("pack-order", "c", relay=True),
                entry("pack-order", "d", relay=True),
            ],
            PASSES_MS,
            "c",
        ),
        (
            [
                entry("pack-order", "a", relay=True, failures=1, next_ms=LATER),
                entry("pack-order", "b", relay=True),
            ],
            PASSES_MS,
            EXPIRES_MS,
        ),
    ],
)
def test_what_a_lane_does_next(waiting: list[OutboxEntry], now_ms: int, expected: str | int | None) -> None:
    lane = lane_of(waiting)
    assert _said(lane.next_step(now_ms)) == expected


def lane_of(waiting: list[OutboxEntry]) -> Lane:
    """With their requests in the outbox, where a lane finds what it does not keep."""
    outbox = MemoryTable()
    lane = Lane("l", OutboxReader(outbox))
    for one in waiting:
        outbox.put(entry_key("l", one.request.id), one.encode())
        lane.add(one)
    return lane


def _said(step: Step) -> str | int | None:
    """A request id to send, `x` and the id to expire, a time to wait for, None for nothing."""
    if isinstance(step, Wait):
        return step.until_ms
    return step.entry.request.id if isinstance(step, Send) else f"x {step.entry.request.id}"


def test_the_patience_counts_from_the_first_failure_that_counts() -> None:
    waiting = entry("acknowledgement", "a")
    record_attempt(waiting, result(THROTTLED, START_MS + 5), Resolution(OutcomeKind.RETRYING, next_ms=START_MS + 5))
    assert waiting.failed_ms == 0
    record_attempt(waiting, result(RETRY), Resolution(OutcomeKind.RETRYING, next_ms=START_MS + 5))
    assert waiting.failed_ms == START_MS + 1, "when the answer came"
    waiting.reset_schedule()
    assert waiting.failed_ms == 0


def test_a_relay_names_what_it_passes() -> None:
    names = ("acknowledgement", "handover-notification")
    notices = [entry(name, name, failures=1, next_ms=LATER) for name in names]
    step = lane_of([*notices, entry("pack-order", "b", relay=True)]).next_step(PASSES_MS)
    assert isinstance(step, Send)
    assert [one.request.id for one in step.passed] == list(names)


def test_an_entry_that_was_written_before_first_failures_were_kept_gives_way_all_the_same() -> None:
    waiting = entry("acknowledgement", "a", failures=1, next_ms=LATER, failed_ms=0)
    waiting.first_ms = START_MS
    assert _said(lane_of([waiting, entry("pack-order", "b", relay=True)]).next_step(PASSES_MS)) == "b"


def test_expiring_comes_before_sending() -> None:
    lane = lane_of([entry("acknowledgement", "a"), entry("pack-order", "b", relay=True)])
    step = lane.next_step(EXPIRES_MS)
    assert isinstance(step, Expire)


def test_an_entry_is_read_back_as_it_was_written() -> None:
    waiting = entry("pack-order", "odd|id%||", relay=True)
    record_attempt(waiting, result(RETRY), Resolution(OutcomeKind.RETRYING, next_ms=5))
    assert decode_entry(waiting.encode()) == waiting
    key = entry_key(waiting.request.lane, waiting.request.id)
    assert is_entry_key(key)
    assert names_of_entry_key(key) == (waiting.request.lane, waiting.request.id)
    assert not is_entry_key(header_key(waiting.request.lane))


def test_the_highest_class_goes_first_and_one_turn_in_four_goes_by_age() -> None:
    queue: PriorityQueue[str] = PriorityQueue()
    for n in range(12):
        queue.push(f"cancel-{n}", Priority.CANCEL, START_MS)
    queue.push("stock", Priority.STOCK, START_MS - 2)
    queue.push("return", Priority.RETURN, START_MS - 1)
    now_ms = START_MS + AGEING_MS
    popped = [taken(queue, now_ms) for _ in range(2 * AGEING_TURN)]
    assert [popped.index("stock"), popped.index("return")] == [AGEING_TURN - 1, 2 * AGEING_TURN - 1]


def test_nobody_gains_by_age_before_waiting_long() -> None:
    queue: PriorityQueue[str] = PriorityQueue()
    queue.push("stock", Priority.STOCK, START_MS)
    for n in range(AGEING_TURN + 1):
        queue.push(f"cancel-{n}", Priority.CANCEL, START_MS + 1)
    assert "stock" not in [taken(queue, START_MS + AGEING_MS - 1) for _ in range(AGEING_TURN + 1)]


def test_a_lane_keeps_the_order_of_positions_however_they_come() -> None:
    waiting = [entry("acknowledgement", str(position)) for position in (2, 0, 3, 1)]
    for one in waiting:
        one.position = int(one.request.id)
    lane = lane_of(waiting)
    assert list(lane.requests) == ["0", "1", "2", "3"]
    assert lane.first == waiting[1]
    assert [one.request.id for one in lane.behind()] == ["1", "2", "3"]


def test_a_lane_decodes_again_what_it_does_not_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.delivery.lanes.lane.DECODED_MAX", 2)
    waiting = [entry("acknowledgement", str(n)) for n in range(4)]
    lane = lane_of([*waiting, entry("pack-order", "relay", relay=True)])
    assert lane._reader.decoded == 3
    lane.release_decoded()
    assert lane._reader.decoded == 1, "a relay has a deadline"
    for one in waiting:
        assert lane.first == one
        lane.remove(one.request.id)
    lane.remove("relay")
    assert lane._reader.decoded == 0


def test_what_was_deleted_meanwhile_is_passed_over() -> None:
    lane = lane_of([entry("acknowledgement", "a"), entry("acknowledgement", "b")])
    lane.release_decoded()
    lane._reader.outbox.delete(entry_key("l", "a"))
    assert lane.first is not None
    assert lane.first.request.id == "b"
