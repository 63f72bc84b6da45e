"""The span of an attempt: in the trace of the decision at first, linked to it later, and what the far side is sent."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from streams.delivery.attempts.attempt import attempt_once
from streams.delivery.ports import Answer, AttemptResult, Call, Sender
from tests.support.logs.lines import CANARY, marked, read_lines, written
from tests.support.traces import CALLER, UNSAMPLED, recorded
from tests.unit.delivery.attempts.test_attempt_lines import SAID, Clock
from topics.configuration.channels import Destination
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.traces.context import read_traceparent

NAME = "update-order-properties"
FAR = Destination(url="https://increff.example.com/base", far_paths={NAME: "/v2/{orderCode}/update?key=secret"})
CALL = Call(
    touchpoint=BY_NAME[NAME],
    destination="increff",
    channel="demo",
    body=orjson.dumps(marked(sample(NAME).members)),
    entity="order|demo|O-1",
    subject="O-1",
    delivery_id="8a81.0",
    traceparent=CALLER.traceparent,
)


class FarSide(Sender):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.sent: list[Call] = []

    async def send(self, call: Call) -> Answer:
        self.sent.append(call)
        return self._answer


async def attempted(call: Call, answer: Answer | None = None) -> tuple[Call, AttemptResult]:
    far_side = FarSide(answer or Answer(status=200, body=b"{}"))
    result = await attempt_once(far_side, call, Clock(), FAR)
    return far_side.sent[0], result


async def test_the_first_attempt_is_below_the_decision() -> None:
    with recorded() as spans:
        sent, result = await attempted(CALL)
    (span,) = spans
    assert (span.context.trace_id, span.parent, span.links, span.error) == (CALLER.trace_id, CALLER, (), "")
    assert sent.traceparent == result.traceparent == span.context.traceparent
    assert span.name == "PUT /v2/{orderCode}/update"
    assert span.attributes["server.address"] == "increff.example.com"
    assert span.attributes["sluice.event_id"] == "8a81"


@pytest.mark.parametrize("later", [replace(CALL, attempt=2), replace(CALL, redrive="r-1")])
async def test_a_retry_and_a_redrive_are_linked_to_the_decision(later: Call) -> None:
    with recorded() as spans, written() as kept:
        sent, _ = await attempted(later)
    (span,) = spans
    assert (span.parent, span.links) == (None, (CALLER,))
    assert span.context.trace_id != CALLER.trace_id
    assert sent.traceparent == span.context.traceparent
    assert read_lines(kept)[0]["trace_id"] == CALLER.trace_id


@pytest.mark.parametrize("handed_on", [UNSAMPLED.traceparent, ""])
async def test_what_is_not_recorded_is_handed_on_as_it_came(handed_on: str) -> None:
    with recorded(ratio=1.0) as spans:
        sent, result = await attempted(replace(CALL, traceparent=handed_on))
    assert (spans, sent.traceparent, result.traceparent) == ([], handed_on, handed_on)


async def test_without_a_collector_a_trace_is_handed_on() -> None:
    sent, result = await attempted(CALL)
    assert sent.traceparent == result.traceparent == CALLER.traceparent


async def test_a_call_with_stock_begins_a_trace_for_its_share() -> None:
    stock = replace(CALL, entity="", traceparent="")
    with recorded(ratio=1.0) as spans:
        sent, _ = await attempted(stock)
    assert read_traceparent(sent.traceparent) == spans[0].context
    with recorded(ratio=0.0) as none:
        await attempted(stock)
    assert none == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [(Answer(status=400, body=SAID), "400"), (Answer(status=None, error=CANARY), "no-answer")],
)
async def test_a_failure_has_no_words_of_the_far_side(answer: Answer, error: str) -> None:
    with recorded() as spans:
        await attempted(CALL, answer)
    told: dict[str, Any] = dict(spans[0].attributes)
    assert (spans[0].error, told["error.type"]) == (error, error)
    assert CANARY not in str(spans)
