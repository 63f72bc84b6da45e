"""Orders and returns as Increff keeps them."""

# ruff: noqa: N815 - members have the contract's spelling

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Line(BaseModel):
    """A line of an order. `open`: the quantity that can still be packed or cancelled."""

    orderItemCode: str
    channelSkuCode: str
    quantity: int
    packed: int = 0
    customerCancelled: int = 0
    sellerCancelled: int = 0

    @property
    def cancelled(self) -> int:
        return self.customerCancelled + self.sellerCancelled

    @property
    def open(self) -> int:
        return self.quantity - self.packed - self.cancelled


class Shipment(BaseModel):
    """A parcel. `call` is the last pack call, so that a repeat is the same. `packed`: the marketplace accepted it."""

    shipmentId: int
    call: dict[str, Any]
    packed: bool = False
    shipmentCode: str | None = None
    awbNumber: str | None = None
    transporter: str | None = None
    labelled: bool = False
    invoiceCode: str | None = None
    invoiced: bool = False
    manifestId: int | None = None
    manifestCode: str | None = None
    manifested: bool = False
    handedOver: bool = False


class Order(BaseModel):
    """An order. `unchangedRepeats` and `changedRepeats` count creates under its code, which Increff ignores (0.3)."""

    orderCode: str
    locationCode: str | None = None
    onHold: bool = False
    acknowledged: bool = False
    delivered: bool = False
    lines: list[Line] = []
    shipments: list[Shipment] = []
    properties: dict[str, Any] = {}
    created: dict[str, Any] = {}
    unchangedRepeats: int = 0
    changedRepeats: int = 0

    @property
    def invoiced(self) -> bool:
        """Whether it is invoiced, which happens at packing and ends cancelling (contract 0.5)."""
        return any(shipment.packed for shipment in self.shipments)

    @property
    def split(self) -> bool:
        return self.created.get("isSplitRequired") is True

    @property
    def open(self) -> int:
        return sum(line.open for line in self.lines)

    @property
    def state(self) -> str:
        """Increff's name for the stage (contract 0.5)."""
        shipped = [shipment for shipment in self.shipments if shipment.packed]
        if self.lines and all(line.cancelled == line.quantity for line in self.lines):
            return "CANCELLED"
        if self.onHold:
            return "ONHOLD"
        if not shipped:
            return "FULFILLABLE" if self.acknowledged else "CREATED"
        if self.open:
            return "PROCESSING"
        if all(shipment.handedOver for shipment in shipped):
            return "COMPLETED"
        return "READY_TO_DISPATCH" if all(shipment.manifested for shipment in shipped) else "PACKED"

    def line(self, item_code: str) -> Line | None:
        return next((line for line in self.lines if line.orderItemCode == item_code), None)

    def pack(self, items: list[dict[str, Any]]) -> None:
        """Book packed quantities on the open lines of their SKU, in the order of the lines."""
        for item in items:
            left = item.get("quantityToPack", 0)
            for line in self.lines:
                if line.channelSkuCode == item.get("channelSkuCode"):
                    taken = min(left, line.open)
                    line.packed += taken
                    left -= taken

    def cancel_rest(self) -> None:
        """Cancel everything open for the seller, as Increff does when an order ships only once (contract 0.5)."""
        for line in self.lines:
            line.sellerCancelled += line.open

    def show(self) -> dict[str, Any]:
        lines = [{**line.model_dump(), "open": line.open, "cancelled": line.cancelled} for line in self.lines]
        return {**self.model_dump(), "lines": lines, "state": self.state}


class Return(BaseModel):
    """A return. `received` maps an item's code to its quality verdict, once the parcel was opened."""

    returnOrderCode: str
    forwardOrderCode: str
    locationCode: str
    items: list[dict[str, Any]]
    properties: dict[str, Any] = {}
    cancelled: list[str] = []
    received: dict[str, dict[str, Any]] = {}

    @property
    def expected(self) -> list[dict[str, Any]]:
        """Items that have not arrived yet."""
        return [
            item
            for item in self.items
            if item["itemCode"] not in self.cancelled and item["itemCode"] not in self.received
        ]

    @property
    def state(self) -> str:
        if self.expected:
            return "CREATED"
        return "COMPLETED" if self.received else "CANCELLED"

    def show(self) -> dict[str, Any]:
        return {**self.model_dump(), "state": self.state}


def new_order(members: dict[str, Any]) -> Order:
    lines = [
        Line(orderItemCode=item["orderItemCode"], channelSkuCode=item["channelSkuCode"], quantity=item["quantity"])
        for item in members["orderItems"]
    ]
    return Order(
        orderCode=members["orderCode"],
        locationCode=members.get("locationCode"),
        onHold=members["onHold"],
        lines=lines,
        properties={name: members.get(name) for name in ("dispatchByTime", "startProcessingTime")},
        created=members,
    )
