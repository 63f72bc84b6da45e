"""Answers to stock calls that do not say which SKU failed: nothing of the call counts as acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from streams.delivery.attempts.classify import classify
from streams.delivery.ports import Answer, AnswerFault, AttemptResult, ResponseClass
from streams.delivery.stock.calls import LOCATION_WISE
from tests.unit.delivery.stock.test_sending import Stage, delivered, staged
from topics.contract.definition import Touchpoint

UNNAMED: tuple[Any, ...] = ([{"row": 1}], [None], {"X": "no"}, "one was not listed", ["X"], 1)


def unusable() -> float:
    labels = {"channel": "demo", "touchpoint": "location-wise-atp-inventory", "fault": "unnamed"}
    return REGISTRY.get_sample_value("sluice_delivery_unusable_answers_total", labels) or 0.0


@pytest.mark.parametrize("failures", UNNAMED, ids=str)
async def test_the_sku_at_fault_is_found_in_smaller_calls_and_the_others_are_told(failures: Any) -> None:
    """The channel takes all but `c`, and never says so in a way that can be read."""
    async with staged() as stage:
        _answers(stage, lambda skus: {"successList": [], "failureList": failures if "c" in skus else []})
        before = unusable()
        stage.change("L1", a=1, b=1, c=1, d=1)
        await stage.open()
        assert [stage.sent(sku) for sku in "abcd"] != [1, 1, 1, 1]
        assert stage.sent("c") is None
        assert unusable() > before
        await stage.clock.run_for(60_000)
        assert [stage.sent(sku) for sku in "abcd"] == [1, 1, None, 1]
        assert stage.doubtful() == ["c"]
        alone = [skus for skus in stage.caller.skus() if skus == ["c"]]
        assert 3 <= len(alone) < 20, "tried again, more and more seldom"


async def test_a_sku_of_such_a_call_is_sent_again_though_its_position_is_back_at_what_was_sent() -> None:
    """The channel may have taken the value in between."""
    async with staged() as stage:
        stage.change("L1", a=1, b=1)
        await stage.open()
        stage.caller.answers = [delivered({"failureList": [None]})]
        stage.caller.during = lambda: stage.change("L1", a=1) if len(stage.caller.calls) == 2 else None
        stage.change("L1", a=2)
        await stage.clock.run_for(10_000)
        assert [call["inventories"][0]["quantity"] for call in stage.caller.calls] == [1, 2, 1]
        assert stage.doubtful() == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"hasError":true,"successList":["a"],"failureList":["b"]}'),
        (200, b'{"hasError":true,"errorMessage":"not all were taken"}'),
        (422, b'{"data":{"success_list":["a"]},"message":"b is not listed"}'),
        (503, b""),
    ],
)
async def test_of_a_call_that_failed_as_a_whole_some_may_have_been_taken(status: int, body: bytes) -> None:
    """The channel took 2 of `a`; then its position is back at the 1 that it acknowledged last."""
    async with staged() as stage:
        stage.change("L1", a=1, b=1)
        await stage.open()
        headers = {"Retry-After": "1"} if status == 503 else {}
        verdict = classify(LOCATION_WISE, {}, Answer(status=status, headers=headers, body=body), 0)
        assert verdict.kind is (ResponseClass.THROTTLED if headers else ResponseClass.REFUSED)
        refused = AttemptResult(
            kind=verdict.kind, at_ms=stage.clock.now_ms(), took_ms=1, status=status, body=verdict.body
        )
        stage.caller.answers = [refused]
        stage.caller.during = lambda: stage.change("L1", a=1) if len(stage.caller.calls) == 2 else None
        stage.change("L1", a=2, b=2)
        await stage.clock.run_for(10_000)
        last = [item for call in stage.caller.calls[2:] for item in call["inventories"]]
        assert {item["channelSkuCode"]: item["quantity"] for item in last} == {"a": 1, "b": 2}
        assert stage.doubtful() == []


async def test_killed_after_such_an_answer_the_next_owner_sends_all_of_the_call() -> None:
    async with staged() as stage:
        stage.change("L1", a=1, b=1)
        await stage.open()
        _answers(stage, lambda _: {"failureList": "some"})
        stage.change("L1", a=2, b=2)
        await stage.clock.run_for(100)
        stage.change("L1", a=1, b=1)
        _answers(stage, lambda _: {})
        calls = len(stage.caller.calls)
        await stage.kill_and_begin_again()
        assert sorted(sku for skus in stage.caller.skus()[calls:] for sku in skus) == ["a", "b"]


async def test_a_sku_in_neither_list_is_sent_again_and_may_have_been_taken() -> None:
    async with staged() as stage:
        stage.change("L1", a=1, b=1)
        await stage.open()
        stage.caller.answers = [delivered({"successList": ["a"]})]
        stage.caller.during = lambda: stage.change("L1", b=1) if len(stage.caller.calls) == 2 else None
        stage.change("L1", a=2, b=2)
        await stage.clock.run_for(10_000)
        assert stage.sent("a") == 2
        assert stage.caller.skus() == [["a", "b"], ["a", "b"], ["b"]]
        assert stage.caller.calls[-1]["inventories"][0]["quantity"] == 1
        assert stage.doubtful() == []


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b'\xef\xbb\xbf{"failureList":["b"]}', None),
        ('{"failureList":["b"]}'.encode("utf-16"), None),
        (b'{"FailureList":[{"sku":"b","reason":"\xfc"}]}', None),
        (b'{"data":{"failureList":{"b":"\\ud800"}}}', None),
        (b'{"success":false,"message":"one failed"}', AnswerFault.FAILED),
        (b'{"hasError":"maybe"}', AnswerFault.UNCLEAR),
        (b'{"failureList":["b"]', AnswerFault.NOT_JSON),
        (b"<html>Sign in</html>", AnswerFault.PAGE),
        (b'["a"]', AnswerFault.NO_OBJECT),
        (b"one failed", AnswerFault.TEXT),
    ],
)
async def test_from_the_bytes_on_a_sku_that_failed_is_never_taken_for_told(
    raw: bytes, fault: AnswerFault | None
) -> None:
    async with staged() as stage:

        async def answer(touchpoint: Touchpoint, members: dict[str, Any], weight: float) -> AttemptResult:
            stage.caller.calls.append(members)
            names_b = any(item["channelSkuCode"] == "b" for item in members["inventories"])
            said = Answer(status=200, body=raw if fault is not None or names_b else b"{}")
            verdict = classify(touchpoint, members, said, stage.clock.now_ms())
            assert verdict.fault is fault or not names_b
            return AttemptResult(
                kind=verdict.kind,
                at_ms=stage.clock.now_ms(),
                took_ms=1,
                status=200,
                body=verdict.body,
                message=verdict.message,
                fault=verdict.fault,
            )

        stage.caller.answer = answer  # type: ignore[method-assign]
        stage.change("L1", a=1, b=1)
        await stage.open()
        await stage.clock.run_for(30_000)
        assert stage.sent("b") is None
        assert stage.sent("a") == (1 if fault is None else None)
        assert len([skus for skus in stage.caller.skus() if "b" in skus]) > 2, "tried again"


def _answers(stage: Stage, body: Callable[[list[str]], dict[str, Any]]) -> None:
    async def answer(touchpoint: Touchpoint, members: dict[str, Any], weight: float) -> AttemptResult:
        stage.caller.calls.append(members)
        stage.caller.during()
        said = body([item["channelSkuCode"] for item in members["inventories"]])
        at_ms = stage.clock.now_ms()
        return AttemptResult(kind=ResponseClass.DELIVERED, at_ms=at_ms, took_ms=1, status=200, body=said)

    stage.caller.answer = answer  # type: ignore[method-assign]
