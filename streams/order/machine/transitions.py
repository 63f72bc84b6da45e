"""The one table: (state, event) -> the handler, and the states it may lead to. The diagram is drawn from it.

An absent cell is a verdict, never an exception (see `absent`). A handler may always leave the state as it is; a cell
names the other states it may lead to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from streams.order.forward import adopt, cancel, create, early_events, pack, revival, shipments
from streams.order.machine import outcomes, resubmit
from streams.order.manifests import manifests
from streams.order.model.decision import AnswerLookup, Decision, Ruling, early, refused
from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.entity import Entity
from streams.order.model.events import Event, EventKind
from streams.order.model.states import (
    ALIVE,
    ARRIVED,
    BEFORE_PACK,
    COMING,
    CREATED,
    ENDED,
    FINISHED,
    IN_WAREHOUSE,
    NOT_ADMITTED,
    NOT_HELD,
    TAKEN_BY_INCREFF,
    ManifestState,
    OrderState,
    ReturnState,
)
from streams.order.returns import claims, items, returns

Handler = Callable[[Decision[Any]], Ruling]
Maker = Callable[[Event, int, AnswerLookup], tuple[Decision[Any], Ruling | None] | None]


@dataclass(frozen=True, slots=True)
class Cell:
    handler: Handler
    to: frozenset[str]


Table = dict[tuple[str, EventKind], Cell]

E = EventKind
S = OrderState
R = ReturnState
M = ManifestState

_HOLDS = (((S.HELD,), NOT_HELD), (NOT_HELD, (S.HELD,)))
"""A hold and its release; and the refusal of either, which takes it back."""
_REVIVED = (S.HELD, S.SUBMITTED)
"""An order that Increff had refused goes on: as the Create says, on hold or not."""
_GOES_ON = (IN_WAREHOUSE, (S.MANIFESTED, S.HANDED_OVER))
"""May follow from any outcome: there is room again to apply an early event, or to close the rest of the order."""

MAKERS: Final[dict[EventKind, tuple[type[Entity], Maker, tuple[str, ...]]]] = {
    E.CREATE: (Order, create.create_order, (S.RECEIVED, S.HELD)),
    E.CREATE_RETURN: (Return, returns.create_return, (R.ASKED, R.REFUSED)),
    **dict.fromkeys(
        (E.ADD_RETURN_ITEMS, E.UPDATE_RETURN, E.CANCEL_RETURN_ITEMS), (Return, returns.adopt_return, (R.SUBMITTED,))
    ),
    E.ACKNOWLEDGE_RETURN: (Return, returns.adopt_return, (R.ACKNOWLEDGED,)),
    E.CREATE_MANIFEST: (Manifest, manifests.create_manifest, (M.REQUESTED,)),
    **{
        event: (Order, adopt.adopt_order, (S.EXPECTED, *states) if event in early_events.MAY_COME_EARLY else states)
        for event, states in adopt.ADOPTABLE.items()
    },
}
"""The events that make an entity that is not known yet: its class, the maker, the states it may begin in. Without a
ruling of the maker, the new entity's cell decides. Which events make an order is the channel's policy."""


def _on(event: EventKind, handler: Handler, *moves: tuple[Iterable[str], Iterable[str]]) -> Table:
    """The cells of one event: in each of these states this handler, which may lead to those."""
    return {(state, event): Cell(handler, frozenset(to) - {state}) for states, to in moves for state in states}


ORDER: Table = {
    # From the marketplace.
    **_on(E.CREATE, create.create_expected, ((S.EXPECTED,), (S.RECEIVED, S.HELD, S.ACKNOWLEDGED, S.CANCELLED))),
    # To another state only where an adopted order learns its items.
    **_on(
        E.CREATE,
        create.repeat_create,
        ((S.HELD, *TAKEN_BY_INCREFF), (S.CANCELLED,)),
        (IN_WAREHOUSE, (S.HANDED_OVER,)),
        ((S.HANDED_OVER,), (S.MANIFESTED,)),
        ((S.RECEIVED, S.DELIVERED, S.CANCELLED), ()),
    ),
    **_on(E.CREATE, create.retry_create, ((S.REJECTED,), (S.RECEIVED, S.HELD))),
    **_on(
        E.UPDATE,
        create.update_order,
        *_HOLDS,
        ((*IN_WAREHOUSE, S.HANDED_OVER, S.DELIVERED), ()),
    ),
    **_on(E.REPORT_DELIVERED, create.report_delivered, (ALIVE, (S.DELIVERED,)), ((S.DELIVERED,), ())),
    **_on(E.CUSTOMER_CANCEL, cancel.customer_cancel, (CREATED, ())),
    # From Increff.
    **_on(
        E.ACKNOWLEDGE,
        create.acknowledge_order,
        (BEFORE_PACK, (S.ACKNOWLEDGED,)),
        ((*IN_WAREHOUSE, S.HANDED_OVER, S.DELIVERED), ()),
    ),
    **_on(
        E.PACK, pack.pack_order, ((*BEFORE_PACK, *IN_WAREHOUSE, S.DELIVERED), ()), ((S.HANDED_OVER,), (S.MANIFESTED,))
    ),
    **_on(E.GET_INVOICE, shipments.get_invoice, ((*ALIVE, S.DELIVERED), ())),
    **_on(E.GET_LABEL, shipments.get_label, ((*ALIVE, S.DELIVERED), ())),
    **_on(
        E.HANDOVER,
        shipments.hand_over,
        (BEFORE_PACK, (S.MANIFESTED, S.HANDED_OVER)),
        (IN_WAREHOUSE, (S.MANIFESTED, S.HANDED_OVER)),
        ((S.HANDED_OVER, S.DELIVERED), ()),
    ),
    **_on(
        E.SELLER_CANCEL,
        cancel.seller_cancel,
        (BEFORE_PACK, (S.CANCELLED,)),
        (IN_WAREHOUSE, (S.HANDED_OVER,)),
        (FINISHED, ()),
    ),
    # From Increff, about an order that it refused: so it has the order.
    **_on(E.ACKNOWLEDGE, revival.reviving(create.acknowledge_order), ((S.REJECTED,), (*_REVIVED, S.ACKNOWLEDGED))),
    **_on(E.PACK, revival.reviving(pack.pack_order), ((S.REJECTED,), _REVIVED)),
    **_on(E.GET_INVOICE, revival.reviving(shipments.get_invoice), ((S.REJECTED,), _REVIVED)),
    **_on(E.GET_LABEL, revival.reviving(shipments.get_label), ((S.REJECTED,), _REVIVED)),
    **_on(E.HANDOVER, revival.reviving(shipments.hand_over), ((S.REJECTED,), _REVIVED)),
    **_on(E.SELLER_CANCEL, revival.reviving(cancel.seller_cancel), ((S.REJECTED,), (*_REVIVED, S.CANCELLED))),
    **_on(E.SHIPMENT_MANIFESTED, revival.reviving(shipments.shipment_manifested), ((S.REJECTED,), _REVIVED)),
    # From within.
    **_on(
        E.SHIPMENT_MANIFESTED,
        shipments.shipment_manifested,
        ((*BEFORE_PACK, *IN_WAREHOUSE, S.HANDED_OVER), (S.MANIFESTED,)),
        ((S.DELIVERED,), ()),
    ),
    **_on(E.RETURN_CLAIMED, claims.return_claimed, ((*CREATED, S.REJECTED), ())),
    **_on(E.RETURN_CLAIMED, claims.return_claimed_early, ((S.EXPECTED,), ())),
    # Outcomes of requests.
    **_on(
        E.CREATE_TAKEN,
        create.create_taken,
        ((S.RECEIVED,), (S.SUBMITTED,)),
        _GOES_ON,
        ((S.HELD, *TAKEN_BY_INCREFF, *FINISHED), ()),
        ((S.REJECTED,), _REVIVED),
    ),
    **_on(E.CREATE_REFUSED, create.create_refused, ((S.RECEIVED, S.HELD), (S.REJECTED, S.SUBMITTED))),
    # Increff cannot have refused an order that it works on: a fact notes the refusal.
    **_on(E.CREATE_REFUSED, outcomes.notice_failed, _GOES_ON, ((*TAKEN_BY_INCREFF, *ENDED), ())),
    **_on(
        E.PACK_TAKEN,
        pack.pack_taken,
        (BEFORE_PACK, (S.PACKED, S.MANIFESTED, S.HANDED_OVER)),
        _GOES_ON,
        (ENDED, ()),
    ),
    **_on(E.PACK_FAILED, pack.pack_failed, (BEFORE_PACK, ()), _GOES_ON, (ENDED, ())),
    # An adopted order may have shipments that were packed before it was met: the answer about one shows it.
    **_on(
        E.INVOICE_TAKEN,
        shipments.invoice_taken,
        (BEFORE_PACK, (S.PACKED, S.MANIFESTED, S.HANDED_OVER)),
        ((S.HANDED_OVER,), (S.MANIFESTED,)),
        _GOES_ON,
        ((S.DELIVERED, S.CANCELLED, S.REJECTED), ()),
    ),
    **_on(
        E.LABEL_TAKEN,
        shipments.label_taken,
        ((*BEFORE_PACK, S.PACKED), (S.LABELLED, S.MANIFESTED, S.HANDED_OVER)),
        ((S.LABELLED, S.MANIFESTED), (S.MANIFESTED, S.HANDED_OVER)),
        ((S.HANDED_OVER,), (S.MANIFESTED,)),
        ((S.DELIVERED, S.CANCELLED, S.REJECTED), ()),
    ),
    **_on(E.DOCUMENT_FAILED, shipments.document_failed, (BEFORE_PACK, ()), _GOES_ON, (ENDED, ())),
    **_on(
        E.CUSTOMER_CANCEL_TAKEN,
        cancel.customer_cancel_taken,
        (BEFORE_PACK, (S.CANCELLED,)),
        _GOES_ON,
        (FINISHED, ()),
        ((S.REJECTED,), (*_REVIVED, S.CANCELLED)),
    ),
    **_on(
        E.CUSTOMER_CANCEL_FAILED,
        cancel.customer_cancel_failed,
        (BEFORE_PACK, ()),
        _GOES_ON,
        (ENDED, ()),
    ),
    **_on(
        E.NOTICE_TAKEN,
        outcomes.notice_taken,
        (BEFORE_PACK, ()),
        _GOES_ON,
        (ENDED, ()),
    ),
    **_on(
        E.NOTICE_FAILED,
        outcomes.notice_failed,
        *_HOLDS,
        _GOES_ON,
        (ENDED, ()),
    ),
    # From an operator.
    **_on(
        E.RESUBMIT,
        resubmit.resubmit_request,
        ((S.REJECTED,), (S.RECEIVED, S.HELD)),
        *_HOLDS,
        ((*IN_WAREHOUSE, *FINISHED), ()),
    ),
    **_on(E.ATTEMPT_FAILED, outcomes.attempt_failed, ((*CREATED, S.REJECTED), ())),
    **_on(E.OVERTAKEN, outcomes.notice_overtaken, ((*CREATED, S.REJECTED), ())),
}
for _event in early_events.MAY_COME_EARLY:
    ORDER |= _on(_event, early_events.order_not_known, ((S.EXPECTED,), ()))

_ADMITTED = (*COMING, *ARRIVED, R.CANCELLED)

RETURN: Table = {
    # From the marketplace.
    **_on(E.CREATE_RETURN, returns.repeat_asked_return, ((R.ASKED,), ())),
    **_on(E.CREATE_RETURN, returns.repeat_return, (_ADMITTED, ())),
    **_on(E.CREATE_RETURN, returns.retry_return, ((R.REFUSED, R.REJECTED), (R.ASKED,))),
    **_on(E.ADD_RETURN_ITEMS, items.add_return_items, (COMING, ())),
    **_on(E.UPDATE_RETURN, returns.update_return, ((*COMING, *ARRIVED), ())),
    **_on(
        E.CANCEL_RETURN_ITEMS,
        items.cancel_return_items,
        (COMING, (R.CANCELLED,)),
        ((R.ACKNOWLEDGED,), (R.COMPLETED,)),
        ((R.COMPLETED, R.CANCELLED), ()),
    ),
    # From Increff. An item may be inspected while Increff has not taken its cancellation.
    **_on(
        E.ACKNOWLEDGE_RETURN,
        items.acknowledge_return,
        ((*COMING, R.ACKNOWLEDGED, R.CANCELLED), (R.ACKNOWLEDGED, R.COMPLETED)),
        ((R.COMPLETED,), ()),
    ),
    **_on(
        E.ACKNOWLEDGE_RETURN,
        returns.acknowledge_rejected,
        ((R.REJECTED,), (R.SUBMITTED, R.ACKNOWLEDGED, R.COMPLETED)),
    ),
    # From within.
    **_on(
        E.RETURN_DECIDED,
        returns.return_decided,
        ((R.ASKED,), (R.RECEIVED, R.REFUSED)),
        (COMING, (R.CANCELLED,)),
        ((*ARRIVED, R.CANCELLED, R.REFUSED, R.REJECTED), ()),
    ),
    # Outcomes of requests.
    **_on(
        E.CREATE_TAKEN,
        returns.return_taken,
        ((R.RECEIVED,), (R.SUBMITTED,)),
        ((R.SUBMITTED, *ARRIVED, R.CANCELLED, R.ASKED, R.REFUSED), ()),
        ((R.REJECTED,), (R.SUBMITTED,)),
    ),
    **_on(E.CREATE_REFUSED, returns.return_rejected, ((R.RECEIVED,), (R.REJECTED,))),
    **_on(E.CREATE_REFUSED, outcomes.notice_failed, ((R.SUBMITTED, *ARRIVED, R.CANCELLED, *NOT_ADMITTED), ())),
    **_on(
        E.ITEMS_REFUSED,
        items.added_items_refused,
        (COMING, (R.CANCELLED,)),
        ((R.ACKNOWLEDGED,), (R.COMPLETED,)),
        ((R.COMPLETED, R.CANCELLED), ()),
    ),
    **_on(E.ITEMS_REFUSED, outcomes.notice_failed, (NOT_ADMITTED, ())),
    **_on(E.ITEMS_CANCELLED, items.cancelled_items_taken, (_ADMITTED, ())),
    **_on(E.ITEMS_CANCELLED, outcomes.notice_taken, (NOT_ADMITTED, ())),
    **_on(E.NOTICE_TAKEN, outcomes.notice_taken, (R, ())),
    **_on(E.NOTICE_FAILED, outcomes.notice_failed, (R, ())),
    **_on(E.RESUBMIT, resubmit.resubmit_request, ((R.REJECTED, R.REFUSED), (R.ASKED,))),
    **_on(E.RESUBMIT, resubmit.resubmit_request, ((*COMING, *ARRIVED, R.CANCELLED), ())),
    **_on(E.ATTEMPT_FAILED, outcomes.attempt_failed, (R, ())),
}
for _event in (E.ADD_RETURN_ITEMS, E.UPDATE_RETURN, E.CANCEL_RETURN_ITEMS, E.ACKNOWLEDGE_RETURN, E.RESUBMIT):
    RETURN |= _on(_event, returns.return_undecided, ((R.ASKED,), ()))

MANIFEST: Table = {
    **_on(E.CREATE_MANIFEST, manifests.repeat_requested, ((M.REQUESTED,), ())),
    **_on(E.CREATE_MANIFEST, manifests.repeat_manifest, ((M.MANIFESTED,), ())),
    **_on(E.CREATE_MANIFEST, manifests.retry_manifest, ((M.REFUSED,), (M.REQUESTED,))),
    **_on(
        E.MANIFEST_TAKEN, manifests.manifest_taken, ((M.REQUESTED,), (M.MANIFESTED,)), ((M.MANIFESTED, M.REFUSED), ())
    ),
    **_on(
        E.MANIFEST_FAILED, manifests.manifest_failed, ((M.REQUESTED,), (M.REFUSED,)), ((M.MANIFESTED, M.REFUSED), ())
    ),
    **_on(E.RESUBMIT, resubmit.resubmit_request, (M, ())),
    **_on(E.ATTEMPT_FAILED, outcomes.attempt_failed, (M, ())),
}

TABLES: Final[dict[str, Table]] = {Order.KIND: ORDER, Return.KIND: RETURN, Manifest.KIND: MANIFEST}


def absent(entity: Entity | None, event: Event) -> Ruling:
    """The verdict of a cell that is not in the table."""
    if entity is None and event.unknown_orders == "refuse" and _noun(event) == Order.KIND:
        return refused(f"order {event.code} is not known, and channel {event.channel} takes on no order midway")
    if entity is None:
        return early(f"{_noun(event)} {event.code} is not known")
    if entity.state == OrderState.EXPECTED:
        return early(f"order {entity.code} is not known")
    if entity.state == ReturnState.REFUSED:
        return refused(f"return {entity.code} is refused: {entity.reason}")
    if entity.state in (OrderState.REJECTED, ReturnState.REJECTED):
        return refused(f"Increff refused {entity.KIND} {entity.code}: {entity.reason}")
    return refused(f"{event.kind} is not possible: {entity.KIND} {entity.code} is {entity.state}")


def _noun(event: Event) -> str:
    return event.touchpoint.entity.value if event.touchpoint is not None else "order"
