"""Any sequence of commands and outcomes, over the pure machine: before the Create too, and under each channel policy.

Properties: replaying any prefix changes nothing; ends absorb; per line ordered = open + packed + cancelled; facts are
numbered without a gap; states only move as the table says; what is decoded is what was encoded; requests are numbered
per destination and no id leaves for two requests.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.order.machine.decide import Decided, decide
from streams.order.machine.transitions import MAKERS, TABLES
from streams.order.model.decision import PASSING
from streams.order.model.effects import PublishFact, RecordAnswer, ReplyTo, RequestDelivery
from streams.order.model.entities import Order
from streams.order.model.entity import Entity
from streams.order.model.events import Event, EventKind
from streams.order.model.limits import EARLY_EVENTS_MAX, EARLY_KEPT_MS
from streams.order.model.states import OrderState
from streams.order.storage.encoding import decode_entity, encode_entity
from tests.support.facts import check_facts
from tests.support.orders import (
    CHANNEL,
    CODE,
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
from topics.configuration.sla import NO_POLICY
from topics.records.deliveries import Attempt, Outcome, OutcomeKind
from topics.records.keys import order_key

EXAMPLES = 80
ENDS = (OrderState.DELIVERED, OrderState.CANCELLED)
"""No event leads out of these."""
POLICY = replace(NO_POLICY, resubmit_ms=500)
"""A Create that Increff refused asks again after a few events."""

units = st.integers(0, 3)
either = st.integers(0, 1)
shipments = st.integers(1, 3)
codes = shipments.map(lambda n: f"S-{n}")
totals = st.builds(lambda first, second: cancel_body(i1=first, i2=second), units, either)
locations = st.sampled_from(["DXB-WH-01", "B"])
kinds = st.sampled_from([None, "SINGLE_SHIPMENT_PARTIAL", "BLOCK_COMPLETE"])
CREATE = create_body()
SPLIT = create_body(isSplitRequired=True, locationCode=None)
REPORT = update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")
COMMANDS = st.one_of(
    st.tuples(st.just("create-outward-order"), st.sampled_from([CREATE, create_body(quantities=(3,)), SPLIT])),
    st.tuples(st.just("update-order-properties"), st.booleans().map(lambda hold: update_body(hold=hold))),
    st.tuples(st.just("update-order-properties"), st.just(REPORT)),
    st.tuples(st.just("acknowledgement"), locations.map(lambda location: acknowledgement_body(location=location))),
    st.tuples(
        st.just("pack-order"),
        st.builds(
            lambda n, a, where, kind: {**pack_body(n, sku_1=a), "locationCode": where, "fulfillmentType": kind},
            shipments,
            st.integers(1, 3),
            locations,
            kinds,
        ),
    ),
    st.tuples(st.just("pack-order"), st.builds(lambda n: pack_body(n, sku_2=1), shipments)),
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


@dataclass(frozen=True)
class Resubmitted:
    """An operator has the `which`-th refused request sent again; where none is refused, any."""

    which: int
    dry: bool


@dataclass(frozen=True)
class FromWithin:
    """An event from within."""

    kind: EventKind
    body: dict[str, Any]


@dataclass(frozen=True)
class Later:
    """Time passes, and a tick says so."""

    ms: int


INTERNAL = st.one_of(
    codes.map(lambda code: FromWithin(EventKind.SHIPMENT_MANIFESTED, {"orderCode": CODE, "shipmentCode": code})),
    st.builds(
        lambda version, asked, units: FromWithin(
            EventKind.RETURN_CLAIMED,
            {
                "orderCode": CODE,
                "returnOrderCode": "R-1",
                "version": version,
                "asked": asked,
                "held": {},
                "wanted": {"SKU-1": units},
            },
        ),
        st.integers(1, 3),
        st.booleans(),
        units,
    ),
)
NEWEST_REFUSED = st.builds(Answered, st.integers(-2, -1), st.just(OutcomeKind.REFUSED))
ANSWERS = st.builds(Answered, st.integers(0, 12), st.sampled_from(list(OutcomeKind)))
RESUBMITS = st.builds(Resubmitted, st.integers(0, 12), st.sampled_from([False, False, True]))
STEPS = st.one_of(COMMANDS, COMMANDS, INTERNAL, ANSWERS, ANSWERS, ANSWERS, NEWEST_REFUSED, RESUBMITS, RESUBMITS)
REFUSAL = Answered(-1, OutcomeKind.REFUSED)
STORIES = st.builds(
    lambda policy, before, create, refused, after: [
        policy,
        *before,
        ("create-outward-order", create),
        *[REFUSAL] * refused,
        *after,
    ],
    st.sampled_from(["park", "park", "adopt", "refuse"]),
    st.one_of(st.just([]), st.lists(st.one_of(COMMANDS, INTERNAL, ANSWERS), max_size=10)),
    st.sampled_from([CREATE, CREATE, SPLIT]),
    st.integers(0, 1),
    st.lists(STEPS, max_size=28),
)
"""The channel's policy for unknown orders, then what happens."""
LATER = st.sampled_from([60_000, EARLY_KEPT_MS, 4 * EARLY_KEPT_MS]).map(Later)
TIMED = st.builds(
    lambda policy, before, create, after: [policy, *before, ("create-outward-order", create), *after],
    st.sampled_from(["park", "park", "adopt"]),
    st.lists(st.one_of(COMMANDS, INTERNAL, LATER), max_size=8),
    st.sampled_from([CREATE, SPLIT]),
    st.lists(st.one_of(STEPS, STEPS, LATER), max_size=28),
)
"""The same, with the passing of time: deadlines, answers that got lost, and what waits in vain."""
ALL = st.one_of(STORIES, TIMED)


class Told:
    """A story folded over the machine, with everything that happened on the way."""

    def __init__(self, story: list[Any]) -> None:
        self.entity: Entity | None = None
        self.events: list[tuple[Event, int]] = []
        self.decisions: list[Decided] = []
        self.requests: list[RequestDelivery] = []
        self.answers: dict[bytes, tuple[int | None, Any]] = {}
        self.policy: str = story[0]
        self.now_ms = START_MS
        for number, step in enumerate(story[1:]):
            self.now_ms += step.ms if isinstance(step, Later) else 100
            event = self._event(number, step)
            if event is not None:
                self.feed(replace(event, policy=POLICY), self.now_ms)

    def feed(self, event: Event, now_ms: int) -> Decided:
        decided = decide(self.entity, event, now_ms, self.answers.get)
        check_facts(decided.effects)
        self.events.append((event, now_ms))
        self.decisions.append(decided)
        self.entity = None if decided.gone else decided.entity
        for effect in decided.effects:
            if isinstance(effect, RequestDelivery):
                self.requests.append(effect)
            elif isinstance(effect, RecordAnswer):
                self.answers[effect.key] = (effect.status, effect.body)
        return decided

    @property
    def order(self) -> Order:
        assert isinstance(self.entity, Order)
        return self.entity

    def _event(self, number: int, step: Any) -> Event | None:
        key = order_key(CHANNEL, CODE)
        if isinstance(step, Later):
            if self.entity is None:
                return None
            return Event(kind=EventKind.TICK, id=f"e{number}", channel=CHANNEL, code=CODE, key=key, body={})
        if isinstance(step, FromWithin):
            return Event(
                kind=step.kind,
                id=f"e{number}",
                channel=CHANNEL,
                code=CODE,
                key=key,
                body=step.body,
                unknown_orders=self.policy,
            )
        if not isinstance(step, Answered | Resubmitted):
            touchpoint, body = step
            return command(touchpoint, body, f"e{number}", self.now_ms, unknown_orders=self.policy)
        if not self.requests:
            return None
        request = self.requests[step.which % len(self.requests)]
        if isinstance(step, Resubmitted):
            listed = {one.id: one.status for one in self.entity.deliveries} if self.entity is not None else {}
            refused = [one for one in self.requests if listed.get(one.id) == "refused"] or self.requests
            request = refused[step.which % len(refused)]
            operator = {"by": "night-shift", "address": "", "reason": "mended"}
            asked = {"request": request.id, "touchpoint": request.touchpoint, "body": request.body, "saidMs": 0}
            body = {**asked, **operator, "dryRun": step.dry}
            return Event(kind=EventKind.RESUBMIT, id=f"e{number}", channel=CHANNEL, code=CODE, key=key, body=body)
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
@given(ALL)
def test_lines_add_up_and_facts_are_numbered_without_a_gap(story: list[Any]) -> None:
    told = Told(story)
    for line in told.order.lines:
        assert line.ordered == line.open + line.packed + line.cancelled
        assert min(line.open, line.packed, line.packing, line.customer, line.seller, line.free) >= 0
    packing = sum(line.packing for line in told.order.lines)
    assert packing == sum(item[2] for s in told.order.shipments if s.state == "PACKING" for item in s.items)
    numbers: list[int] = []
    for decided in told.decisions:
        numbers += [effect.data["sequence"] for effect in decided.effects if isinstance(effect, PublishFact)]
        assert numbers == list(range(1, len(numbers) + 1))
        if decided.gone:
            numbers.clear()  # what comes under this key now is another order


@settings(max_examples=EXAMPLES, deadline=None)
@given(ALL)
def test_requests_have_ids_of_their_own_and_are_numbered_per_destination(story: list[Any]) -> None:
    told = Told(story)
    assert len({request.id for request in told.requests}) == len(told.requests)
    for destination in {request.destination for request in told.requests}:
        numbers = [r.sequence for r in told.requests if r.destination == destination and not r.beside]
        assert numbers == list(range(1, len(numbers) + 1))


@settings(max_examples=EXAMPLES, deadline=None)
@given(ALL)
def test_states_move_only_as_the_table_says_and_ends_absorb(story: list[Any]) -> None:
    told = Told(story)
    state: str | None = None
    for (event, _), decided in zip(told.events, told.decisions, strict=True):
        if decided.entity is None:
            assert state is None
            continue
        now = decided.entity.state
        if state is None:
            assert now in MAKERS[event.kind][2], f"{now} by {event.kind}"
        elif now != state:
            assert state not in ENDS
            assert now in TABLES[Order.KIND][state, event.kind].to, f"{state} -> {now} by {event.kind}"
        state = None if decided.gone else now


@settings(max_examples=EXAMPLES, deadline=None)
@given(ALL)
def test_what_is_decoded_is_what_was_encoded(story: list[Any]) -> None:
    told = Told(story)
    for decided in told.decisions:
        if decided.entity is None:
            continue
        assert decode_entity(encode_entity(decided.entity)) == decided.entity


@settings(max_examples=EXAMPLES, deadline=None)
@given(ALL)
def test_deciding_again_gives_the_same(story: list[Any]) -> None:
    first, second = Told(story), Told(story)
    assert [decided.effects for decided in first.decisions] == [decided.effects for decided in second.decisions]
    assert encode_entity(first.order) == encode_entity(second.order)


@settings(max_examples=EXAMPLES, deadline=None)
@given(STORIES.map(lambda story: story[:12]))
def test_a_repeat_of_everything_so_far_leaves_nothing_and_changes_no_unit(story: list[Any]) -> None:
    """Records that were produced twice: the same events in the same order, after the story.

    But for those that found nothing and left nothing, and those whose verdict told to repeat: they may be right by now.
    """
    told = Told(story)
    lines = [copy(line) for line in told.order.lines]
    state, sequence, requests = told.order.state, told.order.fact_sequence, len(told.requests)
    again = {
        effect.reply.event
        for one in told.decisions
        for effect in one.effects
        if isinstance(effect, ReplyTo) and effect.reply.verdict in PASSING and not one.kept
    }
    known = [
        event
        for (event, _), one in zip(told.events, told.decisions, strict=True)
        if one.entity is not None and (one.kept or one.verdict not in PASSING) and event.id not in again
    ]
    for event in known:
        told.feed(event, told.events[-1][1])
    assert [copy(line) for line in told.order.lines] == lines
    assert (told.order.state, told.order.fact_sequence, len(told.requests)) == (state, sequence, requests)


@settings(max_examples=EXAMPLES, deadline=None)
@given(ALL)
def test_what_is_kept_of_early_events_is_bounded_each_once_and_gone_when_it_was_applied(story: list[Any]) -> None:
    told = Told(story)
    gone: set[str] = set()
    last: set[str] = set()
    for decided in told.decisions:
        order = decided.entity
        if not isinstance(order, Order):
            continue
        ids = [parked.event for parked in order.early]
        assert len(ids) == len(set(ids)) <= EARLY_EVENTS_MAX
        assert not gone & set(ids), "what was decided once does not come back"
        gone |= last - set(ids)
        last = set(ids)
        if order.state == OrderState.EXPECTED:
            assert decided.gone is not bool(ids), "an expected order is there for what it keeps"
    if told.policy != "park":
        assert all(decided.entity is None or decided.entity.state != "EXPECTED" for decided in told.decisions)


@settings(max_examples=EXAMPLES, deadline=None)
@given(ALL)
def test_of_an_order_with_one_shipment_nothing_stays_open_but_what_a_customer_asks_for(story: list[Any]) -> None:
    order = Told(story).order
    single = any(shipment.single and shipment.state != "PACKING" for shipment in order.shipments)
    asked = any(relay.touchpoint == "customer-cancellation" and not relay.dead for relay in order.relays)
    if single and not order.split and not order.adopted and not asked:
        assert sum(line.free for line in order.lines) == 0
