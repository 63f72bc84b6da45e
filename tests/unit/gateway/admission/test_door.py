"""The door of a gateway, over real sockets: who is let in, who is answered 503 at the head, what is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest

from gateway.admission.calls import Calls
from gateway.admission.door import Door
from gateway.admission.limiter import START, Limiter
from gateway.ports import Overloaded
from tests.fakes.overloaded_gateway import Caller, Served, order, order_head, served
from tests.support.eventually import eventually
from topics.contract.sample_files import sample

DEMO = ("demo", "demo-secret")
SECOND = ("second", "s")
LIMIT = 4
CANCELLATION = b"/assure-magic2/orders/O-1/cancel"
"""A relay of a marketplace."""


def holds(at: Served, channel: str, count: int) -> Callable[[], bool]:
    return lambda: at.calls.party(channel).held == count


async def released(at: Served, count: int) -> None:
    """Lets so many calls have their verdicts, once all of them wait for one."""
    await eventually(lambda: len(at.kafka.held) == count)
    at.kafka.release()


async def filled(at: Served) -> list[Caller]:
    """The first channel uses the whole limit."""
    callers = [await at.caller(order(*DEMO, f"O-{number}")) for number in range(LIMIT)]
    await eventually(holds(at, "demo", LIMIT))
    await eventually(lambda: len(at.kafka.held) == LIMIT)
    return callers


async def test_the_excess_is_refused_before_its_body_comes() -> None:
    async with served(LIMIT) as at:
        within = await filled(at)
        beyond = await at.caller(order_head(*DEMO, 1_000))
        status, headers, body = await beyond.answer()
        assert (status, body["code"]) == (503, "OVERLOADED")
        assert int(headers["retry-after"]) >= 1
        assert len(at.kafka.records) == LIMIT
        beyond.send(b"x" * 1_000)
        await released(at, LIMIT)
        assert [(await one.answer())[0] for one in within] == [200] * LIMIT
        await eventually(holds(at, "demo", 0))
        await eventually(lambda: not at.calls.shares.contended)
        beyond.send(order(*DEMO, "O-again"))
        await released(at, 1)
        assert (await beyond.answer())[0] == 200, "the connection goes on"


async def test_a_channel_within_its_share_never_notices() -> None:
    async with served(LIMIT) as at:
        await filled(at)
        for number in range(20):
            assert (await (await at.caller(order(*DEMO, f"X-{number}"))).answer())[0] == 503
        others = [await at.caller(order(*SECOND, f"S-{number}")) for number in range(2)]
        await eventually(holds(at, "second", 2))
        await released(at, LIMIT + 2)
        assert [(await one.answer())[0] for one in others] == [200, 200]


async def test_probes_metrics_and_the_api_are_answered_when_all_is_full() -> None:
    async with served(LIMIT) as at:
        await filled(at)
        assert (await (await at.caller(order(*DEMO, "X"))).answer())[0] == 503
        for path, admin in ((b"/ready", False), (b"/live", False), (b"/metrics", True), (b"/api/subscriptions", True)):
            caller = await at.caller(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path, admin=admin)
            assert (await caller.answer())[0] == 200, path
        text = at.metrics.text().decode()
        assert 'sluice_gateway_calls_in_hand{channel="demo"} 4.0' in text
        assert 'sluice_gateway_refused_total{channel="demo",reason="calls"} 1.0' in text
        assert "sluice_gateway_calls_limit 4.0" in text
        await eventually(lambda: any(b'"refused"' in line for line in at.log))


async def test_a_name_that_is_only_claimed_takes_nothing_from_its_channel() -> None:
    async with served(LIMIT) as at:
        proven = await at.caller(order(*SECOND, "S-0"))
        await released(at, 1)
        assert (await proven.answer())[0] == 200
        await filled(at)
        liars = [await at.caller(order("second", "wrong", f"L-{number}")) for number in range(30)]
        proven.send(order(*SECOND, "S-1"))
        await eventually(holds(at, "second", 1))
        assert {(await liar.answer())[0] for liar in liars} <= {401, 429, 503}
        await eventually(lambda: at.calls.party("second").claims == 0)
        await released(at, LIMIT + 1)
        assert (await proven.answer())[0] == 200


@pytest.mark.parametrize("slashes", [b"/", b"//"])
async def test_every_caller_is_answered_in_the_shape_it_knows(slashes: bytes) -> None:
    async with served(LIMIT) as at:
        await filled(at)
        assert (await (await at.caller(order(*DEMO, "X"))).answer())[2]["code"] == "OVERLOADED"
        pack = (
            b"POST " + slashes + b"channels/demo/orders/outward/O/pack HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        )
        status, _headers, body = await (await at.caller(pack)).answer()
        assert (status, body["hasError"]) == (503, True)


async def test_a_relay_that_waits_for_its_far_side_is_no_call_in_hand() -> None:
    async with served(LIMIT, relays_max=6) as at:
        body = orjson.dumps(sample("customer-cancellation").body)
        head = order_head(*DEMO, len(body)).replace(b"POST /assure-magic2/orders/outward", b"PUT " + CANCELLATION)
        for count in range(1, LIMIT + 3):
            await at.caller(head, body)
            await eventually(lambda: (at.calls.relays.held, at.calls.shares.held) == (count, 0))  # noqa: B023
        one_more = await at.caller(head, body)
        status, headers, answer = await one_more.answer()
        assert (status, answer["code"], "retry-after" in headers) == (503, "OVERLOADED", True)
        await at.caller(order(*DEMO, "O-2"))
        await eventually(holds(at, "demo", 1))


@pytest.mark.parametrize("when", ["while its body comes", "while it waits for its verdict"])
async def test_a_caller_that_goes_away_gives_its_place_back(when: str) -> None:
    async with served(LIMIT) as at:
        for number in range(3):
            sent = order_head(*DEMO, 500) if when == "while its body comes" else order(*DEMO, f"O-{number}")
            caller = await at.caller(sent)
            await eventually(lambda: at.calls.shares.held == 1)
            caller.writer.close()
            if when != "while its body comes":
                await released(at, 1)
            await eventually(lambda: at.calls.shares.held == 0)
        assert at.calls.party("demo").claims == at.calls.others.claims == 0


async def test_a_handler_that_fails_gives_its_place_back() -> None:
    async with served(LIMIT) as at:
        for error in (RuntimeError("unforeseen"), Overloaded("full"), TimeoutError()):
            at.kafka.fails = error
            assert (await (await at.caller(order(*DEMO, "O"))).answer())[0] in (500, 503)
        assert at.calls.shares.held == 0


async def test_a_request_that_cannot_be_parsed_gives_its_place_back() -> None:
    async with served(LIMIT) as at:
        for sent in (b"GET / HTTP/9.9\r\n\r\n", b"POST /x HTTP/1.1\r\nA\x00: b\r\n\r\n", b"GET /ready HTTP/1.1\r\nHo"):
            caller = await at.caller(sent)
            caller.writer.write_eof()
            await asyncio.wait_for(caller.reader.read(), 10)
        await eventually(lambda: at.calls.shares.held == 0)


class Line:
    """A connection as the door sees it."""

    peer = "127.0.0.1"
    made = 0.0
    ticket: object = None


async def test_a_flood_of_an_idle_gateway_gets_the_limit_once() -> None:
    """Nobody is asked who it is at first; what comes in so must not come on top of the share."""
    calls = Calls(("demo", "second"), Limiter(16, 2_000, 0.25))
    door = Door(calls, lambda username: username)
    head = order_head(*DEMO, 100)
    lines = [Line() for _ in range(5 * START)]
    let_in = [line for line in lines if door.admit(head, head.lower(), line) is None]
    assert START <= len(let_in) <= 1.3 * START
