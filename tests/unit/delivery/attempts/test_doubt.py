"""A refusal that tells of an earlier success is one, if an earlier attempt is in doubt; any other stays a refusal."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from streams.delivery.attempts.attempt import finish
from streams.delivery.attempts.classify import classify
from streams.delivery.attempts.doubt import FORMER_OWNER_MS, as_taken, is_in_doubt, leaves_doubt
from streams.delivery.attempts.retry_schedule import RetrySchedule
from streams.delivery.destinations import taken_forms_of
from streams.delivery.outbox.records import OutboxEntry, decode_entry
from streams.delivery.ports import Answer, AttemptResult, ResponseClass
from tests.fakes.delivery import request_for
from topics.configuration.channels import IncreffDestination
from topics.contract.taken_before import TAKEN_BEFORE, TakenForms
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import OutcomeKind, decode_outcome

NOW_MS = 1_760_000_000_000
LONG_AGO_MS = NOW_MS - 2 * FORMER_OWNER_MS
CREATE = "create-outward-order"
FORMS = TakenForms({})


def entry_of(touchpoint: str = CREATE, **members: Any) -> OutboxEntry:
    again = members.pop("again", False)
    request = replace(request_for(touchpoint, "O-1", "r-1"), again=again)
    return OutboxEntry(request=request, position=0, queued_ms=members.pop("queued_ms", NOW_MS), **members)


def result_of(touchpoint: str, status: int | None, body: bytes = b"", error: str = "") -> AttemptResult:
    verdict = classify(BY_NAME[touchpoint], {}, Answer(status=status, body=body, error=error), NOW_MS)
    return AttemptResult(
        kind=verdict.kind, at_ms=NOW_MS, took_ms=1.0, status=status, body=verdict.body, message=verdict.message
    )


SAID: list[tuple[str, int, bytes]] = [
    (CREATE, 409, b""),
    (CREATE, 409, b"<html>Conflict</html>"),
    (CREATE, 400, b'{"code":"BAD_DATA","message":"Order already exists"}'),
    (
        CREATE,
        400,
        b'{"message":"Input validation failed","description":"[code X already present]"}',
    ),
    (CREATE, 400, b'{"code":"ORDER_ALREADY_EXISTS","message":"no"}'),
    (CREATE, 422, b'{"errors":[{"message":"Duplicate order code"}]}'),
    (CREATE, 200, b'{"hasError":true,"errorMessage":"Outward Order was ALREADY CREATED"}'),
    ("create-return-order", 409, b""),
    ("create-return-order", 400, b'{"message":"duplicate return order"}'),
    ("add-return-order-items", 400, b'{"message":"item R-1 already exists"}'),
    ("customer-cancellation", 400, b'{"message":"Order is already cancelled"}'),
    ("cancel-return-order-items", 400, b'{"message":"items already in CANCELED state"}'),
    ("seller-cancellation", 409, b'{"hasError":true,"errorMessage":"already been cancelled"}'),
    ("acknowledgement", 400, b'{"errorMessage":"order already acknowledged"}'),
    ("pack-order", 409, b'{"hasError":true,"errorMessage":"Shipment 7 already exists"}'),
    ("pack-order", 400, b'{"errorMessage":"already packed"}'),
    ("create-manifest", 400, b'{"errorMessage":"already manifested"}'),
    ("handover-notification", 400, b'{"errorMessage":"shipment already handed over"}'),
    ("return-order-acknowledgement", 400, b'{"errorMessage":"already inspected"}'),
]
NOT_SAID: list[tuple[str, int, bytes]] = [
    (CREATE, 400, b'{"code":"BAD_DATA","message":"SKU is not listed"}'),
    (CREATE, 400, b'{"message":"duplicate order item code I1"}'),
    (CREATE, 400, b'{"message":"duplicate order line 1"}'),
    (CREATE, 400, b'{"message":"Order item code I1 already exists in order O-9"}'),
    (CREATE, 400, b'{"message":"ORDER_ITEM_ALREADY_EXISTS"}'),
    (CREATE, 400, b'{"message":"Input validation failed","description":"[orderItemCode I1 already present]"}'),
    (CREATE, 409, b'{"message":"orderItemCode I1 is already used"}'),
    (CREATE, 409, b'{"message":"AWB number 123 was already used"}'),
    (CREATE, 400, b'{"hasError":true,"errorMessage":"serial number X already registered"}'),
    ("create-return-order", 409, b'{"message":"returnOrderItemCode R-1 already received"}'),
    (CREATE, 400, b'{"code":"DUPLICATE_ORDER_LINE","message":"I1"}'),
    (CREATE, 400, b'{"message":"the location does not already exist"}'),
    ("add-return-order-items", 400, b'{"message":"item R-1 of the order does not already exist"}'),
    (CREATE, 404, b""),
    (CREATE, 422, b""),
    ("add-return-order-items", 409, b'{"message":"the return has arrived"}'),
    ("customer-cancellation", 409, b""),
    ("customer-cancellation", 409, b'{"message":"already packed, cannot be cancelled"}'),
    ("customer-cancellation", 400, b'{"message":"already invoiced: it may not be cancelled"}'),
    ("pack-order", 409, b'{"errorMessage":"the order is already cancelled"}'),
    ("pack-order", 409, b""),
    ("create-manifest", 409, b""),
    ("update-order-properties", 409, b'{"message":"already exists"}'),
    ("get-invoice", 409, b'{"errorMessage":"already exists"}'),
]


@pytest.mark.parametrize(("touchpoint", "status", "body"), SAID)
def test_a_repeat_that_was_carried_out_before_is_a_success(touchpoint: str, status: int, body: bytes) -> None:
    refused = result_of(touchpoint, status, body)
    assert refused.kind is ResponseClass.REFUSED
    taken = as_taken(entry_of(touchpoint, in_doubt=True), refused, FORMS, LONG_AGO_MS)
    assert (taken.kind, taken.taken_before, taken.status) == (ResponseClass.DELIVERED, True, status)
    assert as_taken(entry_of(touchpoint), refused, FORMS, LONG_AGO_MS) is refused, "no doubt: nothing was sent before"


@pytest.mark.parametrize(("touchpoint", "status", "body"), NOT_SAID)
def test_another_refusal_of_a_repeat_stays_one(touchpoint: str, status: int, body: bytes) -> None:
    refused = result_of(touchpoint, status, body)
    assert as_taken(entry_of(touchpoint, in_doubt=True), refused, FORMS, LONG_AGO_MS) is refused


def test_every_form_is_tried() -> None:
    assert {touchpoint for touchpoint, _, _ in SAID} == set(TAKEN_BEFORE)


@pytest.mark.parametrize(
    ("status", "body", "error", "doubt"),
    [
        (None, b"", "no answer within 30 s", True),
        (None, b"", "ServerDisconnectedError", True),
        (200, b'{"a', "the answer was cut off", True),
        (500, b"", "", True),
        (502, b"", "", True),
        (503, b"", "", True),
        (408, b"", "", True),
        (429, b"", "", False),
        (401, b"", "", False),
        (403, b"", "", False),
        (400, b"", "", False),
        (200, b"", "", False),
    ],
)
def test_what_leaves_doubt(status: int | None, body: bytes, error: str, doubt: bool) -> None:
    assert leaves_doubt(result_of(CREATE, status, body, error)) is doubt


@pytest.mark.parametrize(
    ("entry", "doubt"),
    [
        (entry_of(), False),
        (entry_of(attempts=1), False),
        (entry_of(in_doubt=True), True),
        (entry_of(again=True), True),
        (entry_of(dead_at=3), True),
        (entry_of(queued_ms=LONG_AGO_MS), True),
        (entry_of(queued_ms=LONG_AGO_MS - 1_000_000), True),
        (entry_of(queued_ms=LONG_AGO_MS + FORMER_OWNER_MS), True),
        (entry_of(queued_ms=LONG_AGO_MS + FORMER_OWNER_MS + 1), False),
    ],
    ids=["new", "tried", "in doubt", "again", "redriven", "at takeover", "before it", "zombie's time", "after it"],
)
def test_a_request_is_in_doubt_when_something_may_have_sent_it_before(entry: OutboxEntry, doubt: bool) -> None:
    """A process that dies between sending and recording leaves nothing: what it may have sent is in doubt."""
    assert is_in_doubt(entry, LONG_AGO_MS) is doubt


def finished(entry: OutboxEntry, result: AttemptResult) -> Any:
    schedule = RetrySchedule(first_ms=100, max_ms=1000, give_up_ms=10_000)
    return finish(entry, result, schedule, NOW_MS, Random(1), partition=0)


def test_doubt_is_durable_and_outlasts_definite_answers() -> None:
    entry = entry_of()
    for status in (503, 429, 401):
        done = finished(entry, result_of(CREATE, status))
        assert not done.leaves
        kept = decode_entry(done.changes[0].value)
        assert kept.in_doubt
        entry = kept
    taken = as_taken(entry, result_of(CREATE, 409), FORMS, LONG_AGO_MS)
    done = finished(entry, taken)
    assert (done.kind, done.leaves) == (OutcomeKind.DELIVERED, True)


def test_an_entry_of_a_version_before_is_read() -> None:
    raw = entry_of().encode().replace(b',"in_doubt":false', b"").replace(b',"again":false', b"")
    assert b"in_doubt" not in raw
    assert b"again" not in raw
    assert not is_in_doubt(decode_entry(raw), LONG_AGO_MS)


def test_the_attempt_keeps_its_status_and_the_caller_gets_a_success() -> None:
    said = b'{"hasError":true,"errorMessage":"already packed","shipmentCode":"S-1","more":1}'
    entry = entry_of("pack-order", in_doubt=True)
    done = finished(entry, as_taken(entry, result_of("pack-order", 409, said), FORMS, LONG_AGO_MS))
    attempted, outcome = done.effects
    assert b'"status":409' in attempted.value
    told = decode_outcome(outcome.value)
    assert (told.kind, told.status, told.body) == (OutcomeKind.DELIVERED, 200, {"shipmentCode": "S-1"})
    assert told.attempt is not None
    assert told.attempt.status == 409
    assert "already packed" in told.message


def test_forms_of_a_destination_replace_the_usual_ones_of_a_touchpoint() -> None:
    config = IncreffDestination(url="http://increff", taken_before={CREATE: ("code_in_use", "406")})
    forms = taken_forms_of(config)
    assert forms is not None
    assert forms.are_said(CREATE, 400, "no: CODE_IN_USE")
    assert forms.are_said(CREATE, 406, "")
    assert not forms.are_said(CREATE, 409, "already exists")
    assert forms.are_said("create-return-order", 409, "")


@pytest.mark.parametrize(
    ("forms", "text"),
    [({"create-order": ("409",)}, "is not a touchpoint"), ({CREATE: ("already(",)}, "is not a regular expression")],
)
def test_a_form_that_cannot_be_used_is_named(forms: dict[str, tuple[str, ...]], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        IncreffDestination(url="http://increff", taken_before=forms)
