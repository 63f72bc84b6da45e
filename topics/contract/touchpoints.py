"""TOUCHPOINTS: one entry for each call of the contract. The file a newcomer edits.

Routes, keys, repeat rules, OpenAPI, docs, sandboxes and contract tests derive from these entries. To add a touchpoint:
one entry here, one model in `topics/contract/models`, one sample in `topics/contract/samples` (a transition row if it
moves an order).

Sections are those of Increff's public channel contract; each sample quotes the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from topics.contract.models import cancellation, documents, fulfilment, inventory, orders, returns
from topics.schema_base import Body


class Direction(StrEnum):
    TO_INCREFF = "marketplace to Increff"
    TO_MARKETPLACE = "Increff to marketplace"


class Mode(StrEnum):
    ACCEPT = "accept"
    """Durable, plus the verdict of the order's own state; delivered later."""
    RELAY = "relay"
    """The caller gets the far side's answer within the relay deadline."""
    ANSWER = "answer"
    """Answered from Sluice's own state."""


class Entity(StrEnum):
    ORDER = "order"
    RETURN = "return"
    MANIFEST = "manifest"
    STOCK = "stock"
    NONE = "none"


class Repeat(StrEnum):
    CONFLICT_IF_CHANGED = "changed payload: conflict; unchanged: the recorded verdict"
    LAST_VALUE = "last value wins; equal to the present value: duplicate"
    ABSOLUTE = "quantities are absolute totals; nothing new: duplicate"
    RECORDED_ANSWER = "the recorded answer, once there was a successful one; joins one in flight"
    ONCE = "success again, not sent again"
    CUMULATIVE = "items add up; nothing new: duplicate"
    NONE = "every call is answered afresh"


class AtDeadline(StrEnum):
    """What happens to a relay's request when its caller's deadline passes."""

    WITHDRAW = "withdrawn if not sent yet: the caller will ask again"
    CONTINUE = "goes on: a repeat learns the outcome"


class WhenDead(StrEnum):
    """What happens to the lane when a request is given up."""

    SKIP = "the lane goes on without it"
    HOLD = "the lane waits until an operator decides"
    SUPERSEDE = "the newest request of the lane takes the place of those before it"


class Priority(IntEnum):
    """Inside one budget; lower goes first."""

    CANCEL = 0
    CREATE = 1
    UPDATE = 2
    RETURN = 3
    STOCK = 4
    REDRIVE = 5
    """What leaves room for all others: what an operator sends again, and searches for what is not known here. It has a
    share of its own (streams/delivery/admission/redrive_share.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touchpoint:
    """One call of the contract.

    `path` is below the caller's prefix at Sluice, `far_path` below the far side's base URL (a channel may configure
    another). Members named in `path_members` travel in the path, all members of a `query` touchpoint in the query
    string; on a topic they are members of the JSON value like any other. `idempotency` names the members that make
    the natural key. `split` names the list whose items become one record per order. `refusable`: without a verdict in
    time the caller gets 503; otherwise success, because what is stored cannot be refused. `beside_lane`: does not
    queue with the order's other requests.
    """

    name: str
    title: str
    section: int | str
    direction: Direction
    method: str
    path: str
    far_path: str
    request: type[Body]
    response: type[Body] | None = None
    entity: Entity
    mode: Mode
    repeat: Repeat
    idempotency: tuple[str, ...] = ()
    priority: Priority = Priority.UPDATE
    split: str | None = None
    beside_lane: bool = False
    at_deadline: AtDeadline = AtDeadline.CONTINUE
    when_dead: WhenDead = WhenDead.SKIP
    refusable: bool = True
    optional: bool = True
    off_by_default: bool = False
    query: bool = False
    path_members: tuple[str, ...] = ()
    early: str = ""

    @property
    def far_side(self) -> str:
        """Who gets the call: `increff` or `marketplace`."""
        return "increff" if self.direction is Direction.TO_INCREFF else "marketplace"

    @property
    def wants_answer(self) -> bool:
        """Whether its caller is given what the far side answers."""
        return self.mode is Mode.RELAY or (self.mode is Mode.ANSWER and self.direction is Direction.TO_INCREFF)

    def carried_body(self, members: dict[str, Any]) -> dict[str, Any] | None:
        """The members that travel in the HTTP body; None where the call has no body."""
        if self.query:
            return None
        return {name: value for name, value in members.items() if name not in self.path_members}


TOUCHPOINTS: tuple[Touchpoint, ...] = (
    Touchpoint(
        name="create-outward-order",
        title="Create Outward Order",
        section=1,
        direction=Direction.TO_INCREFF,
        method="POST",
        path="/orders/outward",
        far_path="/orders/outward",
        request=orders.CreateOutwardOrder,
        entity=Entity.ORDER,
        mode=Mode.ACCEPT,
        repeat=Repeat.CONFLICT_IF_CHANGED,
        idempotency=("orderCode",),
        priority=Priority.CREATE,
        when_dead=WhenDead.HOLD,
        optional=False,
    ),
    Touchpoint(
        name="customer-cancellation",
        title="Customer Cancellation",
        section=9,
        direction=Direction.TO_INCREFF,
        method="PUT",
        path="/orders/{orderCode}/cancel",
        far_path="/orders/{orderCode}/cancel",
        request=cancellation.CustomerCancellation,
        entity=Entity.ORDER,
        mode=Mode.RELAY,
        repeat=Repeat.ABSOLUTE,
        idempotency=("orderCode", "orderItems"),
        priority=Priority.CANCEL,
        when_dead=WhenDead.HOLD,
        optional=False,
        path_members=("orderCode",),
        early="refused: the order is not known",
    ),
    Touchpoint(
        name="update-order-properties",
        title="Update Order Properties",
        section=10,
        direction=Direction.TO_INCREFF,
        method="PUT",
        path="/orders/{orderCode}",
        far_path="/orders/{orderCode}",
        request=orders.UpdateOrderProperties,
        entity=Entity.ORDER,
        mode=Mode.ACCEPT,
        repeat=Repeat.LAST_VALUE,
        idempotency=("orderCode",),
        path_members=("orderCode",),
        early="refused: the order is not known",
    ),
    Touchpoint(
        name="search-inventory",
        title="Search Inventory",
        section=13,
        direction=Direction.TO_INCREFF,
        method="POST",
        path="/inventories",
        far_path="/inventories",
        request=inventory.SearchInventory,
        response=inventory.SearchInventoryAnswer,
        entity=Entity.NONE,
        mode=Mode.ANSWER,
        repeat=Repeat.NONE,
        priority=Priority.REDRIVE,
    ),
    Touchpoint(
        name="search-inventory-marketplace",
        title="Search Inventory (for marketplace channels)",
        section=14,
        direction=Direction.TO_INCREFF,
        method="POST",
        path="/inventories/search-sku",
        far_path="/inventories/search-sku",
        request=inventory.SearchSku,
        response=inventory.SearchSkuAnswer,
        entity=Entity.NONE,
        mode=Mode.ANSWER,
        repeat=Repeat.NONE,
        priority=Priority.REDRIVE,
    ),
    Touchpoint(
        name="create-return-order",
        title="Create Return Order",
        section=15,
        direction=Direction.TO_INCREFF,
        method="POST",
        path="/return/return-orders",
        far_path="/return/return-orders",
        request=returns.CreateReturnOrder,
        entity=Entity.RETURN,
        mode=Mode.ACCEPT,
        repeat=Repeat.CONFLICT_IF_CHANGED,
        idempotency=("returnOrderCode",),
        priority=Priority.RETURN,
        when_dead=WhenDead.HOLD,
    ),
    Touchpoint(
        name="add-return-order-items",
        title="Add Return Order Items",
        section="15, related",
        direction=Direction.TO_INCREFF,
        method="PUT",
        path="/return/update-return-order/item",
        far_path="/return/update-return-order/item",
        request=returns.AddReturnOrderItems,
        entity=Entity.RETURN,
        mode=Mode.ACCEPT,
        repeat=Repeat.CUMULATIVE,
        idempotency=("returnOrderCode", "returnLineItems"),
        priority=Priority.RETURN,
        early="refused: the return is not known",
    ),
    Touchpoint(
        name="update-returns",
        title="Update Returns",
        section=17,
        direction=Direction.TO_INCREFF,
        method="POST",
        path="/return/update-return-order",
        far_path="/return/update-return-order",
        request=returns.UpdateReturns,
        entity=Entity.RETURN,
        mode=Mode.ACCEPT,
        repeat=Repeat.LAST_VALUE,
        idempotency=("returnOrderCode",),
        priority=Priority.RETURN,
        early="refused: the return is not known",
    ),
    Touchpoint(
        name="cancel-return-order-items",
        title="Cancel Return Order Items",
        section=18,
        direction=Direction.TO_INCREFF,
        method="PUT",
        path="/return/cancel-return-order/item",
        far_path="/return/cancel-return-order/item",
        request=returns.CancelReturnOrderItems,
        entity=Entity.RETURN,
        mode=Mode.ACCEPT,
        repeat=Repeat.ABSOLUTE,
        idempotency=("returnOrderCode", "returnLineItems"),
        priority=Priority.CANCEL,
        when_dead=WhenDead.HOLD,
        early="refused: the return is not known",
    ),
    Touchpoint(
        name="acknowledgement",
        title="Acknowledgement",
        section=2,
        direction=Direction.TO_MARKETPLACE,
        method="PUT",
        path="/orders/acknowledgement",
        far_path="/acknowledgement",
        request=fulfilment.Acknowledgement,
        response=fulfilment.AcknowledgementAnswer,
        entity=Entity.ORDER,
        mode=Mode.ACCEPT,
        repeat=Repeat.ONCE,
        idempotency=("orderCode", "locationCode"),
        split="orders",
        refusable=False,
        early="left out of successOrders; kept for a day, and applied when the Create comes",
    ),
    Touchpoint(
        name="pack-order",
        title="Pack Order",
        section=3,
        direction=Direction.TO_MARKETPLACE,
        method="POST",
        path="/orders/pack",
        far_path="/pack",
        request=fulfilment.PackOrder,
        response=fulfilment.PackOrderAnswer,
        entity=Entity.ORDER,
        mode=Mode.RELAY,
        repeat=Repeat.RECORDED_ANSWER,
        idempotency=("shipmentId",),
        at_deadline=AtDeadline.WITHDRAW,
        optional=False,
        early="refused with 404: the order is not known",
    ),
    Touchpoint(
        name="get-invoice",
        title="Get Invoice",
        section=4,
        direction=Direction.TO_MARKETPLACE,
        method="GET",
        path="/invoice",
        far_path="/invoice",
        request=documents.GetInvoice,
        response=documents.Invoice,
        entity=Entity.ORDER,
        mode=Mode.RELAY,
        repeat=Repeat.RECORDED_ANSWER,
        idempotency=("shipmentCode",),
        beside_lane=True,
        at_deadline=AtDeadline.WITHDRAW,
        query=True,
        early="waits for the answer of a Pack that is out; else refused with 404: the shipment is not known",
    ),
    Touchpoint(
        name="get-shipping-label",
        title="Get Shipping Label",
        section=5,
        direction=Direction.TO_MARKETPLACE,
        method="GET",
        path="/shipping-label",
        far_path="/shipping-label",
        request=documents.GetShippingLabel,
        response=documents.ShippingLabel,
        entity=Entity.ORDER,
        mode=Mode.RELAY,
        repeat=Repeat.RECORDED_ANSWER,
        idempotency=("shipmentCode",),
        beside_lane=True,
        at_deadline=AtDeadline.WITHDRAW,
        query=True,
        early="waits for the answer of a Pack that is out; else refused with 404: the shipment is not known",
    ),
    Touchpoint(
        name="create-manifest",
        title="Create Manifest",
        section=6,
        direction=Direction.TO_MARKETPLACE,
        method="POST",
        path="/manifest",
        far_path="/manifest",
        request=fulfilment.CreateManifest,
        response=fulfilment.CreateManifestAnswer,
        entity=Entity.MANIFEST,
        mode=Mode.RELAY,
        repeat=Repeat.RECORDED_ANSWER,
        idempotency=("manifestId",),
        at_deadline=AtDeadline.WITHDRAW,
    ),
    Touchpoint(
        name="handover-notification",
        title="Handover Notification",
        section=7,
        direction=Direction.TO_MARKETPLACE,
        method="POST",
        path="/handover",
        far_path="/handover",
        request=fulfilment.HandoverNotification,
        response=fulfilment.Taken,
        entity=Entity.ORDER,
        mode=Mode.ACCEPT,
        repeat=Repeat.ONCE,
        idempotency=("orderCode", "shipmentCode"),
        split="handoverItems",
        when_dead=WhenDead.SKIP,
        refusable=False,
        early="named in the error; kept for a day, and applied when the Create or the Pack's answer comes",
    ),
    Touchpoint(
        name="seller-cancellation",
        title="Seller Cancellation",
        section=8,
        direction=Direction.TO_MARKETPLACE,
        method="PUT",
        path="/orders/cancel",
        far_path="/seller-cancellation",
        request=cancellation.SellerCancellation,
        response=fulfilment.Taken,
        entity=Entity.ORDER,
        mode=Mode.ACCEPT,
        repeat=Repeat.ABSOLUTE,
        idempotency=("orderCode", "orderItems"),
        priority=Priority.CANCEL,
        when_dead=WhenDead.HOLD,
        optional=False,
        early="404: the order is not known; kept for a day, and applied when the Create comes",
    ),
    Touchpoint(
        name="location-wise-atp-inventory",
        title="(Location Wise) Available To Promise Inventory",
        section=12,
        direction=Direction.TO_MARKETPLACE,
        method="PUT",
        path="/inventory",
        far_path="/inventory",
        request=inventory.LocationWiseAtp,
        response=inventory.LocationWiseAtpAnswer,
        entity=Entity.STOCK,
        mode=Mode.ACCEPT,
        repeat=Repeat.LAST_VALUE,
        idempotency=("locationCode", "channelSkuCode"),
        priority=Priority.STOCK,
        refusable=False,
        optional=False,
    ),
    Touchpoint(
        name="consolidated-atp-inventory",
        title="Consolidated Available To Promise Inventory",
        section="12, consolidated",
        direction=Direction.TO_MARKETPLACE,
        method="PUT",
        path="/inventory/consolidated",
        far_path="/inventory/consolidated",
        request=inventory.ConsolidatedAtp,
        response=inventory.ConsolidatedAtpAnswer,
        entity=Entity.STOCK,
        mode=Mode.ACCEPT,
        repeat=Repeat.LAST_VALUE,
        idempotency=("consolidationType", "channelSkuCode"),
        priority=Priority.STOCK,
        refusable=False,
    ),
    Touchpoint(
        name="return-order-acknowledgement",
        title="Return Order Acknowledgement",
        section=16,
        direction=Direction.TO_MARKETPLACE,
        method="PUT",
        path="/returns/acknowledgement",
        far_path="/return-acknowledgement",
        request=returns.ReturnOrderAcknowledgement,
        entity=Entity.RETURN,
        mode=Mode.ACCEPT,
        repeat=Repeat.CUMULATIVE,
        idempotency=("returnOrderCode", "orderItems"),
        priority=Priority.RETURN,
        early="refused with 404: the return is not known",
    ),
    Touchpoint(
        name="get-credential",
        title="Get Credential",
        section="0.2",
        direction=Direction.TO_MARKETPLACE,
        method="GET",
        path="/credentials",
        far_path="/credential",
        request=documents.GetCredential,
        response=documents.CredentialHeaders,
        entity=Entity.NONE,
        mode=Mode.ANSWER,
        repeat=Repeat.NONE,
        off_by_default=True,
        query=True,
    ),
)

BY_NAME: dict[str, Touchpoint] = {touchpoint.name: touchpoint for touchpoint in TOUCHPOINTS}
