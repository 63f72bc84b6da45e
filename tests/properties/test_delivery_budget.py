"""The far side never counts more than N arrivals in any W, however long requests take, whenever the owner crashes.

A random walk over the owner's calls with a manual clock. Arrivals are anywhere between a request's send and its end;
a crash forgets everything but the last durable record, and may fall between the write and the first use of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import event, given, settings
from hypothesis import strategies as st

from streams.delivery.budget import MARGIN_MS, PermitRecord, SlidingWindow, decode_permits

WINDOW_MS = 60_000


@dataclass
class InAir:
    sent_ms: int
    part: float
    """Where between send and end the far side counts it."""


class Walk:
    """An owner, what is durable of it, and what the far side has counted."""

    def __init__(self, requests: int, block: int | None) -> None:
        self.requests = requests
        self.block = block
        self.now_ms = 1_000_000
        self.durable: bytes | None = None
        self.in_air: list[InAir] = []
        self.arrivals: list[int] = []
        self.window = self._take_over()

    def _take_over(self) -> SlidingWindow:
        window = SlidingWindow(self.requests, WINDOW_MS, block=self.block)
        window.take_over(decode_permits(self.durable), self.now_ms)
        return window

    def send(self, part: float) -> None:
        if self.window.unused == 0:
            count = self.window.plan_reserve(self.now_ms)
            if count < 1:
                return
            self.durable = self.window.record(self.now_ms, reserving=count).encode()
            self.window.reserved(count)
        self.window.take()
        self.in_air.append(InAir(self.now_ms, part))

    def end(self, which: int) -> None:
        if self.in_air:
            self._count(self.in_air.pop(which % len(self.in_air)))
            self.window.ended(self.now_ms)

    def crash(self, after_write: bool) -> None:
        if after_write and self.window.unused == 0 and (count := self.window.plan_reserve(self.now_ms)) > 0:
            self.durable = self.window.record(self.now_ms, reserving=count).encode()
        while self.in_air:
            self._count(self.in_air.pop())
        self.window = self._take_over()

    def stop(self) -> None:
        while self.in_air:
            self.end(0)
        self.window.give_back()
        self.durable = self.window.record(self.now_ms).encode()
        self.window = self._take_over()

    def _count(self, request: InAir) -> None:
        self.arrivals.append(request.sent_ms + round((self.now_ms - request.sent_ms) * request.part))

    def most_in_any_window(self) -> int:
        arrivals = sorted(self.arrivals)
        first = most = 0
        for last, moment in enumerate(arrivals):
            while arrivals[first] <= moment - WINDOW_MS:
                first += 1
            most = max(most, last - first + 1)
        return most


STEPS = st.one_of(
    st.tuples(st.just("pass"), st.integers(1, 40_000)),
    st.tuples(st.just("pass"), st.integers(1, 300)),
    st.tuples(st.just("send"), st.sampled_from([0.0, 0.5, 1.0])),
    st.tuples(st.just("burst"), st.integers(1, 30)),
    st.tuples(st.just("end"), st.integers(0, 10)),
    st.tuples(st.just("end all"), st.none()),
    st.tuples(st.just("crash"), st.booleans()),
    st.tuples(st.just("stop"), st.none()),
)


@given(requests=st.integers(1, 30), block=st.none() | st.integers(1, 40), steps=st.lists(STEPS, max_size=80))
@settings(max_examples=250, deadline=None)
def test_no_window_holds_more_than_the_budget(
    requests: int, block: int | None, steps: list[tuple[str, int | float | bool | None]]
) -> None:
    walk = Walk(requests, block)
    for step, amount in steps:
        if step == "pass":
            walk.now_ms += int(amount or 0)
        elif step == "send":
            walk.send(float(amount or 0))
        elif step == "burst":
            for n in range(int(amount or 0)):
                walk.send((n % 3) / 2)
        elif step == "end":
            walk.end(int(amount or 0))
        elif step == "end all":
            while walk.in_air:
                walk.end(0)
        elif step == "crash":
            walk.crash(bool(amount))
        else:
            walk.stop()
    walk.crash(after_write=False)
    most = walk.most_in_any_window()
    event(f"the whole budget was used: {most == requests}")
    assert most <= requests


@given(requests=st.integers(1, 50), times=st.lists(st.integers(0, 500), min_size=1, max_size=50))
@settings(max_examples=100, deadline=None)
def test_the_whole_budget_is_usable_again_after_the_window(requests: int, times: list[int]) -> None:
    walk = Walk(requests, None)
    for pause in times:
        walk.now_ms += pause
        walk.send(1.0)
        walk.end(0)
    walk.now_ms += WINDOW_MS + MARGIN_MS
    before = len(walk.arrivals)
    for _ in range(requests):
        walk.send(0.0)
    while walk.in_air:
        walk.end(0)
    assert len(walk.arrivals) - before == requests


def test_a_lowered_budget_holds_from_the_first_moment() -> None:
    window = SlidingWindow(3, WINDOW_MS)
    window.take_over(PermitRecord(ended_ms=[1_000, 2_000, 3_000, 4_000, 5_000], open=0), now_ms=6_000)
    assert window.plan_reserve(6_000) == 0
    assert window.free_at_ms(6_000) == 3_000 + WINDOW_MS + MARGIN_MS


def test_a_clock_that_was_ahead_holds_permits_from_now() -> None:
    window = SlidingWindow(1, WINDOW_MS)
    window.take_over(PermitRecord(ended_ms=[900_000], open=0), now_ms=6_000)
    assert window.free_at_ms(6_000) == 6_000 + WINDOW_MS + MARGIN_MS
