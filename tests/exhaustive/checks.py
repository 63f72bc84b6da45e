"""What must hold when a history is at its end: a documented outcome, and views that agree or a fact that says why not.

Sluice's view is its own state; Increff's and the marketplace's are what the model of each side knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from streams.order.machine.races import DISAGREEMENTS, ENDINGS, ending_of
from streams.order.model.entities import Order
from streams.order.model.states import OrderState
from streams.order.storage.encoding import decode_entity
from tests.exhaustive.far_sides import ASKING, HANDED, PACKED, View
from tests.exhaustive.state import ASKED, LATER, REFUSED_CALL
from tests.exhaustive.world import World
from topics.contract.touchpoints import BY_NAME

Fact = tuple[str, str]
CROSSED = {"hold-crossed"}
"""Facts of a difference that no side can avoid: an acknowledgement may cross a hold anywhere."""


class Difference(NamedTuple):
    """Two sides disagree about something. `said_by`: the facts of which any one tells it."""

    what: str
    said_by: tuple[Fact, ...]


def differences(world: World) -> Iterator[Difference]:
    """Where the three views of the order do not agree."""
    assert world.raw is not None
    order = decode_entity(world.raw)
    assert isinstance(order, Order)
    if order.state == OrderState.REJECTED:
        if world.increff.known:
            yield Difference("Increff has the order that it refused", _undelivered("create-outward-order"))
        return
    if not world.increff.known:
        yield Difference("Increff does not have the order", (("delivery-failed", "create-outward-order"),))
        return
    if order.state == OrderState.EXPECTED:
        return  # events wait for an order that nobody created
    yield from _lines(world, order)
    yield from _shipments(world, order)
    yield from _hold(world, order)


def _hold(world: World, order: Order) -> Iterator[Difference]:
    """The marketplace's last word on the hold must reach Increff, also where an acknowledgement crossed it."""
    if order.state == OrderState.CANCELLED:
        return  # nothing is left to be held
    said = _undelivered("update-order-properties")
    if world.market.held != world.increff.held:
        what = f"the marketplace {_word(world.market)} the order, Increff {_word(world.increff)} it"
        yield Difference(what, said)
    if order.held != world.increff.held:
        yield Difference("Sluice and Increff differ about the hold", (*said, ("hold-crossed", "")))


def _word(view: View) -> str:
    return "holds" if view.held else "does not hold"


def _lines(world: World, order: Order) -> Iterator[Difference]:
    scenario, increff, market = world.rules.scenario, world.increff, world.market
    for number, line in enumerate(order.lines, 1):
        crossed: tuple[Fact, ...] = (("cancellation-crossed", ""),)
        ended: tuple[Fact, ...] = (("seller-cancellation-refused", ""),)
        unanswered = tuple(("pack-unanswered", str(n)) for n in scenario.shipments)
        if increff.cancelled(number) != line.cancelled:
            what = f"line {number}: Increff cancelled {increff.cancelled(number)}, Sluice {line.cancelled}"
            yield Difference(what, (*_undelivered("customer-cancellation"), *ended, *crossed))
        if market.cancelled(number) != line.cancelled:
            what = f"line {number}: the marketplace cancelled {market.cancelled(number)}, Sluice {line.cancelled}"
            yield Difference(
                what, (*_undelivered("seller-cancellation"), *_undelivered("customer-cancellation"), *crossed)
            )
        for side, view in (("Increff", increff), ("the marketplace", market)):
            packed = _packed(view, world, number)
            ordered = scenario.lines[number - 1]
            if packed + max(line.cancelled, view.cancelled(number)) > ordered:
                what = f"line {number}: {packed} of {ordered} packed at {side} and {line.cancelled} cancelled"
                theirs = unanswered if view is market else ()
                yield Difference(what, (*ended, *theirs, *crossed))


def _packed(view: View, world: World, line: int) -> int:
    return view.units(world.rules.scenario, line, PACKED, HANDED)


def _shipments(world: World, order: Order) -> Iterator[Difference]:
    for number in world.rules.scenario.shipments:
        known = order.shipment(number)
        ours = known.state if known is not None else ""
        increff, market = world.increff.shipment(number), world.market.shipment(number)
        if (increff in (PACKED, HANDED)) != bool(ours):
            yield Difference(f"shipment {number} is {increff or 'none'} at Increff, {ours or 'none'} here", ())
        if bool(market) != bool(ours):
            what = f"shipment {number} is {market or 'none'} at the marketplace, {ours or 'none'} here"
            yield Difference(what, (("pack-unanswered", str(number)),))
        if (increff == HANDED) != (ours == "HANDED_OVER"):
            yield Difference(f"shipment {number} left, and only one of Increff and Sluice knows", ())
        if (market == HANDED) != (ours == "HANDED_OVER"):
            what = f"shipment {number} left, and only one of the marketplace and Sluice knows"
            yield Difference(what, _undelivered("handover-notification"))


def _undelivered(touchpoint: str) -> tuple[Fact, ...]:
    return (("delivery-failed", touchpoint), ("delivery-refused", touchpoint))


def ending(world: World) -> tuple[str, list[str]]:
    """The documented outcome of a finished history, and what is wrong with it."""
    if world.raw is None:
        return "never created", []
    wrong = [
        f"{world.rules.calls[index].name} is never answered"
        for index, call in enumerate(world.calls)
        if call.status == ASKED or (call.status == LATER and not call.early)
    ]
    wrong += [f"{request.id} never ends" for request in world.requests]
    order = decode_entity(world.raw)
    assert isinstance(order, Order)
    if order.deferred or any(not relay.dead for relay in order.relays):
        wrong.append("an answer is still awaited, of which nothing will come")
    told: set[str] = set()
    for difference in differences(world):
        said = next((name for name, about in difference.said_by if (name, about) in world.facts), None)
        if said is None:
            wrong.append(f"nobody says: {difference.what}")
        else:
            told.add(said)
    if any(world.increff.shipment(n) == ASKING for n in world.rules.scenario.shipments):
        wrong.append("Increff is still asking for a Pack")
    wrong += _silent(world)
    scenario = world.rules.scenario
    if told - CROSSED and scenario.cut_off and not scenario.disturbances:
        wrong.append(f"nothing was disturbed, and still the views differ: {', '.join(sorted(told))}")
    name = ending_of(order)
    wrong += [f"not documented: {word}" for word in undocumented(name, told)]
    return ", ".join([name, *sorted(told)]), wrong


def _silent(world: World) -> list[str]:
    """Calls that may have been answered with success before their verdict, which was none, and no fact says so."""
    said = {about for name, about in world.facts if name == "call-not-applied"}
    calls = [world.rules.calls[index] for index, call in enumerate(world.calls) if call.status == REFUSED_CALL]
    lost = [call for call in calls if not BY_NAME[call.touchpoint].refusable and call.touchpoint not in said]
    return [f"nobody says that {call.name} was not applied" for call in lost]


def undocumented(name: str, told: Iterable[str]) -> list[str]:
    """What docs/races.md does not know of an outcome."""
    unknown = [] if name.removesuffix(", part cancelled") in ENDINGS else [name]
    return unknown + [fact for fact in told if fact not in DISAGREEMENTS]
