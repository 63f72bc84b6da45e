"""Any sequence of commands and outcomes, over the pure machine.

Properties: replaying any prefix changes nothing; ends absorb; per line ordered = open + packed + cancelled; facts are
numbered without a gap; states only move as the table says; what is decoded is what was encoded; requests are numbered
per destination and no id leaves for two requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.order.effects import PublishFact, RequestDelivery
from streams.order.events import Event
from streams.order.machine import Decision, decide
from streams.order.model import Entity, Order, decode
from streams.order.states import OrderState
from streams.order.transitions import MAKERS, TABLES
from tests.support.facts import check_facts
from tests.support.orders import (
    START_MS,
    acknowledgement_body,
    cancel_body,
    command,
    create_body,
    document_body,
    handover_body,
    outcome_event,
    pack_body,
    update_body,
)
from topics.deliveries import Attempt, Outcome, OutcomeKind

EXAMPLES = 80
ENDS = (OrderState.DELIVERED, OrderState.CANCELLED)
"""No event leads out of these."""

units = st.integers(0, 3)
either = st.integers(0, 1)
shipments = st.integers(1, 3)
codes = shipments.map(lambda n: f"S-{n}")
totals = st.builds(lambda first, second: cancel_body(i1=first, i2=second), units, either)
locations = st.sampled_from(["A", "B"])
REPORT = update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")
COMMANDS = st.one_of(
    st.tuples(st.just("create-outward-order"), st.sampled_from([create_body(), create_body(quantities=(3,))])),
    st.tuples(st.just("update-order-properties"), st.booleans().map(lambda hold: update_body(hold=hold))),
    st.tuples(st.just("update-order-properties"), st.just(REPORT)),
    st.tuples(st.just("acknowledgement"), locations.map(lambda location: acknowledgement_body(location=location))),
    st.tuples(st.just("pack-order"), st.builds(lambda n, a: pack_body(n, sku_1=a), shipments, st.integers(1, 3))),
    st.tuples(st.just("pack-order"), shipments.map(lambda n: pack_body(n, sku_2=1))),
    st.tuples(st.just("get-invoice"), codes.map(document_body)),
    st.tuples(st.just("get-shipping-label"), codes.map(document_body)),
    st.tuples(st.just("handover-notification"), codes.map(handover_body)),
    st.tuples(st.just("seller-cancellation"), totals),
    st.tuples(st.just("customer-cancellation"), totals),
)


@dataclass(frozen=True)
class Answered:
    """The `which`-th request of the story so far gets this outcome."""

    which: int
    kind: OutcomeKind


ANSWERS = st.builds(Answered, st.integers(0, 12), st.sampled_from(list(OutcomeKind)))
STORIES = st.lists(st.one_of(COMMANDS, ANSWERS, ANSWERS), max_size=30).map(
    lambda steps: [("create-outward-order", create_body()), *steps]
)


class Told:
    """A story folded over the machine, with everything that happened on the way."""

    def __init__(self, story: list[Any]) -> None:
        self.entity: Entity | None = None
        self.events: list[tuple[Event, int]] = []
        self.decisions: list[Decision] = []
        self.requests: list[RequestDelivery] = []
        self.answers: dict[bytes, tuple[int | None, Any]] = {}
        for number, step in enumerate(story):
            event = self._event(number, step)
            if event is not None:
                self.feed(event, START_MS + number * 100)

    def feed(self, event: Event, now_ms: int) -> Decision:
        decision = decide(self.entity, event, now_ms, self.answers.get)
        check_facts(decision.effects)
        self.events.append((event, now_ms))
        self.decisions.append(decision)
        self.entity = decision.entity
        for effect in decision.effects:
            if isinstance(effect, RequestDelivery):
                self.requests.append(effect)
        return decision

    @property
    def order(self) -> Order:
        assert isinstance(self.entity, Order)
        return self.entity

    def _event(self, number: int, step: Any) -> Event | None:
        if not isinstance(step, Answered):
            touchpoint, body = step
            return command(touchpoint, body, f"e{number}", START_MS + number * 100)
        if not self.requests:
            return None
        request = self.requests[step.which % len(self.requests)]
        answer: dict[str, Any] | None = None
        if request.touchpoint == "pack-order":
            answer = {"shipmentCode": f"S-{request.body['shipmentId']}"}
        elif request.touchpoint == "get-shipping-label":
            answer = {"awbNumber": "AWB", "transporter": "T"}
        attempt = Attempt(number=number + 1, at_ms=START_MS, took_ms=1.0, status=200)
        outcome = Outcome(
            request=request.id, touchpoint=request.touchpoint, kind=step.kind, status=200, body=answer, attempt=attempt
        )
        return outcome_event(self.order.key, self.order.code, outcome)


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES)
def test_lines_add_up_and_facts_are_numbered_without_a_gap(story: list[Any]) -> None:
    told = Told(story)
    for line in told.order.lines:
        assert line.ordered == line.open + line.packed + line.cancelled
        assert min(line.open, line.packed, line.packing, line.customer, line.seller, line.free) >= 0
    packing = sum(line.packing for line in told.order.lines)
    assert packing == sum(item[2] for s in told.order.shipments if s.state == "PACKING" for item in s.items)
    numbers = [
        effect.data["sequence"]
        for decision in told.decisions
        for effect in decision.effects
        if isinstance(effect, PublishFact)
    ]
    assert numbers == list(range(1, len(numbers) + 1))


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES)
def test_requests_have_ids_of_their_own_and_are_numbered_per_destination(story: list[Any]) -> None:
    told = Told(story)
    assert len({request.id for request in told.requests}) == len(told.requests)
    for destination in {request.destination for request in told.requests}:
        numbers = [r.sequence for r in told.requests if r.destination == destination and not r.beside]
        assert numbers == list(range(1, len(numbers) + 1))


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES)
def test_states_move_only_as_the_table_says_and_ends_absorb(story: list[Any]) -> None:
    told = Told(story)
    state: str | None = None
    for (event, _), decision in zip(told.events, told.decisions, strict=True):
        assert decision.entity is not None
        now = decision.entity.state
        if state is None:
            assert now in MAKERS[event.kind][2]
        elif now != state:
            assert state not in ENDS
            assert now in TABLES[Order.KIND][state, event.kind].to, f"{state} -> {now} by {event.kind}"
        state = now


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES)
def test_what_is_decoded_is_what_was_encoded(story: list[Any]) -> None:
    told = Told(story)
    for decision in told.decisions:
        assert decision.entity is not None
        assert decode(decision.entity.encode()) == decision.entity


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES)
def test_deciding_again_gives_the_same(story: list[Any]) -> None:
    first, second = Told(story), Told(story)
    assert [decision.effects for decision in first.decisions] == [decision.effects for decision in second.decisions]
    assert first.order.encode() == second.order.encode()


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES.map(lambda story: story[:12]))
def test_a_repeat_of_everything_so_far_leaves_nothing_and_changes_no_unit(story: list[Any]) -> None:
    """Records that were produced twice: the same events in the same order, after the story."""
    told = Told(story)
    lines = [line.row() for line in told.order.lines]
    state, sequence, requests = told.order.state, told.order.fact_sequence, len(told.requests)
    for event, _ in list(told.events):
        told.feed(event, told.events[-1][1])
    assert [line.row() for line in told.order.lines] == lines
    assert (told.order.state, told.order.fact_sequence, len(told.requests)) == (state, sequence, requests)
