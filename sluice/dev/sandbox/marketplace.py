"""Sandbox of a marketplace by the contract: the calls that Sluice makes, and the state that they change."""

# ruff: noqa: N815 - members have the contract's spelling

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from sluice.dev.sandbox.documents import pdf
from sluice.dev.sandbox.journal import JournalEntry
from sluice.dev.sandbox.server import ORDERS_MAX, Answer, Sandbox, forget_oldest, json_response, same_headers
from sluice.dev.sandbox.stock import CONSOLIDATED, LOCATION, Positions
from sluice.dev.sandbox.stock_changes import stock_changes
from topics.contract.definition import Direction, Touchpoint
from topics.contract.models.inventory import SearchInventory, is_consolidated_body, split_valid
from topics.paths.resources import add_route
from topics.schema_base import problems

TRANSPORTER = "GULF_EXPRESS"
DEMO_HEADERS = {"X-Channel-Key": "demo-channel"}
DEMO_BOOTSTRAP = {"X-Bootstrap-Key": "demo-bootstrap"}
_FIRST_SHIPMENT = 77_000
_FIRST_MANIFEST = 3_300
_FIRST_AWB = 80_044_000_000


class MarketplaceShipment(BaseModel):
    """`announced` is false for a shipment that a manifest or handover named before any pack."""

    shipmentId: int | None = None
    shipmentCode: str
    locationCode: str | None = None
    items: list[dict[str, Any]] = []
    announced: bool = True
    awbNumber: str | None = None
    transporter: str | None = None
    invoiceCode: str | None = None
    invoiceDate: str | None = None
    manifestCode: str | None = None
    handedOver: bool = False


class MarketplaceOrder(BaseModel):
    """An order as the marketplace knows it. `cancelled`: orderItemCode to absolute quantities."""

    orderCode: str
    acknowledged: bool = False
    locationCode: str | None = None
    shipments: list[MarketplaceShipment] = []
    cancelled: dict[str, dict[str, Any]] = {}

    def shipment(self, code: str) -> MarketplaceShipment | None:
        return next((shipment for shipment in self.shipments if shipment.shipmentCode == code), None)


class MarketplaceSandbox(Sandbox):
    """A marketplace, idempotent where the contract demands it: pack by shipmentId, manifest by manifestId, handover."""

    direction = Direction.TO_MARKETPLACE

    def __init__(
        self,
        *,
        headers: Mapping[str, str] = DEMO_HEADERS,
        bootstrap_headers: Mapping[str, str] = DEMO_BOOTSTRAP,
        state_file: Path | None = None,
    ) -> None:
        super().__init__(state_file)
        self._headers = dict(headers)
        self._bootstrap_headers = dict(bootstrap_headers)
        self._orders: dict[str, MarketplaceOrder] = {}
        self._returns: dict[str, dict[str, Any]] = {}
        self._manifests: dict[str, dict[str, Any]] = {}
        self._numbers = {"shipment": _FIRST_SHIPMENT, "manifest": _FIRST_MANIFEST, "awb": _FIRST_AWB}
        self._positions = Positions(self.journal)
        self._handlers: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "acknowledgement": self._acknowledge,
            "pack-order": self._pack,
            "get-shipping-label": self._label,
            "get-invoice": self._invoice,
            "create-manifest": self._manifest,
            "handover-notification": self._hand_over,
            "seller-cancellation": self._cancel,
            "location-wise-atp-inventory": self._stock,
            "consolidated-atp-inventory": self._stock,
            "return-order-acknowledgement": self._acknowledge_return,
            "get-credential": self._credential,
        }

    def authorised(self, touchpoint: Touchpoint | None, headers: Mapping[str, str]) -> bool:
        bootstrap = touchpoint is not None and touchpoint.name == "get-credential"
        wanted = self._bootstrap_headers if bootstrap else self._headers
        return same_headers(headers, wanted)

    def error(self, status: int, message: str, faults: list[str] | None = None) -> Answer:
        named = f"{message}: {', '.join(faults)}" if faults else message
        return Answer(status, {"hasError": True, "errorMessage": named})

    def validate(self, touchpoint: Touchpoint, members: dict[str, Any]) -> Answer | None:
        """Leave stock batches to their handler, which validates them item by item."""
        return None if touchpoint.name.endswith("-atp-inventory") else super().validate(touchpoint, members)

    def handle(self, touchpoint: Touchpoint, members: dict[str, Any]) -> Answer:
        return self._handlers[touchpoint.name](members)

    def show_order(self, code: str) -> dict[str, Any] | None:
        order = self._orders.get(code)
        if order is None:
            return None
        handed_over = bool(order.shipments) and all(shipment.handedOver for shipment in order.shipments)
        return {**order.model_dump(), "handedOver": handed_over}

    def show_return(self, code: str) -> dict[str, Any] | None:
        return self._returns.get(code)

    def show_stock(self) -> dict[str, Any]:
        return self._positions.show()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        async def lose_stock(_: web.Request) -> web.Response:
            self._positions.lose()
            return json_response(self.show_stock())

        async def search(request: web.Request) -> web.Response:
            if not self.authorised(None, request.headers):
                return self.error(401, "Authentication failed: the credentials are missing or wrong").response()
            try:
                asked = SearchInventory.model_validate_json(await request.read())
            except ValidationError as error:
                return self.error(400, "Input validation failed", problems(error)).response()
            return json_response({"inventories": self._positions.search(asked.locationCode, asked.channelSkuCodes)})

        add_route(router, "DELETE", "/_sandbox/stock", lose_stock)
        add_route(router, "PATCH", "/_sandbox/stock", stock_changes(self._positions))
        add_route(router, "POST", "/inventories", search)

    # State over a restart.

    def live(self) -> Iterator[JournalEntry]:
        for code, order in self._orders.items():
            yield "order", code, order.model_dump()
        for code, returned in self._returns.items():
            yield "return", code, returned
        for key, answer in self._manifests.items():
            yield "manifest", key, answer
        for name, number in self._numbers.items():
            yield "number", name, number
        yield from self._positions.live()

    def restore(self, kind: str, key: str, value: Any) -> None:
        if kind == "order":
            self._orders[key] = MarketplaceOrder.model_validate(value)
        elif kind == "return":
            self._returns[key] = value
        elif kind == "manifest":
            self._manifests[key] = value
        elif kind == "number":
            self._numbers[key] = value
        else:
            self._positions.restore(kind, key, value)

    def _keep(self, order: MarketplaceOrder) -> None:
        self.journal.put("order", order.orderCode, order.model_dump())

    def _number(self, name: str) -> int:
        self._numbers[name] += 1
        self.journal.put("number", name, self._numbers[name])
        return self._numbers[name]

    def _order(self, code: str) -> MarketplaceOrder:
        """Return the order, and make it known at the first call: orders are placed at Sluice, not here."""
        if code not in self._orders:
            self._orders[code] = MarketplaceOrder(orderCode=code)
            self._forget("order", self._orders)
        return self._orders[code]

    def _forget(self, kind: str, things: dict[str, Any]) -> None:
        for key in forget_oldest(things, ORDERS_MAX):
            self.journal.put(kind, key, None)

    # The touchpoints.

    def _acknowledge(self, members: dict[str, Any]) -> Answer:
        for item in members["orders"]:
            order = self._order(item["orderCode"])
            order.acknowledged = True
            order.locationCode = item.get("locationCode", order.locationCode)
            self._keep(order)
        taken = [
            {name: item[name] for name in ("locationCode", "orderCode") if name in item} for item in members["orders"]
        ]
        return Answer(body={"successOrders": taken})

    def _pack(self, members: dict[str, Any]) -> Answer:
        order = self._order(members["orderCode"])
        shipment = next((s for s in order.shipments if s.shipmentId == members["shipmentId"]), None)
        if shipment is None:
            shipment = MarketplaceShipment(
                shipmentId=members["shipmentId"],
                shipmentCode=f"MKT-SHP-{self._number('shipment')}",
                locationCode=members["locationCode"],
                items=members["shipmentItems"],
            )
            order.shipments.append(shipment)
            self._keep(order)
        return Answer(body={"shipmentCode": shipment.shipmentCode, "hasError": False, "errorMessage": None})

    def _find(self, members: dict[str, Any]) -> tuple[MarketplaceOrder, MarketplaceShipment] | Answer:
        order = self._orders.get(members["orderCode"])
        shipment = order.shipment(members["shipmentCode"]) if order else None
        if order is None or shipment is None:
            what = f"Shipment {members['shipmentCode']} is not known for order {members['orderCode']}"
            return self.error(404, what)
        return order, shipment

    def _label(self, members: dict[str, Any]) -> Answer:
        found = self._find(members)
        if isinstance(found, Answer):
            return found
        order, shipment = found
        if shipment.awbNumber is None:
            shipment.awbNumber = f"GLX{self._number('awb')}"
            shipment.transporter = TRANSPORTER
            self._keep(order)
        return Answer(
            body={
                "shippingLabelUrl": None,
                "shippingLabel": pdf("Shipping label", shipment.shipmentCode, shipment.awbNumber),
                "awbNumber": shipment.awbNumber,
                "transporter": shipment.transporter,
                "boxLabelDetails": [],
            }
        )

    def _invoice(self, members: dict[str, Any]) -> Answer:
        found = self._find(members)
        if isinstance(found, Answer):
            return found
        order, shipment = found
        if shipment.invoiceCode is None:
            shipment.invoiceCode = f"INV-{shipment.shipmentCode.removeprefix('MKT-SHP-')}"
            shipment.invoiceDate = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._keep(order)
        details = [
            {"channelSkuCode": item["channelSkuCode"], "quantity": item["quantityToPack"]} for item in shipment.items
        ]
        return Answer(
            body={
                "invoiceCode": shipment.invoiceCode,
                "invoiceUrl": None,
                "invoice": pdf("Tax invoice", shipment.invoiceCode, shipment.shipmentCode),
                "invoiceDate": shipment.invoiceDate,
                "irn": None,
                "qrCode": None,
                "orderCustomAttributes": None,
                "invoiceDetails": details,
            }
        )

    def _manifest(self, members: dict[str, Any]) -> Answer:
        pairs = [{"orderCode": i["orderCode"], "shipmentCode": i["shipmentCode"]} for i in members["manifestItems"]]
        manifest_id = members.get("manifestId")
        key = str(manifest_id) if manifest_id is not None else repr(sorted(tuple(pair.values()) for pair in pairs))
        if key not in self._manifests:
            code = f"MKT-MF-{self._number('manifest')}"
            self._manifests[key] = {"manifestCode": code, "manifestItems": pairs}
            self.journal.put("manifest", key, self._manifests[key])
            self._forget("manifest", self._manifests)
            for pair in pairs:
                order, shipment = self._shipment(pair)
                shipment.manifestCode = code
                self._keep(order)
        return Answer(body=self._manifests[key])

    def _hand_over(self, members: dict[str, Any]) -> Answer:
        for item in members["handoverItems"]:
            order, shipment = self._shipment(item)
            shipment.handedOver = True
            self._keep(order)
        return Answer(body={"hasError": False, "errorMessage": None})

    def _shipment(self, item: dict[str, Any]) -> tuple[MarketplaceOrder, MarketplaceShipment]:
        """Return a shipment. The contract cannot refuse one that was not packed, so it is accepted and marked."""
        order = self._order(item["orderCode"])
        shipment = order.shipment(item["shipmentCode"])
        if shipment is None:
            shipment = MarketplaceShipment(shipmentCode=item["shipmentCode"], announced=False)
            order.shipments.append(shipment)
        return order, shipment

    def _cancel(self, members: dict[str, Any]) -> Answer:
        """Apply a cancellation. Quantities are absolute totals: a repeat or a late older call changes nothing."""
        order = self._order(members["orderCode"])
        for item in members["orderItems"]:
            known = order.cancelled.setdefault(item["orderItemCode"], {"channelSkuCode": item["channelSkuCode"]})
            for name in ("cancelledQuantity", "customerCancelledQty", "sellerCancelledQty"):
                if item.get(name) is not None:
                    known[name] = max(known.get(name, 0), item[name])
        self._keep(order)
        return Answer(body={"hasError": False, "errorMessage": None})

    def _stock(self, members: dict[str, Any]) -> Answer:
        try:
            members, items, failures, _names, _refused = split_valid(members)
        except ValidationError as error:
            return self.error(400, "Input validation failed", problems(error))
        if is_consolidated_body(members):
            self._positions.put(CONSOLIDATED, members["consolidationType"], items)
            return Answer(body={"successList": items, "failureList": failures})
        self._positions.put(LOCATION, members["locationCode"], items)
        return Answer(body={"successList": [item["channelSkuCode"] for item in items], "failureList": failures})

    def _acknowledge_return(self, members: dict[str, Any]) -> Answer:
        """Add the items of a return; several calls add up."""
        code = members["returnOrderCode"]
        returned = self._returns.setdefault(
            code, {"returnOrderCode": code, "forwardOrderCode": members["forwardOrderCode"], "items": {}}
        )
        for item in members["orderItems"]:
            returned["items"][item["itemCode"]] = item
        self.journal.put("return", code, returned)
        self._forget("return", self._returns)
        return Answer()

    def _credential(self, _: dict[str, Any]) -> Answer:
        return Answer(body=self._headers)
