"""The world of one order: Sluice's state, the two far sides, and everything on its way between them.

A step is one thing that happens: a far side makes a call, a call arrives, a far side takes a request, the outcome of a
request arrives, a disturbance. Far sides answer through lanes as delivery keeps them: first in, first out, a request
again under its own id until it is answered, documents beside the lane, relays withdrawn once their caller is gone.
"""

from __future__ import annotations

import marshal
from copy import copy
from dataclasses import dataclass

from streams.order.model.effects import RequestDelivery
from streams.order.model.events import Event
from tests.exhaustive.deciding import Answers, Decided, Decider
from tests.exhaustive.far_sides import (
    REFUSED,
    Answer,
    View,
    increff_hears,
    increff_makes,
    increff_may,
    increff_takes,
    market_hears,
    market_may,
    market_takes,
    unknowing,
)
from tests.exhaustive.scenario import FROM_MARKETPLACE, MINUTE_MS, Call, Scenario
from tests.exhaustive.state import (
    AGAIN,
    ANSWERED,
    ASKED,
    DONE,
    FLYING,
    HELD,
    LATER,
    REFUSED_CALL,
    UNMADE,
    WAITING,
    CallState,
    RequestState,
    Rules,
)
from tests.support.orders import CHANNEL, CODE, START_MS, outcome_event
from topics.contract.definition import WhenDead
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import Attempt, Outcome, OutcomeKind
from topics.records.keys import INCREFF, order_key
from topics.records.verdicts import Verdict

KEY = order_key(CHANNEL, CODE)
TRIES_MAX = 8
"""A caller that is still not answered after so many tries never will be."""
PATIENCE = 3
"""Tries a caller makes as soon as anything changed; after that it waits until nothing else moves."""
CROSSING = frozenset({"create", "hold", "release", "ack", "pack", "seller", "rest", "handover"})
"""Calls that take a while to arrive: what their side knows changes before Sluice hears of it."""
HOLDING = frozenset({"hold", "release", "delivered"})
"""Calls that carry a word on the hold. The marketplace says one after the other: the last one that was taken counts."""
SLOW = frozenset({"create-outward-order", "customer-cancellation", "pack-order"})
"""Requests whose outcome takes a while to arrive: until then the far side knows more than Sluice."""

SETTLED = frozenset({"hold", "release", "delivered", "ack", "pack", "handover", "seller", "cancel"})
"""Calls whose repeat may not be refused once they succeeded. (That of a Create is, once Increff refused the order, and
that of an update which Increff refused.)"""

UNDONE = {(fact, "update-order-properties") for fact in ("delivery-refused", "delivery-failed")}
"""Facts after which an update does not count as taken any more."""

Step = tuple[str, int]
"""What happens, and to which call, request or disturbance."""


@dataclass(slots=True)
class World:
    rules: Rules
    increff: View
    market: View
    calls: tuple[CallState, ...]
    raw: bytes | None = None
    answers: Answers = ()
    facts: frozenset[tuple[str, str]] = frozenset()
    requests: tuple[RequestState, ...] = ()
    left: tuple[int, ...] = ()
    """Disturbances that are still to come."""
    now_ms: int = START_MS
    problems: tuple[str, ...] = ()

    def key(self) -> bytes:
        """Equal for worlds with the same future."""
        return marshal.dumps(
            (
                self.raw,
                self.answers,
                sorted(self.facts),
                [
                    (one.id, one.deadline_ms, one.status, one.attempts, one.acted, one.answer, one.units)
                    for one in self.requests
                ],
                self.increff.row(),
                self.market.row(),
                tuple(map(tuple, self.calls)),
                self.left,
                self.now_ms,
            ),
            2,
        )

    # What can happen.

    def steps(self) -> list[Step]:
        found: list[Step] = []
        for index, state in enumerate(self.calls):
            if state.status == UNMADE and self._may(self.rules.calls[index]):
                found.append(("make", index))
            elif state.status == FLYING:
                found.append(("arrive", index))
            elif state.status == AGAIN:
                found.append(("ask again", index))
        lanes: set[str] = set()
        for index, request in enumerate(self.requests):
            found += self._request_steps(index, request, lanes)
        if not found:
            # Nothing moves but who was told to come later.
            found += [("ask again", n) for n, one in enumerate(self.calls) if one.status == LATER and not one.early]
        for token in self.left:
            found += self._disturbance_steps(token)
        return found

    def _may(self, call: Call) -> bool:
        if call.verb in HOLDING and any(
            state.status == FLYING and self.rules.calls[n].verb in HOLDING for n, state in enumerate(self.calls)
        ):
            return False
        if call.verb in FROM_MARKETPLACE:
            return market_may(self.market, self.rules.scenario, call)
        return increff_may(self.increff, self.rules.scenario, call)

    def _request_steps(self, index: int, request: RequestState, lanes: set[str]) -> list[Step]:
        known = self.rules.requests[request.id]
        lane = request.id if known.beside else known.destination
        first = lane not in lanes
        lanes.add(lane)
        if request.status == ANSWERED:
            return [("tell", index)]
        if known.withdraw and request.deadline_ms <= self.now_ms:
            return [("expire", index)]
        if request.status == HELD:
            return [("operator sends again", index), ("operator skips", index)] if first else []
        return [("send", index)] if first else []

    def _disturbance_steps(self, token: int) -> list[Step]:
        kind, about = self.rules.disturbances[token]
        if kind == "late":
            return [("late", token)] if self.raw is not None else []
        if kind in ("again", "repeat", "mute"):
            index = next(n for n, call in enumerate(self.rules.calls) if call.name == about)
            state = self.calls[index]
            if kind == "mute":
                return [("mute", token)] if state.status in (FLYING, ASKED) else []
            if not state.tries or state.status in (UNMADE, FLYING):
                return []
            # Who was refused asks again only for what is still possible.
            possible = kind == "again" or state.status != REFUSED_CALL or self._may(self.rules.calls[index])
            return [(kind, token)] if possible else []
        return [(kind, token)] if self._target(kind, about) is not None else []

    def _target(self, kind: str, touchpoint: str) -> int | None:
        """The request that a disturbance of its touchpoint meets: it must be about to be sent."""
        lanes: set[str] = set()
        for index, request in enumerate(self.requests):
            known = self.rules.requests[request.id]
            lane = request.id if known.beside else known.destination
            if lane in lanes:
                continue
            lanes.add(lane)
            expired = known.withdraw and request.deadline_ms <= self.now_ms
            # A far side that acted does not refuse the same request afterwards (contract 0.3).
            denied = kind == "refuse" and request.acted
            if known.touchpoint == touchpoint and request.status == WAITING and not expired and not denied:
                return index
        return None

    # What happens.

    def take(self, step: Step) -> World:
        """The world after a step. This one stays as it is."""
        what, index = step
        world = copy(self)
        if what == "make":
            world._make(index)
        elif what in ("arrive", "ask again"):
            world._decide_call(index)
        elif what in ("send", "tell", "expire", "operator sends again", "operator skips"):
            world._move(what, index)
        else:
            world.left = tuple(token for token in self.left if token != index)
            world._disturb(*self.rules.disturbances[index])
        return world

    def _make(self, index: int) -> None:
        call = self.rules.calls[index]
        knew = (*self.increff.customer, *self.increff.seller) if call.verb in ("seller", "rest") else ()
        if call.verb not in FROM_MARKETPLACE:
            self.increff = increff_makes(self.increff, call)
        self._set(index, CallState(FLYING, knew=knew))
        if call.verb not in CROSSING:
            self._decide_call(index)

    def _decide_call(self, index: int) -> None:
        """The next try of a call arrives."""
        state = self.calls[index]
        if state.tries >= TRIES_MAX:
            self.problems += (f"{self.rules.calls[index].name} was never answered",)
            self._set(index, state._replace(status=REFUSED_CALL))
            return
        done = state.status in (DONE, REFUSED_CALL)
        deaf = state.deaf == state.tries + 1
        status = state.status if done else AGAIN if deaf else ASKED
        self._set(index, state._replace(status=status, tries=state.tries + 1))
        self._decide(self.rules.event(index, state.tries, state.knew, self.now_ms))

    def _decide(self, event: Event) -> None:
        decided = self.rules.decider.decide(self.raw, self.answers, event, self.now_ms)
        self.raw = decided.raw
        self.facts |= decided.facts
        self.problems += decided.problems
        if decided.recorded:
            known = {answer[0]: answer for answer in (*self.answers, *decided.recorded)}
            self.answers = tuple(known[key] for key in sorted(known))
        for request in decided.requests:
            self.rules.requests[request.id] = request
            self.requests += (RequestState(request.id, request.deadline_ms or 0, units=_sellers(request)),)
        if decided.changed:
            self.calls = tuple(
                s._replace(status=AGAIN) if s.status == LATER and s.tries < PATIENCE else s for s in self.calls
            )
        self._reply(decided)

    def _reply(self, decided: Decided) -> None:
        for event, verdict, message in decided.replies:
            index, number = self.rules.callers[event]
            call, state = self.rules.calls[index], self.calls[index]
            if number < state.deaf:
                continue
            if state.status == DONE:
                undone = self.facts & UNDONE and call.verb in HOLDING
                if verdict in (Verdict.REFUSED, Verdict.CONFLICT) and call.verb in SETTLED and not undone:
                    self.problems += (f"a repeat of {call.name}, which had succeeded, is refused: {message}",)
                continue
            if verdict in (Verdict.FAILED, Verdict.EARLY):
                self._set(index, state._replace(status=LATER, early=verdict is Verdict.EARLY))
                continue
            self._set(index, state._replace(status=DONE if verdict.succeeded else REFUSED_CALL))
            if call.verb in FROM_MARKETPLACE:
                self.market = market_hears(self.market, call, taken=verdict.succeeded)
            else:
                self.increff = increff_hears(self.increff, self.rules.scenario, call, taken=verdict.succeeded)

    def _move(self, what: str, index: int) -> None:
        request = self.requests[index]
        if what == "send":
            answer = self._taken_by_far_side(request)
            self._put(index, request._replace(status=ANSWERED, attempts=request.attempts + 1, answer=answer))
            if self.rules.requests[request.id].touchpoint not in SLOW:
                self._tell(index)
        elif what == "tell":
            self._tell(index)
        elif what == "expire":
            self._end(index, OutcomeKind.EXPIRED, None)
        elif what == "operator sends again":
            self._put(index, request._replace(status=WAITING))
        else:
            self._end(index, OutcomeKind.REFUSED, None, "skipped by an operator")

    def _taken_by_far_side(self, request: RequestState) -> Answer:
        known, call = self.rules.requests[request.id], self.rules.call_of(request)
        if known.destination == INCREFF:
            self.increff, answer = increff_takes(self.increff, self.rules.scenario, call)
        else:
            self.market, answer = market_takes(self.market, self.rules.scenario, call)
        return answer

    def _tell(self, index: int) -> None:
        """The answer of the far side becomes an outcome."""
        request = self.requests[index]
        assert request.answer is not None
        known = self.rules.requests[request.id]
        touchpoint = BY_NAME[known.touchpoint]
        if request.answer[0] == 200:
            self._end(index, OutcomeKind.DELIVERED, request.answer)
        elif touchpoint.when_dead is WhenDead.HOLD and not known.relay and touchpoint.name != "create-outward-order":
            self._report(request, OutcomeKind.DEAD, request.answer)
            self._put(index, request._replace(status=HELD, answer=None))
        else:
            self._end(index, OutcomeKind.REFUSED, request.answer)

    def _end(self, index: int, kind: OutcomeKind, answer: Answer | None, message: str = "") -> None:
        request = self.requests[index]
        self.requests = (*self.requests[:index], *self.requests[index + 1 :])
        self._report(request, kind, answer, message)

    def _report(self, request: RequestState, kind: OutcomeKind, answer: Answer | None, message: str = "") -> None:
        status, body = answer if answer is not None else (None, None)
        attempt = Attempt(number=request.attempts, at_ms=self.now_ms, took_ms=1.0, status=status)
        outcome = Outcome(
            request=request.id,
            touchpoint=self.rules.requests[request.id].touchpoint,
            kind=kind,
            status=status,
            body=body,
            message=message,
            attempt=attempt if request.attempts else None,
        )
        self._decide(outcome_event(KEY, CODE, outcome))

    def _disturb(self, kind: str, about: str) -> None:
        if kind == "late":
            self.now_ms += MINUTE_MS
            return
        if kind in ("again", "repeat", "mute"):
            index = next(n for n, call in enumerate(self.rules.calls) if call.name == about)
            state = self.calls[index]
            if kind == "again":
                self._decide(self.rules.event(index, state.tries - 1, state.knew, self.now_ms))
            elif kind == "repeat":
                if state.status == REFUSED_CALL:
                    self._set(index, state._replace(status=AGAIN))
                    self.increff = increff_makes(self.increff, self.rules.calls[index])
                self._decide_call(index)
                call = self.rules.calls[index]
                if call.verb in HOLDING and self.calls[index].status == DONE:
                    self.market = market_hears(self.market, call, taken=True)
            else:
                flying = state.status == FLYING
                self._set(index, state._replace(deaf=state.tries + flying, status=FLYING if flying else AGAIN))
            return
        target = self._target(kind, about)
        assert target is not None
        index = target
        request = self.requests[index]._replace(attempts=self.requests[index].attempts + 1)
        self._put(index, request)
        if kind == "lost":
            self._taken_by_far_side(request)
            self._put(index, request._replace(acted=True))
            self._report(request, OutcomeKind.RETRYING, None)
        elif kind == "refuse":
            self._put(index, request._replace(answer=REFUSED, status=ANSWERED))
            self._tell(index)
        elif BY_NAME[about].when_dead is WhenDead.HOLD:
            self._put(index, request._replace(status=HELD))
            self._report(request, OutcomeKind.DEAD, None)
        else:
            self._end(index, OutcomeKind.DEAD, None)

    def _set(self, index: int, state: CallState) -> None:
        self.calls = (*self.calls[:index], state, *self.calls[index + 1 :])

    def _put(self, index: int, request: RequestState) -> None:
        self.requests = (*self.requests[:index], request, *self.requests[index + 1 :])


def _sellers(request: RequestDelivery) -> tuple[tuple[int, int], ...]:
    if request.touchpoint != "seller-cancellation":
        return ()
    return tuple((int(item["orderItemCode"][1:]), item["sellerCancelledQty"]) for item in request.body["orderItems"])


def begin(scenario: Scenario, decider: Decider) -> World:
    view = unknowing(scenario)
    calls = (CallState(),) * len(scenario.calls)
    return World(Rules(scenario, decider), view, view, calls, left=tuple(range(len(scenario.disturbances))))
