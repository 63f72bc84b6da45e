"""Returns and their forward order, with every message between them twice, late and in any order.

Properties: over all returns no more units are coming back than left, whatever happens in between, but for those of a
return that Increff refused and has all the same; once every message has arrived, the order counts what the returns
hold, and nobody waits any more; no unit is both cancelled and inspected; what is repeated changes nothing; states only
move as the table says; facts are numbered without a gap.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from streams.order.machine.transitions import MAKERS, TABLES
from streams.order.model import limits
from streams.order.model.decision import PASSING
from streams.order.model.effects import PublishFact, RequestDelivery, SendCommand
from streams.order.model.entities import Return
from streams.order.model.events import Event
from streams.order.model.states import ReturnState
from streams.order.returns.questions import held_units
from tests.support.orders import (
    CHANNEL,
    CODE,
    Step,
    Story,
    command,
    create_body,
    internal_event,
    outcome_event,
    pack_body,
)
from tests.unit.order.machine.refused import resubmission
from topics.records.deliveries import Attempt, Outcome, OutcomeKind
from topics.records.keys import order_key, return_key

EXAMPLES = 200
RETURNS = ("R-1", "R-2", "R-3")
ORDER_KEY = order_key(CHANNEL, CODE)


@dataclass(frozen=True)
class Call:
    """A caller's call. `patience_ms`: how long after the last event, so that some answers are overdue."""

    touchpoint: str
    body: dict[str, Any]
    patience_ms: int


@dataclass(frozen=True)
class Answered:
    """The `which`-th request so far gets this outcome."""

    which: int
    kind: OutcomeKind


@dataclass(frozen=True)
class Resubmitted:
    """An operator has the `which`-th refused request of a return sent again."""

    which: int


@dataclass(frozen=True)
class Arrives:
    """The `which`-th message between the entities so far arrives, the first time or again."""

    which: int


Act = Call | Answered | Arrives | Resubmitted
codes = st.sampled_from(RETURNS)
numbers = st.lists(st.integers(1, 5), min_size=1, max_size=2, unique=True)
patience = st.sampled_from([10, 10, limits.QUESTION_LOST_MS])


def _sku(number: int) -> str:
    return "SKU-2" if number == 5 else "SKU-1"


def _create(code: str, items: list[int]) -> dict[str, Any]:
    return {
        "forwardOrderCode": CODE,
        "returnOrderCode": code,
        "locationCode": "L",
        "orderType": "CUSTOMER_RETURN",
        "orderItems": [{"itemCode": f"{n}", "channelSkuCode": _sku(n), "reason": "SIZE"} for n in items],
    }


def _lines(code: str, items: list[int]) -> dict[str, Any]:
    lines = [{"channelReturnItemCode": f"{n}", "channelSkuCode": _sku(n)} for n in items]
    return {"orderCode": CODE, "returnOrderCode": code, "locationCode": "L", "returnLineItems": lines}


def _cancellation(code: str, items: list[int]) -> dict[str, Any]:
    lines = [{"returnOrderItemCode": f"{n}", "channelSkuCode": _sku(n)} for n in items]
    return {"orderCode": CODE, "returnOrderCode": code, "locationCode": "L", "returnOrderItems": lines}


def _inspection(code: str, items: list[int], verdict: str) -> dict[str, Any]:
    inspected = [{"itemCode": f"{n}", "channelSkuCode": _sku(n), "qcStatus": verdict} for n in items]
    return {"forwardOrderCode": CODE, "returnOrderCode": code, "locationCode": "L", "orderItems": inspected}


verdicts = st.sampled_from(["PASS", "FAIL"])
calls = st.one_of(
    st.builds(Call, st.just("create-return-order"), st.builds(_create, codes, numbers), patience),
    st.builds(Call, st.just("create-return-order"), st.builds(_create, codes, numbers), patience),
    st.builds(Call, st.just("add-return-order-items"), st.builds(_lines, codes, numbers), patience),
    st.builds(Call, st.just("cancel-return-order-items"), st.builds(_cancellation, codes, numbers), patience),
    st.builds(
        Call, st.just("return-order-acknowledgement"), st.builds(_inspection, codes, numbers, verdicts), patience
    ),
    st.builds(Call, st.just("pack-order"), st.builds(lambda n: pack_body(n, sku_1=n), st.integers(1, 2)), patience),
    st.builds(Call, st.just("pack-order"), st.just(pack_body(3, sku_2=1)), patience),
)
KINDS = [OutcomeKind.DELIVERED, OutcomeKind.DELIVERED, OutcomeKind.REFUSED, OutcomeKind.DEAD, OutcomeKind.RETRYING]
answers = st.builds(Answered, st.integers(0, 15), st.sampled_from(KINDS))
refusals = st.builds(Answered, st.integers(-2, -1), st.just(OutcomeKind.REFUSED))
resubmits = st.builds(Resubmitted, st.integers(0, 5))
arrivals = st.builds(Arrives, st.integers(0, 60))
steps = st.one_of(calls, calls, answers, refusals, resubmits, arrivals, arrivals, arrivals)
CREATED = Call("create-return-order", _create("R-1", [1]), 10)
ADMITTED = [CREATED, Arrives(0), Arrives(0)]
HISTORIES = (
    st.lists(steps, max_size=50)
    | st.lists(steps, min_size=30, max_size=50)
    | st.lists(steps, max_size=30).map(lambda history: [*ADMITTED, *history])
)
"""Of any length, so that a fault is told by a short one; long ones, because most faults need one; and those of a return
that leaves for Increff at once."""


class World:
    """An order of three and one units, one of them packed; its returns, and the messages that are on their way."""

    def __init__(self) -> None:
        self.story = Story()
        self.messages: list[SendCommand] = []
        self.arrived: set[str] = set()
        self.requests: list[RequestDelivery] = []
        self.owners: dict[str, Event] = {}
        self.events: list[Event] = []
        self.again: set[str] = set()
        """Events whose verdict told to repeat: they may be right by now."""
        self.feed(command("create-outward-order", create_body(quantities=(3, 1)), "create", self.story.now_ms))
        packed = self.feed(command("pack-order", pack_body(9, sku_1=1), "pack", self.story.now_ms))
        self.answer(packed.request, OutcomeKind.DELIVERED, 0)

    def act(self, number: int, step: Act) -> None:
        if isinstance(step, Call):
            self.story.now_ms += step.patience_ms
            self.feed(command(step.touchpoint, step.body, f"e{number}", self.story.now_ms))
        elif isinstance(step, Arrives) and self.messages:
            # The newest more often than the others: what is old comes again, but seldom.
            self.arrive(self.messages[-1 - step.which % len(self.messages)])
        elif isinstance(step, Answered) and self.requests:
            self.answer(self.requests[step.which % len(self.requests)], step.kind, number)
        elif isinstance(step, Resubmitted) and (refused := self.refused()):
            request = refused[step.which % len(refused)]
            self.feed(structs.replace(resubmission(self.story, request, f"e{number}"), key=self.owners[request.id].key))

    def refused(self) -> list[RequestDelivery]:
        listed = {one.id: one.status for returned in self.returns() for one in returned.deliveries}
        return [request for request in self.requests if listed.get(request.id) == OutcomeKind.REFUSED]

    def arrive(self, message: SendCommand) -> None:
        self.arrived.add(message.id)
        self.feed(internal_event(message))

    def answer(self, request: RequestDelivery, kind: OutcomeKind, number: int) -> None:
        owner = self.owners[request.id]
        outcome = Outcome(
            request=request.id,
            touchpoint=request.touchpoint,
            kind=kind,
            status=200,
            attempt=Attempt(number=number + 1, at_ms=self.story.now_ms, took_ms=1.0, status=200),
        )
        self.feed(outcome_event(owner.key, owner.code, outcome))

    def feed(self, event: Event) -> Step:
        before = self.story.entities.get(event.key)
        state = self.story.entity(event.key).state if before is not None else None
        step = self.story.feed_only(event)
        self.again |= {name for name, reply in step.replies.items() if reply.verdict in PASSING}
        known = {message.id for message in self.messages}
        self.messages += [message for message in step.commands if message.id not in known]
        for request in step.requests:
            self.requests.append(request)
            self.owners[request.id] = event
        if event.key in self.story.entities:
            # What found nothing is remembered nowhere: coming again, it is as good as new.
            self.events.append(event)
            entity = self.story.entity(event.key)
            if state is None:
                assert entity.state in MAKERS[event.kind][2]
            elif entity.state != state:
                assert entity.state in TABLES[entity.KIND][state, event.kind].to, f"{state} by {event.kind}"
            waits = isinstance(entity, Return) and entity.question is not None
            assert step.verdict is not None or waits or event.kind.value == "pack", "only an answer is waited for"
        return step

    def settle(self) -> None:
        """Every message arrives; the newest first, so that the old come late."""
        while missing := [message for message in self.messages if message.id not in self.arrived]:
            self.arrive(missing[-1])

    def returns(self) -> list[Return]:
        keys = [return_key(CHANNEL, code) for code in RETURNS]
        return [self.story.returned(key) for key in keys if key in self.story.entities]

    def check(self) -> None:
        left = Counter(self.story.order.shipment_index.shipped)
        coming, counted = Counter[str](), Counter[str]()
        revived = {fact.data["returnOrderCode"] for fact in self.story.facts if fact.name == "return-revived"}
        for one in self.returns():
            if one.code not in revived:
                coming.update(held_units(one))
            assert [code for code, item in one.items.items() if item.cancelled is True and item.qc is not None] == []
        for claim in self.story.order.returns:
            if claim.code not in revived:  # Increff says that its units come, whatever another return has since
                counted.update(claim.units)
        assert coming <= counted <= left, (coming, counted, left)


REVIVED = [*ADMITTED, Answered(2, OutcomeKind.REFUSED)]
REVIVED += [Call("return-order-acknowledgement", _inspection("R-1", [1], "PASS"), 10), Arrives(1)]
"""Increff inspects what it refused, and the order learns late that the units come."""
DENIED = Call("create-return-order", _create("R-3", [1, 4]), 10)
GONE = [CREATED, DENIED, DENIED, *([replace(DENIED, patience_ms=limits.QUESTION_LOST_MS)] * 3)]
"""Callers are gone when a repeat of their call asks the order once more."""


def told(history: list[Act]) -> World:
    world = World()
    for number, step in enumerate(history):
        world.act(number, step)
        world.check()
    return world


@settings(max_examples=EXAMPLES, deadline=None)
@given(HISTORIES)
@example(REVIVED)
def test_no_more_units_come_back_than_left_whatever_arrives_when(history: list[Act]) -> None:
    told(history)


@settings(max_examples=EXAMPLES, deadline=None)
@given(HISTORIES)
def test_once_every_message_has_arrived_both_sides_agree(history: list[Act]) -> None:
    world = told(history)
    world.settle()
    world.check()
    claims = {claim.code: Counter(claim.units) for claim in world.story.order.returns}
    for one in world.returns():
        assert (one.question, one.state == ReturnState.ASKED) == (None, False)
        assert claims[one.code] == held_units(one), one.code


@settings(max_examples=EXAMPLES, deadline=None)
@given(HISTORIES.map(lambda history: history[:20]))
@example(GONE)
def test_a_repeat_of_everything_so_far_changes_nothing(history: list[Act]) -> None:
    world = told(history)
    world.settle()

    def picture() -> Any:
        returns = [(one.state, one.version, one.items, one.fact_sequence) for one in world.returns()]
        left = [request.id for request in world.requests if request.touchpoint != "pack-order"]
        return returns, world.story.order.returns, left, len(world.messages)

    before = picture()
    for event in list(world.events):
        if event.id not in world.again:
            world.feed(event)
    assert picture() == before


@settings(max_examples=EXAMPLES, deadline=None)
@given(HISTORIES)
def test_facts_are_numbered_without_a_gap(history: list[Act]) -> None:
    world = told(history)
    world.settle()
    numbers: dict[str, list[int]] = {}
    for fact in world.story.facts:
        assert isinstance(fact, PublishFact)
        numbers.setdefault(fact.data.get("returnOrderCode", CODE), []).append(fact.data["sequence"])
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
