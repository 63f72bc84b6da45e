"""Events of an entity. Every record on orders.commands becomes one, or is set aside."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from streams.order.model.canonical import digest, matches
from topics.configuration.sla import NO_POLICY, Policy
from topics.contract.definition import Touchpoint
from topics.contract.leniency import normalised, own_members
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import Outcome, OutcomeKind
from topics.records.verdicts import Address
from topics.records.word import CLOCKS_APART_MS
from topics.schema_base import Body
from topics.values import Value, quick_members


@quick_members
class EventKind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REPORT_DELIVERED = "report delivered"
    ACKNOWLEDGE = "acknowledge"
    PACK = "pack"
    GET_INVOICE = "get invoice"
    GET_LABEL = "get label"
    HANDOVER = "handover"
    SELLER_CANCEL = "seller cancel"
    CUSTOMER_CANCEL = "customer cancel"
    SHIPMENT_MANIFESTED = "shipment manifested"
    RETURN_CLAIMED = "return claimed"

    CREATE_TAKEN = "create taken"
    CREATE_REFUSED = "create refused"
    PACK_TAKEN = "pack taken"
    PACK_FAILED = "pack failed"
    INVOICE_TAKEN = "invoice taken"
    LABEL_TAKEN = "label taken"
    DOCUMENT_FAILED = "document failed"
    CUSTOMER_CANCEL_TAKEN = "customer cancel taken"
    CUSTOMER_CANCEL_FAILED = "customer cancel failed"
    NOTICE_TAKEN = "notice taken"
    NOTICE_FAILED = "notice failed"
    ATTEMPT_FAILED = "attempt failed"
    OVERTAKEN = "overtaken"

    CREATE_RETURN = "create return"
    ADD_RETURN_ITEMS = "add return items"
    UPDATE_RETURN = "update return"
    CANCEL_RETURN_ITEMS = "cancel return items"
    ACKNOWLEDGE_RETURN = "acknowledge return"
    RETURN_DECIDED = "return decided"
    ITEMS_REFUSED = "added items refused"
    ITEMS_CANCELLED = "cancelled items taken"

    CREATE_MANIFEST = "create manifest"
    MANIFEST_TAKEN = "manifest taken"
    MANIFEST_FAILED = "manifest failed"

    RESUBMIT = "resubmit"
    CALL_REFUSED = "call refused"
    TICK = "tick"
    QUERY = "query"


E = EventKind

OF_TOUCHPOINT: dict[str, EventKind] = {
    "create-outward-order": E.CREATE,
    "customer-cancellation": E.CUSTOMER_CANCEL,
    "update-order-properties": E.UPDATE,
    "create-return-order": E.CREATE_RETURN,
    "add-return-order-items": E.ADD_RETURN_ITEMS,
    "update-returns": E.UPDATE_RETURN,
    "cancel-return-order-items": E.CANCEL_RETURN_ITEMS,
    "acknowledgement": E.ACKNOWLEDGE,
    "pack-order": E.PACK,
    "get-invoice": E.GET_INVOICE,
    "get-shipping-label": E.GET_LABEL,
    "create-manifest": E.CREATE_MANIFEST,
    "handover-notification": E.HANDOVER,
    "seller-cancellation": E.SELLER_CANCEL,
    "return-order-acknowledgement": E.ACKNOWLEDGE_RETURN,
}

_TAKEN: dict[str, EventKind] = {
    "create-outward-order": E.CREATE_TAKEN,
    "create-return-order": E.CREATE_TAKEN,
    "pack-order": E.PACK_TAKEN,
    "get-invoice": E.INVOICE_TAKEN,
    "get-shipping-label": E.LABEL_TAKEN,
    "customer-cancellation": E.CUSTOMER_CANCEL_TAKEN,
    "create-manifest": E.MANIFEST_TAKEN,
    "cancel-return-order-items": E.ITEMS_CANCELLED,
}

_FAILED: dict[str, EventKind] = {
    "pack-order": E.PACK_FAILED,
    "get-invoice": E.DOCUMENT_FAILED,
    "get-shipping-label": E.DOCUMENT_FAILED,
    "customer-cancellation": E.CUSTOMER_CANCEL_FAILED,
    "create-manifest": E.MANIFEST_FAILED,
}

_CREATES = frozenset({"create-outward-order", "create-return-order"})

OUTCOMES = frozenset(
    {*_TAKEN.values(), *_FAILED.values(), E.CREATE_REFUSED, E.ITEMS_REFUSED, E.NOTICE_TAKEN, E.NOTICE_FAILED}
)
"""Final outcomes of requests; ATTEMPT_FAILED and OVERTAKEN are not final."""


class Event(Value, frozen=True, kw_only=True):
    """One event. `code` is the entity's code, `body` the call's members as they are read, `outcome` set for outcomes.

    `own`: the call's members as they came, where one differs (topics/contract/leniency.py). They are kept and sent,
    and nothing is decided by them.

    `offered`: the channel takes part in the touchpoint. `deadline_ms` is always set for relays. `key` is the entity's.
    `unknown_orders`: the channel's policy for an event of an order that is not known. `policy`: how long the channel
    lets an order wait. `said_ms`: from when the word of the record is; 0: it was known before, and is looked at again.
    """

    kind: EventKind
    id: str
    channel: str
    code: str
    key: bytes
    body: dict[str, Any]
    touchpoint: Touchpoint | None = None
    outcome: Outcome | None = None
    offered: bool = True
    reply_to: Address | None = None
    deadline_ms: int | None = None
    unknown_orders: str = "park"
    policy: Policy = NO_POLICY
    said_ms: int = 0
    own: dict[str, Any] | None = None
    traceparent: str = ""
    """The span of its decision, or what its sender handed on; empty without a trace. Nothing is decided by it."""
    payload: str = ""
    """Digest of `body` as the touchpoint's members, of a large call: it was made before."""

    def payload_of(self, model: type[Body]) -> str:
        """The digest of the call's members."""
        return self.payload or digest(model, self.body)

    def has_payload(self, stored: str, model: type[Body]) -> bool:
        """Whether a stored digest is that of the call's members; see `matches`."""
        return matches(stored, model, self.body, self.payload)

    @property
    def kept_body(self) -> dict[str, Any]:
        """The members to keep of an event that is decided later."""
        return self.body if self.own is None else self.own

    def own_form(self, body: dict[str, Any]) -> dict[str, Any]:
        """A body that was made of the event's, in the form in which the event's members came."""
        return body if self.own is None else own_members(body, self.body, self.own)

    @property
    def is_unrefusable(self) -> bool:
        """Whether it is a call that is answered with success when its verdict is late."""
        return self.touchpoint is not None and not self.touchpoint.refusable


def kept_members(touchpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """The members of a call that was kept in the form in which they came, as they are read. `touchpoint` is empty for
    an event from within Sluice."""
    return normalised(BY_NAME[touchpoint].request, body) if touchpoint else body


def kind_of_command(touchpoint: str, body: dict[str, Any]) -> EventKind:
    """A property update that reports the delivery is an event of its own: it ends the order."""
    kind = OF_TOUCHPOINT[touchpoint]
    if kind is E.UPDATE and body.get("orderStatus") == "DELIVERED":
        return E.REPORT_DELIVERED
    return kind


def kind_of_outcome(outcome: Outcome) -> EventKind:
    if outcome.kind is OutcomeKind.RETRYING:
        return E.ATTEMPT_FAILED
    if outcome.kind is OutcomeKind.OVERTAKEN:
        return E.OVERTAKEN
    if outcome.kind is OutcomeKind.DELIVERED:
        return _TAKEN.get(outcome.touchpoint, E.NOTICE_TAKEN)
    if outcome.kind is OutcomeKind.REFUSED and outcome.touchpoint in _CREATES:
        return E.CREATE_REFUSED
    if outcome.kind is OutcomeKind.REFUSED and outcome.touchpoint == "add-return-order-items":
        return E.ITEMS_REFUSED
    return _FAILED.get(outcome.touchpoint, E.NOTICE_FAILED)


def note_said(said: dict[str, int], event: Event, names: Iterable[str]) -> list[str]:
    """Note in `said` from when the event's word on each of these properties is: an older word changes nothing that a
    newer one said. Returns the names of those on which a newer word is known."""
    if not event.said_ms:
        return []
    named = [name for name in names if event.body.get(name) is not None]
    older = [name for name in named if said.get(name, 0) - event.said_ms > CLOCKS_APART_MS]
    said.update({name: max(event.said_ms, said.get(name, 0)) for name in named if name not in older})
    return older
