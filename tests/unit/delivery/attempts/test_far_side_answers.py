"""Whatever a far side answers, the role lives on: an answer is judged, told and kept within what a record can hold."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.delivery.attempts import attempt as attempts
from streams.delivery.attempts.classify import classify
from streams.delivery.outbox.intake import ENTRY_BYTES_MAX
from streams.delivery.ports import Answer, ResponseClass
from streams.runtime.durability.publisher import fits
from tests.fakes.delivery import START_MS, Played, channels_for, request_for
from topics.contract.touchpoints import BY_NAME
from topics.schema_base import VALUES_MAX

DEEP = b'{"a":' * 300 + b"1" + b"}" * 300
GROWN = b'{"a":[' + b",".join([b"1e15"] * 800_000) + b"]}"
"""Under 4 MiB as it comes, over 15 MB as it would be written again."""


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("raw", [DEEP, GROWN], ids=["deep", "grown"])
async def test_no_answer_ends_the_role(status: int, raw: bytes) -> None:
    worker = await Played(channels_for()).start()
    worker.sender.far = lambda _call, _: Answer(status=status, headers={}, body=raw)
    worker.give(request_for("acknowledgement", "A", "ack"), request_for("create-outward-order", "B", "create"))
    worker.give(request_for("pack-order", "C", "pack", deadline_ms=START_MS + 20_000))
    await worker.clock.run_for(20_000)
    assert worker.crashes == []
    assert all(fits(effect.value) for effect in worker.durable.effects)
    assert all(outcome.body is None for outcome in worker.outcomes())
    ended = {200: "delivered", 400: "refused"}.get(status)
    assert worker.final().get("create") == ended
    assert worker.final()["pack"] == ("refused" if status == 400 else "expired")


async def test_only_a_relays_answer_travels_to_the_order() -> None:
    worker = await Played(channels_for()).start()
    worker.sender.far = lambda _call, _: Answer(status=200, headers={}, body=b'{"shipmentCode":"S"}')
    worker.give(request_for("create-outward-order", "A", "create"))
    worker.give(request_for("pack-order", "B", "pack", deadline_ms=START_MS + 20_000))
    await worker.clock.run_for(100)
    bodies = {outcome.request: outcome.body for outcome in worker.outcomes()}
    assert bodies == {"create": None, "pack": {"shipmentCode": "S"}}


async def test_an_answer_that_cannot_be_judged_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await Played(channels_for()).start()

    def unable(*about: Any) -> Any:
        if not worker.outcomes():
            raise RecursionError("played")
        return classify(*about)

    monkeypatch.setattr(attempts, "classify", unable)
    worker.give(request_for("create-outward-order", "A", "create"))
    await worker.clock.run_for(60_000)
    assert worker.crashes == []
    assert worker.final() == {"create": "delivered"}


async def test_a_request_that_would_outgrow_its_record_is_set_aside_before_it_is_tried() -> None:
    worker = await Played(channels_for()).start()
    worker.give(request_for("create-outward-order", "A", "create", body={"note": "x" * ENTRY_BYTES_MAX}))
    assert [poison.code for poison in worker.poisoned] == ["too_large"]
    await worker.clock.run_for(1_000)
    assert worker.sender.arrivals == []


def test_an_answer_of_too_many_values_is_judged_by_few_of_them() -> None:
    raw = b'{"x":[' + b"[]," * VALUES_MAX + b'[]],"errorMessage":"no","hasError":%b}'
    for name in ("pack-order", "create-outward-order"):
        refused = classify(BY_NAME[name], None, Answer(status=200, body=raw % b"true"), 0)
        assert (refused.kind, refused.message) == (ResponseClass.REFUSED, "no")
    relay = classify(BY_NAME["pack-order"], None, Answer(status=200, body=raw % b"false"), 0)
    assert (relay.kind, relay.body) == (ResponseClass.RETRY, None)
    assert "too many values" in relay.message


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"<html><title>Sign in, Jane Doe</title>", "HTML"),
        (b'{"success":false,"message":"Jane Doe is unknown"}', "other words"),
        (b'{"hasError":"Jane Doe"}', "neither true nor false"),
        (b'{"errorMessage":"Jane Doe",}', "cannot be read"),
    ],
)
async def test_an_attempt_says_what_was_wrong_with_its_answer_and_quotes_nothing_of_it(raw: bytes, why: str) -> None:
    """The order's history and its dead letter have the far side's words, records of attempts may not name people."""
    worker = await Played(channels_for(increff={"retry_for_s": 3})).start()
    worker.sender.far = lambda _call, _: Answer(status=200, body=raw)
    worker.give(request_for("create-outward-order", "A", "create"))
    await worker.clock.run_for(60_000)
    attempts = [
        orjson.loads(effect.value) for effect in worker.durable.effects if effect.topic == "deliveries.attempts"
    ]
    assert len(attempts) > 1
    for attempt in attempts:
        assert (attempt["status"], attempt["class"]) == (200, "retry")
        assert why in attempt["error"]
        assert b"Jane" not in orjson.dumps(attempt)
    [letter] = [orjson.loads(effect.value) for effect in worker.durable.effects if effect.topic == "deliveries.dead"]
    assert "Jane Doe" in letter["message"]
    assert all("Jane Doe" in outcome.message for outcome in worker.outcomes())


@pytest.mark.parametrize(
    "lost", [Answer(status=None, error="reset"), Answer(status=200, body=b"<html>"), Answer(status=500)]
)
async def test_a_repeat_that_fails_in_other_words_because_it_was_carried_out_is_a_success(lost: Answer) -> None:
    worker = await Played(channels_for()).start()
    worker.sender.far = lambda _call, before: (
        lost if before == 0 else Answer(status=200, body=b'{"success":false,"message":"Order A already exists"}')
    )
    worker.give(request_for("create-outward-order", "A", "create"))
    await worker.clock.run_for(60_000)
    assert worker.final() == {"create": "delivered"}
    assert len(worker.sender.arrivals) == 2
