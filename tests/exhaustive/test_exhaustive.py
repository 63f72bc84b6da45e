"""A seeded share of the exhaustive check (the whole of it: `make races`), and that the check can fail.

Property: every history ends in a documented outcome; lines add up; facts have no gap; whoever is refused learns why;
Sluice's view, Increff's and the marketplace's agree at the end, or a fact says that they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from streams.order.forward import cancel, create, pack
from streams.order.machine import transitions
from streams.order.model.decision import APPLIED, Decision, Ruling
from streams.order.model.entities import Order
from streams.order.model.events import EventKind
from streams.order.model.states import OrderState
from tests.exhaustive.explorer import Explored, Explorer
from tests.exhaustive.families import THREE_LINE_SHIPMENTS, THREE_LINES, disturbed, small
from tests.exhaustive.scenario import Scenario

SEED = 20261125
SHARE = 60
"""Scenarios of the many: some seconds."""
EVENTS_MAX = 5
CONTENDED = Scenario(("create", "cancel:1=1", "pack:1", "seller:1=1"), cut_off=False)


def explored(scenarios: Iterator[Scenario] | list[Scenario]) -> Explored:
    total = Explored()
    for scenario in scenarios:
        total.add(Explorer(scenario).run())
    return total


def test_a_share_of_all_histories_ends_well() -> None:
    few = [scenario for scenario in (*small(), *disturbed()) if scenario.events <= EVENTS_MAX]
    chosen = Random(SEED).sample(few, SHARE)
    total = explored(chosen)
    print(f"seed {SEED}: {total.histories} histories of {SHARE} scenarios, {total.decisions} decisions")
    assert not total.findings, "\n".join(map(str, total.findings))
    assert total.histories > 20_000


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(("create", "cancel:1=1", "pack:1", "rest", "handover:1"), lines=(3,), single=True),
        Scenario(("create", "pack:1", "rest"), ("mute:pack:1",), lines=(3,), single=True),
        Scenario(("create", "cancel:1=1", "seller:1=1", "pack:1", "pack:2"), lines=(3,), split=True),
    ],
    ids=str,
)
def test_orders_that_ship_once_and_orders_that_are_split(scenario: Scenario) -> None:
    total = explored([scenario])
    assert not total.findings, "\n".join(map(str, total.findings))


def test_a_hold_an_acknowledgement_and_a_release_cross() -> None:
    """The release reaches Increff, wherever the acknowledgement crossed the hold."""
    total = explored([Scenario(("create", "hold", "ack", "release")), Scenario(("create", "hold", "ack", "delivered"))])
    assert not total.findings, "\n".join(map(str, total.findings))
    assert any("hold-crossed" in outcome for outcome in total.outcomes)


@pytest.mark.parametrize("cut_off", [True, False])
def test_three_lines_in_two_shipments(cut_off: bool) -> None:
    calls = ("create", "cancel:1=1,2=1", "seller:1=1,3=1", "pack:1", "pack:2")
    total = explored([Scenario(calls, lines=THREE_LINES, shipments=THREE_LINE_SHIPMENTS, cut_off=cut_off)])
    assert not total.findings, "\n".join(map(str, total.findings))


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(("create", "cancel:1=1", "pack:1")),
        Scenario(("create", "pack:1", "seller:1=1"), ("late",), cut_off=False),
        Scenario(("create", "pack:1", "handover:1"), eager=True),
        Scenario(("create", "hold", "cancel:1=1"), ("lost:customer-cancellation",)),
    ],
    ids=str,
)
def test_walking_worlds_once_finds_what_walking_every_history_finds(scenario: Scenario) -> None:
    merged, plain = Explorer(scenario).run(), Explorer(scenario, merged=False).run()
    assert merged.outcomes == plain.outcomes
    assert merged.worlds < plain.worlds


Handler = Callable[[Decision[Any]], Ruling]


def broken(monkeypatch: pytest.MonkeyPatch, kind: EventKind, handler: Handler) -> None:
    """The machine with another handler for one event."""
    table = transitions.TABLES[Order.KIND]
    for (state, event), cell in list(table.items()):
        if event is kind:
            monkeypatch.setitem(table, (state, event), transitions.Cell(handler, cell.to | set(OrderState)))


def cancelled_without_increff(decision: Decision[Order]) -> Ruling:
    for item in decision.event.body["orderItems"]:
        order = decision.entity
        line = order.lines[order.line_index.by_code[item["orderItemCode"]]]
        order.change_line(line, customer=max(0, item["cancelledQuantity"] - line.customer))
    return APPLIED


def silently_not_packed(decision: Decision[Order]) -> Ruling:
    ruling = pack.pack_failed(decision)
    decision.effects = [effect for effect in decision.effects if type(effect).__name__ != "PublishFact"]
    return ruling


def refused_without_a_reason(decision: Decision[Order]) -> Ruling:
    ruling = cancel.seller_cancel(decision)
    return Ruling(ruling.verdict)


def packed_at_once(decision: Decision[Order]) -> Ruling:
    """Does not wait for the answer of the marketplace."""
    ruling = pack.pack_order(decision)
    for line in decision.entity.lines:
        decision.entity.change_line(line, packed=1)
    return ruling


def acknowledged_after_the_hold(decision: Decision[Order]) -> Ruling:
    """Takes every acknowledgement for one that was made after the hold reached Increff."""
    ruling = create.acknowledge_order(decision)
    order = decision.entity
    if order.hold_crossed:
        order.properties["onHold"], order.hold_crossed = False, False
    return ruling


@pytest.mark.parametrize(
    ("kind", "handler", "scenario", "found"),
    [
        (
            EventKind.ACKNOWLEDGE,
            acknowledged_after_the_hold,
            Scenario(("create", "hold", "ack", "release")),
            "nobody says: the marketplace does not hold the order, Increff holds it",
        ),
        (EventKind.CUSTOMER_CANCEL, cancelled_without_increff, CONTENDED, "nobody says: line 1: Increff cancelled"),
        (
            EventKind.PACK_FAILED,
            silently_not_packed,
            Scenario(("create", "pack:1"), ("refuse:pack-order",)),
            "facts are numbered",
        ),
        (EventKind.SELLER_CANCEL, refused_without_a_reason, CONTENDED, "without a reason"),
        (EventKind.PACK, packed_at_once, CONTENDED, "do not add up"),
    ],
)
def test_the_check_finds_a_machine_that_breaks_the_rules(
    monkeypatch: pytest.MonkeyPatch, kind: EventKind, handler: Handler, scenario: Scenario, found: str
) -> None:
    broken(monkeypatch, kind, handler)
    findings = explored([scenario]).findings
    assert any(found in finding.what for finding in findings), findings
