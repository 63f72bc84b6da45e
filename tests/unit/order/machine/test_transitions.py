"""The table of transitions, walked.

Property: every state and event has a verdict, and never an exception; what is drawn in the docs is the table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.order.forward.adopt import ADOPTABLE
from streams.order.forward.early_events import MAY_COME_EARLY
from streams.order.machine import diagram
from streams.order.machine.decide import decide
from streams.order.machine.transitions import MAKERS, TABLES
from streams.order.model import states as groups
from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.entity import Entity
from streams.order.model.events import OUTCOMES, Event, EventKind
from streams.order.model.parts import Line, new_delivery
from streams.order.model.states import ManifestState, OrderState, ReturnState
from streams.order.returns import returns
from streams.order.storage.encoding import encode_entity
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
    manifest_body,
    outcome_event,
    pack_body,
    sample,
    update_body,
)
from topics.records.deliveries import Attempt, Outcome, OutcomeKind
from topics.records.keys import order_key

COMMANDS: dict[EventKind, tuple[str, dict[str, Any]]] = {
    EventKind.CREATE: ("create-outward-order", create_body()),
    EventKind.UPDATE: ("update-order-properties", update_body(hold=True)),
    EventKind.REPORT_DELIVERED: (
        "update-order-properties",
        update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17"),
    ),
    EventKind.ACKNOWLEDGE: ("acknowledgement", acknowledgement_body()),
    EventKind.PACK: ("pack-order", pack_body(sku_1=1)),
    EventKind.GET_INVOICE: ("get-invoice", document_body()),
    EventKind.GET_LABEL: ("get-shipping-label", document_body()),
    EventKind.HANDOVER: ("handover-notification", handover_body()),
    EventKind.SELLER_CANCEL: ("seller-cancellation", cancel_body(i1=1)),
    EventKind.CUSTOMER_CANCEL: ("customer-cancellation", cancel_body(i1=1)),
    EventKind.CREATE_RETURN: ("create-return-order", sample("create-return-order")),
    EventKind.ADD_RETURN_ITEMS: ("add-return-order-items", sample("add-return-order-items")),
    EventKind.UPDATE_RETURN: ("update-returns", sample("update-returns")),
    EventKind.CANCEL_RETURN_ITEMS: ("cancel-return-order-items", sample("cancel-return-order-items")),
    EventKind.ACKNOWLEDGE_RETURN: ("return-order-acknowledgement", sample("return-order-acknowledgement")),
    EventKind.CREATE_MANIFEST: ("create-manifest", manifest_body()),
}
INTERNAL: dict[EventKind, dict[str, Any]] = {
    EventKind.SHIPMENT_MANIFESTED: {"orderCode": CODE, "shipmentCode": "S-1", "manifestCode": "M"},
    EventKind.RETURN_CLAIMED: {
        "orderCode": CODE,
        "returnOrderCode": "R",
        "version": 1,
        "asked": True,
        "held": {},
        "wanted": {"SKU-1": 1},
    },
    EventKind.RETURN_DECIDED: {
        "orderCode": CODE,
        "returnOrderCode": "R",
        "version": 1,
        "admitted": True,
        "reason": "",
        "forwardKnown": True,
    },
    EventKind.RESUBMIT: {
        "request": "asked.0",
        "touchpoint": "create-outward-order",
        "body": create_body(),
        "saidMs": START_MS,
        "by": "ops",
        "address": "10.0.0.1",
        "reason": "SKU-1 is mapped now",
        "dryRun": False,
    },
    EventKind.QUERY: {"orderCode": CODE},
    EventKind.CALL_REFUSED: {"subject": CODE},
    EventKind.TICK: {},
}
GROUPS = {
    "TAKEN_BY_INCREFF": "SUBMITTED ACKNOWLEDGED",
    "NOT_HELD": "RECEIVED SUBMITTED ACKNOWLEDGED",
    "BEFORE_PACK": "RECEIVED HELD SUBMITTED ACKNOWLEDGED",
    "IN_WAREHOUSE": "PACKED LABELLED MANIFESTED",
    "ALIVE": "RECEIVED HELD SUBMITTED ACKNOWLEDGED PACKED LABELLED MANIFESTED HANDED_OVER",
    "FINISHED": "HANDED_OVER DELIVERED CANCELLED",
    "ENDED": "HANDED_OVER DELIVERED CANCELLED REJECTED",
    "CREATED": "RECEIVED HELD SUBMITTED ACKNOWLEDGED PACKED LABELLED MANIFESTED HANDED_OVER DELIVERED CANCELLED",
    "COMING": "RECEIVED SUBMITTED",
    "ARRIVED": "ACKNOWLEDGED COMPLETED",
    "NOT_ADMITTED": "ASKED REFUSED REJECTED",
}
"""The groups of states in the table, member by member: a state that is added to one changes many cells."""


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_of_states_has_these_members(name: str) -> None:
    assert " ".join(getattr(groups, name)) == GROUPS[name]


ANYWHERE = (EventKind.QUERY, EventKind.TICK, EventKind.CALL_REFUSED)
"""What is answered in every state alike, and so is not in the table."""
OUTCOME_OF: dict[EventKind, tuple[str, OutcomeKind]] = {
    EventKind.CREATE_TAKEN: ("create-outward-order", OutcomeKind.DELIVERED),
    EventKind.CREATE_REFUSED: ("create-outward-order", OutcomeKind.REFUSED),
    EventKind.PACK_TAKEN: ("pack-order", OutcomeKind.DELIVERED),
    EventKind.PACK_FAILED: ("pack-order", OutcomeKind.EXPIRED),
    EventKind.INVOICE_TAKEN: ("get-invoice", OutcomeKind.DELIVERED),
    EventKind.LABEL_TAKEN: ("get-shipping-label", OutcomeKind.DELIVERED),
    EventKind.DOCUMENT_FAILED: ("get-shipping-label", OutcomeKind.REFUSED),
    EventKind.CUSTOMER_CANCEL_TAKEN: ("customer-cancellation", OutcomeKind.DELIVERED),
    EventKind.CUSTOMER_CANCEL_FAILED: ("customer-cancellation", OutcomeKind.DEAD),
    EventKind.ITEMS_REFUSED: ("add-return-order-items", OutcomeKind.REFUSED),
    EventKind.ITEMS_CANCELLED: ("cancel-return-order-items", OutcomeKind.DELIVERED),
    EventKind.NOTICE_TAKEN: ("acknowledgement", OutcomeKind.DELIVERED),
    EventKind.NOTICE_FAILED: ("update-order-properties", OutcomeKind.DEAD),
    EventKind.ATTEMPT_FAILED: ("acknowledgement", OutcomeKind.RETRYING),
    EventKind.OVERTAKEN: ("acknowledgement", OutcomeKind.OVERTAKEN),
    EventKind.MANIFEST_TAKEN: ("create-manifest", OutcomeKind.DELIVERED),
    EventKind.MANIFEST_FAILED: ("create-manifest", OutcomeKind.REFUSED),
}
RETURN_ADOPTABLE = tuple(kind for kind, (_, make, _) in MAKERS.items() if make is returns.adopt_return)
ENTITIES: tuple[tuple[type[Entity], tuple[str, ...]], ...] = (
    (Order, tuple(OrderState)),
    (Return, tuple(ReturnState)),
    (Manifest, tuple(ManifestState)),
)


def make_event(kind: EventKind) -> Event:
    if kind in COMMANDS:
        event = command(*COMMANDS[kind], event_id="walk")
    elif kind in OUTCOME_OF:
        touchpoint, outcome_kind = OUTCOME_OF[kind]
        attempt = Attempt(number=1, at_ms=START_MS, took_ms=1.0, status=200)
        outcome = Outcome(request="asked.0", touchpoint=touchpoint, kind=outcome_kind, attempt=attempt)
        event = outcome_event(order_key(CHANNEL, CODE), CODE, outcome)
    else:
        key = order_key(CHANNEL, CODE)
        event = Event(kind=kind, id="walk", channel=CHANNEL, code=CODE, key=key, body=INTERNAL[kind], reply_to=0)
    assert event.kind is kind
    return event


def make_entity(made: type[Entity], state: str) -> Entity:
    common: dict[str, Any] = {
        "channel": CHANNEL,
        "code": CODE,
        "state": state,
        "created_ms": START_MS,
        "updated_ms": START_MS,
        "reason": "a reason" if state in ("REJECTED", "REFUSED") else None,
        "request": "asked.0",
        "deliveries": [new_delivery("asked.0", "create-outward-order", START_MS)],
    }
    if made is Order:
        return Order(**common, lines=[Line("I1", "SKU-1", 2), Line("I2", "SKU-2", 1)])
    return made(**common)


@pytest.mark.parametrize("kind", list(EventKind))
@pytest.mark.parametrize(("made", "state"), [(made, state) for made, states in ENTITIES for state in states])
def test_every_state_and_event_has_a_verdict(made: type[Entity], state: str, kind: EventKind) -> None:
    event = make_event(kind)
    entity = make_entity(made, state)
    before = encode_entity(entity)
    decided = decide(entity, event, START_MS + 1)
    assert encode_entity(entity) == before, "deciding leaves its argument alone"
    assert decided.verdict is not None or event.deadline_ms is not None, "only a relay's verdict may be awaited"
    cell = TABLES[made.KIND].get((state, kind))
    assert decided.entity is not None
    if cell is None and kind not in ANYWHERE:
        assert (decided.entity.state, decided.verdict in (None, "APPLIED")) == (state, False)


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_event_has_a_verdict_before_there_is_an_entity(kind: EventKind) -> None:
    decided = decide(None, make_event(kind), START_MS)
    made = kind in MAKERS and (kind not in (*ADOPTABLE, *RETURN_ADOPTABLE) or kind in MAY_COME_EARLY)
    assert (decided.entity is not None) is made
    if made:
        assert decided.entity is not None
        assert decided.entity.state in MAKERS[kind][2]
    if kind in MAY_COME_EARLY:
        assert (decided.verdict, decided.kept) == ("EARLY", True)
    elif made:
        assert decided.verdict in ("APPLIED", None)
    elif kind is not EventKind.QUERY:
        assert decided.verdict == "EARLY"


def test_every_event_is_handled_somewhere() -> None:
    handled = {event for table in TABLES.values() for _, event in table} | set(MAKERS) | set(ANYWHERE)
    assert handled == set(EventKind)
    assert set(COMMANDS) | set(INTERNAL) | set(OUTCOME_OF) == set(EventKind)
    assert set(OUTCOME_OF) - {EventKind.ATTEMPT_FAILED, EventKind.OVERTAKEN} == OUTCOMES


def test_nothing_leads_out_of_the_ends() -> None:
    for (state, _), cell in TABLES[Order.KIND].items():
        if state in ("DELIVERED", "CANCELLED"):
            assert not cell.to


def test_the_documents_diagrams_are_those_of_the_table() -> None:
    text = Path(diagram.DOCUMENT).read_text(encoding="utf-8")
    assert text == diagram.drawn(text), "stale: run python -m streams.order.machine.diagram"
    assert "RECEIVED --> SUBMITTED" in text


def test_a_diagram_that_is_stale_is_noticed() -> None:
    text = Path(diagram.DOCUMENT).read_text(encoding="utf-8").replace("RECEIVED --> SUBMITTED", "RECEIVED --> PACKED")
    assert text != diagram.drawn(text)
