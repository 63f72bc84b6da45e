"""After a standstill nothing is taken that may have waited meanwhile: its caller may have sent something newer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.admission.standstill import GAP_S, RESENT_S, SETTLE_S, Standstill
from gateway.ports import StoodStill
from tests.fakes.overloaded_gateway import order, served
from tests.support.eventually import eventually

DEMO = ("demo", "demo-secret")


@dataclass
class Clocks:
    now: float = 100.0
    wall: float = 1_000.0

    def run(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def standstill(clocks: Clocks) -> Standstill:
    made = Standstill(lambda: clocks.now, lambda: clocks.wall)
    made.beat()
    return made


def beats(standstill: Standstill, clocks: Clocks, seconds: float) -> None:
    for _ in range(int(seconds / 0.25)):
        clocks.run(0.25)
        standstill.beat()


def test_a_loop_that_runs_refuses_nothing(standstill: Standstill, clocks: Clocks) -> None:
    for _ in range(5):
        clocks.run(GAP_S)
        assert not standstill.refuses(made=0.0)
        standstill.check(0)
        standstill.beat()
    assert standstill.count == 0


def test_what_comes_first_after_a_gap_notices_it_before_any_timer(standstill: Standstill, clocks: Clocks) -> None:
    count = standstill.count
    clocks.run(8.0)
    assert standstill.refuses(made=0.0)
    with pytest.raises(StoodStill):
        standstill.check(count)
    standstill.check(standstill.count)


def test_a_call_that_the_gap_cuts_is_refused_whenever_it_goes_on(standstill: Standstill, clocks: Clocks) -> None:
    count = standstill.count
    clocks.run(8.0)
    standstill.beat()
    beats(standstill, clocks, 60.0)
    with pytest.raises(StoodStill):
        standstill.check(count)


def test_a_machine_that_was_suspended_tells_by_its_wall_clock(standstill: Standstill, clocks: Clocks) -> None:
    clocks.wall += 8.0
    assert standstill.refuses(made=clocks.now)


def test_a_wall_clock_that_is_set_back_is_no_gap(standstill: Standstill, clocks: Clocks) -> None:
    clocks.wall -= 3_600.0
    assert not standstill.refuses(made=0.0)


@pytest.mark.parametrize(("gap_s", "refused_s"), [(2.5, 2.5), (8.0, 8.0), (3_600.0, RESENT_S)])
def test_old_connections_are_refused_as_long_as_the_gap_took(
    standstill: Standstill, clocks: Clocks, gap_s: float, refused_s: float
) -> None:
    before = clocks.now
    clocks.run(gap_s)
    assert standstill.refuses(made=clocks.now), "it may have been accepted from the queue"
    beats(standstill, clocks, SETTLE_S)
    assert not standstill.refuses(made=clocks.now)
    assert standstill.refuses(made=before)
    beats(standstill, clocks, refused_s - SETTLE_S - 0.25)
    assert standstill.refuses(made=before)
    beats(standstill, clocks, 0.5)
    assert not standstill.refuses(made=before)


def test_everything_is_refused_until_the_loop_is_prompt_again(standstill: Standstill, clocks: Clocks) -> None:
    clocks.run(8.0)
    standstill.beat()
    for _ in range(8):
        clocks.run(0.9)
        standstill.beat()
        assert standstill.refuses(made=clocks.now), "sockets may be unread"
    beats(standstill, clocks, SETTLE_S)
    assert not standstill.refuses(made=clocks.now)


async def test_a_gateway_answers_503_and_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over real sockets: a request that waited in one, and one whose body was not whole yet."""
    async with served(8) as at:
        standstill, clocks = at.calls.standstill, Clocks()
        whole = order(*DEMO, "O-2")
        head, body = whole[: whole.index(b"\r\n\r\n") + 4], whole[whole.index(b"\r\n\r\n") + 4 :]
        begun = await at.caller(head, body[:10])
        await eventually(lambda: at.calls.party("demo").held == 1 or at.calls.others.claims == 1)
        idle = await at.caller()
        clocks.now, clocks.wall = standstill._clock(), standstill._wall()
        monkeypatch.setattr(standstill, "_clock", lambda: clocks.now)
        monkeypatch.setattr(standstill, "_wall", lambda: clocks.wall)
        standstill.beat()
        clocks.run(8.0)
        idle.send(order(*DEMO, "O-1"))
        begun.send(body[10:])
        for caller in (idle, begun):
            status, headers, answer = await caller.answer()
            assert (status, answer["code"], headers["retry-after"]) == (503, "UNAVAILABLE", "1")
            assert "sluice-position" not in headers
        assert await idle.reader.read() == b"", "its caller comes again on a new connection"
        probe = await at.caller(b"GET /live HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert (await probe.answer())[0] == 200
        assert at.kafka.records == []
        beats(standstill, clocks, 8.25)
        again = await at.caller(order(*DEMO, "O-1"))
        await eventually(lambda: len(at.kafka.records) == 1)
        at.kafka.release()
        assert (await again.answer())[0] == 200
        assert standstill.count == 1
