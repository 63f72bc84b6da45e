"""The entities: Order, Return, Manifest. How they are encoded: streams/order/storage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from msgspec import field

from streams.order.model.entity import Entity
from streams.order.model.line_index import LineIndex
from streams.order.model.parts import (
    Claim,
    DeferredCall,
    EarlyEvent,
    Line,
    Question,
    ReturnItem,
    Shipment,
)
from streams.order.model.shipment_index import ShipmentIndex, WaitIndex, hand_over_key
from streams.order.model.states import ManifestState, OrderState, ReturnState, ShipmentState
from topics.records.keys import manifest_key, order_key, return_key


class StateError(ValueError):
    """A value on orders.state is not an entity's state."""


FACT_LINES = "fact_lines"
"""Under this name an order that stays decoded keeps what its facts say of its lines, until a line changes."""


class Order(Entity, kw_only=True, array_like=True, dict=True, tag="o"):
    """Its methods change lines and shipments, nothing else does: indexes (`line_index`) and marks (`touched`) follow.

    `properties`: the last values of what Update Order Properties may change, as Increff has them or will have them.
    A value that is not known is left out, so that an update which names it is a change.

    `shipments` in order of packing. `acknowledged`: locations. `milestones`: name -> epoch ms. `held`: on hold by the
    marketplace. `holds`: [request, held] of each update in flight, in their order, behind what Increff took last (under
    no request).
    """

    KIND: ClassVar[str] = "order"

    state: OrderState
    lines: list[Line] = field(default_factory=list)
    shipments: list[Shipment] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    held: bool = False
    holds: list[list[Any]] = field(default_factory=list)
    hold_crossed: bool = field(default=False, name="holdCrossed")
    """An acknowledgement came after a hold and ended it. It is not known whether Increff has the hold, until the next
    update."""
    said: dict[str, int] = field(default_factory=dict)
    """By the name of a property: from when the word is that set it, where an update did (epoch ms)."""
    split: bool = False
    acknowledged: list[str] = field(default_factory=list)
    milestones: dict[str, int] = field(default_factory=dict)
    deferred: list[DeferredCall] = field(default_factory=list, name="waiting")
    early: list[EarlyEvent] = field(default_factory=list, name="parked")
    returns: list[Claim] = field(default_factory=list)
    adopted: bool = False
    """First met midway: its lines are those that calls named, until a Create comes."""
    expected_ms: int = field(default=0, name="expected")
    """When it became EXPECTED, 0 if it never was: the count of its facts began then."""
    waits: dict[str, int] = field(default_factory=dict)
    """Steps it waits in and since when: a step's name, with the shipment's id where the step is a shipment's."""

    @property
    def incarnation_ms(self) -> int:
        return self.expected_ms or self.created_ms

    def begin(self, now_ms: int) -> None:
        """An EXPECTED order is a real one from now on."""
        if self.created_ms != now_ms:
            self.expected_ms, self.created_ms = self.created_ms, now_ms

    @property
    def open_ended(self) -> bool:
        """Whether it may have more than is known of it."""
        return self.adopted and not self.digest

    @property
    def key(self) -> bytes:
        return order_key(self.channel, self.code)

    @property
    def line_index(self) -> LineIndex:
        found: LineIndex | None = self.__dict__.get("line_index")
        if found is None:
            found = self.__dict__["line_index"] = LineIndex(self.lines)
        return found

    @property
    def shipment_index(self) -> ShipmentIndex:
        found: ShipmentIndex | None = self.__dict__.get("shipment_index")
        if found is None:
            found = self.__dict__["shipment_index"] = ShipmentIndex(self.shipments)
        return found

    @property
    def wait_index(self) -> WaitIndex:
        found: WaitIndex | None = self.__dict__.get("wait_index")
        if found is None:
            found = self.__dict__["wait_index"] = WaitIndex(self.waits, self.stuck, self.shipment_index)
        return found

    def set_waits(self, waits: dict[str, int]) -> None:
        self.waits = waits
        self.__dict__.pop("wait_index", None)

    def begin_wait(self, shipment_id: int, now_ms: int) -> None:
        """A shipment waits for its handover from now on."""
        key = hand_over_key(shipment_id)
        self.waits[key] = now_ms
        index: WaitIndex | None = self.__dict__.get("wait_index")
        if index is not None:
            index.add(key, now_ms, self.shipment_index.place(shipment_id))

    def line(self, code: str) -> Line | None:
        position = self.line_index.by_code.get(code)
        return None if position is None else self.lines[position]

    def set_lines(self, lines: list[Line]) -> None:
        self.lines = lines
        self.touched.anew = True
        self._lines_changed()
        self.__dict__.pop("line_index", None)

    def add_line(self, line: Line) -> None:
        index = self.line_index
        self.lines.append(line)
        index.add(line)
        self._lines_changed()

    def rename_line(self, line: Line, code: str) -> None:
        """Give a line another code, in its shipments too."""
        old = line.code
        self.touched.lines.add(self.line_index.rename(line, code))
        line.code = code
        self._lines_changed()
        for shipment in self.shipment_index.holding(old):
            items = [(code if item == old else item, sku, units) for item, sku, units in shipment.items]
            self.change_shipment(shipment, items=items)

    def change_line(
        self, line: Line, *, ordered: int = 0, packed: int = 0, packing: int = 0, customer: int = 0, seller: int = 0
    ) -> None:
        """Add units to those of a line; negative ones are taken away."""
        position = self.line_index.change(line, ordered, packed, packing, customer, seller)
        self.touched.lines.add(position)
        self._lines_changed()

    def cancel_units(self, changes: Iterable[tuple[Line, int, int]]) -> None:
        """Note the units of lines that each side has cancelled: the customer's, the seller's."""
        index, touched = self.line_index, self.touched.lines
        by_code = index.by_code
        for line, customer, seller in changes:
            position = by_code[line.code]
            index.cancel(position, customer, seller)
            touched.add(position)
        self._lines_changed()

    def _lines_changed(self) -> None:
        """Drop what facts say of the lines."""
        self.__dict__.pop(FACT_LINES, None)

    def ask_units(self, units: Iterable[tuple[int, int]]) -> None:
        """Note units, by the place of their line, that a Pack asks for."""
        index, touched = self.line_index, self.touched.lines
        for position, count in units:
            index.ask(position, count)
            touched.add(position)

    def pack_units(self, shipment: Shipment) -> None:
        """Note that the units of a shipment are packed."""
        index, touched, by_code = self.line_index, self.touched.lines, self.line_index.by_code
        for code, _, count in shipment.items:
            position = by_code.get(code)
            if position is not None:
                index.pack(position, count)
                touched.add(position)
        self._lines_changed()

    def release_units(self, shipment: Shipment) -> None:
        """Note that the units of a shipment are not asked for any more."""
        by_code = self.line_index.by_code
        self.ask_units((by_code[code], -count) for code, _, count in shipment.items if code in by_code)

    def shipment(self, shipment_id: int) -> Shipment | None:
        return self.shipment_index.by_id.get(shipment_id)

    def add_shipment(self, shipment: Shipment) -> None:
        index = self.shipment_index
        self.shipments.append(shipment)
        index.add(shipment)
        self.touched.shipments.add(shipment.id)

    def remove_shipment(self, shipment: Shipment) -> None:
        index = self.shipment_index
        self.shipments.remove(shipment)
        index.remove(shipment)
        self.touched.gone.add(shipment.id)

    def change_shipment(
        self,
        shipment: Shipment,
        *,
        state: ShipmentState | None = None,
        code: str | None = None,
        items: list[tuple[str, str, int]] | None = None,
        awb: str | None = None,
        transporter: str | None = None,
        invoice: str | None = None,
        manifest: str | None = None,
    ) -> None:
        """Change what is named of a shipment. None: it stays as it is."""
        index = self.shipment_index
        self.touched.shipments.add(shipment.id)
        index.take(shipment)
        shipment.state = state if state is not None else shipment.state
        shipment.code = code if code is not None else shipment.code
        shipment.items = items if items is not None else shipment.items
        index.put(shipment)
        shipment.awb = awb if awb is not None else shipment.awb
        shipment.transporter = transporter if transporter is not None else shipment.transporter
        shipment.invoice = invoice if invoice is not None else shipment.invoice
        shipment.manifest = manifest if manifest is not None else shipment.manifest

    def miscounted(self) -> str:
        """Says where its indexes differ from a recount; empty when they are right."""
        wrong = []
        for name, recount in (("line_index", LineIndex(self.lines)), ("shipment_index", ShipmentIndex(self.shipments))):
            found, right = self.__dict__.get(name, recount).content(), recount.content()
            wrong += [f"{part}: {found[part]}, not {right[part]}" for part in right if found[part] != right[part]]
        return "; ".join(wrong)


class Return(Entity, kw_only=True, array_like=True, dict=True, tag="r"):
    """`items` by itemCode. `courier`: tracking and dates, under the names of its document.

    `version` numbers what the return claims of its forward order, so that the order knows the newest claim; `question`
    is what it asked and has no answer to. `forward_known`: whether its forward order was one that Sluice knows.
    """

    KIND: ClassVar[str] = "return"

    state: ReturnState
    forward: str = ""
    forward_known: bool = field(default=True, name="forwardKnown")
    items: dict[str, ReturnItem] = field(default_factory=dict)
    courier: dict[str, str] = field(default_factory=dict)
    properties: str = ""
    """Digest of the last Update Returns."""
    said: dict[str, int] = field(default_factory=dict)
    """By the name of a member of Update Returns: from when the newest word on it is (epoch ms)."""
    version: int = 0
    question: Question | None = None
    adopted: bool = False
    """First met midway: its items are those that calls named, and there may be more."""
    rejected_ms: int = field(default=0, name="rejected")
    """When Increff refused it last, epoch milliseconds."""
    former: str = ""
    """The request that Increff refused, while the forward order is asked about its call once more."""

    @property
    def key(self) -> bytes:
        return return_key(self.channel, self.code)

    def is_awaited(self, request: str) -> bool:
        return Entity.is_awaited(self, request) or any(request == item.cancelled for item in self.items.values())


class Manifest(Entity, kw_only=True, array_like=True, dict=True, tag="m"):
    """`items`: (orderCode, shipmentCode, awbNumber)."""

    KIND: ClassVar[str] = "manifest"

    state: ManifestState
    transporter: str = ""
    manifest_code: str | None = field(default=None, name="manifestCode")
    items: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        return manifest_key(self.channel, self.code)
