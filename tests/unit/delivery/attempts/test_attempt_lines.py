"""The line of an attempt says whose it is and how it ended, and nothing of what was sent or answered."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.delivery.attempts.attempt import attempt_once
from streams.delivery.ports import Answer, Call, Sender
from tests.support.logs.lines import CANARY, marked, read_lines, written
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME


class Clock:
    now = 1_760_000_000_000

    def now_ms(self) -> int:
        self.now += 3
        return self.now

    async def wait(self, event: Any, until_ms: float | None) -> None:
        raise AssertionError("nothing waits here")


class FarSide(Sender):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def send(self, call: Call) -> Answer:
        call.read_members()
        return self._answer


SAID = orjson.dumps({"code": CANARY, "message": CANARY, "description": CANARY, "hasError": True, CANARY: CANARY})


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(status=200, body=SAID), "refused"),
        (Answer(status=400, body=SAID), "refused"),
        (Answer(status=503, body=SAID, headers={"Retry-After": CANARY}), "retry"),
        (Answer(status=200, body=f"<html>{CANARY}".encode()), "retry"),
        (Answer(status=None, error="timed out"), "retry"),
    ],
)
async def test_an_attempt(answer: Answer, kind: str) -> None:
    name = "create-outward-order"
    call = Call(
        touchpoint=BY_NAME[name],
        destination="increff",
        channel="demo",
        body=orjson.dumps(marked(sample(name).members)),
        subject="O-1",
        delivery_id="8a81.0",
        attempt=2,
    )
    with written() as kept:
        await attempt_once(FarSide(answer), call, Clock())
    (line,) = read_lines(kept)
    assert (line["subject"], line["event_id"], line["delivery_id"], line["attempt"]) == ("O-1", "8a81", "8a81.0", 2)
    assert (line["class"], line["status"], line["took_ms"]) == (kind, answer.status, 3)
    assert CANARY not in str(line)


async def test_a_body_that_cannot_be_read() -> None:
    call = Call(
        touchpoint=BY_NAME["pack-order"],
        destination="channel:demo",
        channel="demo",
        body=f'{{"x": {CANARY}}}'.encode(),
        delivery_id="d.0",
    )
    with written() as kept:
        await attempt_once(FarSide(Answer(status=200)), call, Clock())
    (line,) = read_lines(kept)
    assert line["error"].startswith("the request cannot be sent as it is")
    assert CANARY not in str(line)
