"""Any sequence of commands and outcomes with ticks between them, over the pure machine with tight limits.

Properties: per step, stuck and unstuck alternate; an order that is over is stuck in nothing; a tick again, or an older
one, changes nothing; facts are numbered without a gap; the due time is never over after a tick; ticks change nothing
else about an order.
"""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.order.machine.decide import Decided
from streams.order.machine.watchdog import due_ms
from streams.order.model.effects import PublishFact
from streams.order.model.events import Event, EventKind
from streams.order.storage.encoding import decode_entity, encode_entity
from tests.properties.order.test_machine import STORIES, Told
from tests.support.orders import CHANNEL, CODE, START_MS
from topics.configuration.sla import Policy
from topics.records.keys import order_key

EXAMPLES = 80
POLICY = Policy(submit_ms=300, acknowledge_ms=400, pack_ms=500, handover_ms=300, dispatch_near_ms=200, forget_ms=10**9)
PAUSES = st.lists(st.integers(0, 700), min_size=31, max_size=31)
OVER = ("HANDED_OVER", "DELIVERED", "CANCELLED", "REJECTED", "EXPECTED")


def tick(name: str) -> Event:
    return Event(
        kind=EventKind.TICK,
        id=f"tick-{name}",
        channel=CHANNEL,
        code=CODE,
        key=order_key(CHANNEL, CODE),
        body={},
        policy=POLICY,
    )


class Watched(Told):
    """A story in which time passes, with a tick after each event."""

    def __init__(self, story: list[Any], pauses: list[int]) -> None:
        self.now_ms = START_MS
        self.ticks: list[tuple[Event, int]] = []
        self.pauses = cycle(pauses)  # what an event causes is fed as well, so a story may have more feeds than steps
        super().__init__(story)

    def feed(self, event: Event, now_ms: int) -> Decided:
        decided = super().feed(replace(event, policy=POLICY), self.now_ms)
        self.now_ms += next(self.pauses)
        self.tick(tick(str(len(self.ticks))), self.now_ms)
        return decided

    def tick(self, event: Event, now_ms: int) -> Decided:
        self.ticks.append((event, now_ms))
        return super().feed(event, now_ms)

    def feed_plain(self, event: Event, now_ms: int) -> Decided:
        """An event as it is, with no tick behind it."""
        return super().feed(event, now_ms)

    def facts(self) -> list[PublishFact]:
        return [effect for one in self.decisions for effect in one.effects if isinstance(effect, PublishFact)]


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES, PAUSES)
def test_stuck_and_unstuck_alternate_and_facts_have_no_gap(story: list[Any], pauses: list[int]) -> None:
    told = Watched(story, pauses)
    open_: Counter[tuple[str, Any]] = Counter()
    for number, fact in enumerate(told.facts(), 1):
        assert fact.data["sequence"] == number
        about = (fact.data.get("step", ""), fact.data.get("shipmentId"))
        if fact.name == "order-stuck":
            # Shipments that were adopted by their codes have no id yet, so several look alike.
            assert not open_[about] or about == ("hand-over", None)
            open_[about] += 1
        elif fact.name == "order-unstuck":
            assert open_[about]
            open_[about] -= 1
    assert open_.total() == len(told.order.stuck)


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES, PAUSES)
def test_an_order_that_is_over_is_stuck_in_nothing_and_what_waits_is_raised(
    story: list[Any], pauses: list[int]
) -> None:
    told = Watched(story, pauses)
    if told.order.state in OVER:
        assert (told.order.stuck, told.order.waits) == ({}, {})
    told.tick(tick("late"), told.now_ms + 10**6)
    assert set(told.order.waits) <= set(told.order.stuck)
    assert due_ms(told.order, POLICY) == told.order.due_ms
    assert told.order.due_ms == 0 or told.order.due_ms > told.now_ms + 10**6


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES, PAUSES)
def test_a_tick_again_or_an_older_one_changes_nothing(story: list[Any], pauses: list[int]) -> None:
    told = Watched(story, pauses)
    before = encode_entity(told.order)
    for event, now_ms in list(told.ticks):
        decided = told.feed_plain(event, now_ms)
        assert (decided.effects, decided.changed) == ([], False)
    assert encode_entity(told.order) == before


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES, PAUSES)
def test_ticks_change_nothing_else_about_an_order(story: list[Any], pauses: list[int]) -> None:
    ticked, plain = Watched(story, pauses), Unticked(story, pauses)
    for name in ("state", "lines", "shipments", "milestones", "waits", "relays", "held", "digest", "sequences"):
        assert getattr(ticked.order, name) == getattr(plain.order, name), name
    assert decode_entity(encode_entity(ticked.order)) == ticked.order


class Unticked(Watched):
    """The same without its ticks."""

    def tick(self, event: Event, now_ms: int) -> Decided:
        return self.decisions[-1]
