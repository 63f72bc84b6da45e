"""Sandbox of Increff by the contract: the calls that Sluice makes, and the records that they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from sluice.dev.sandbox.increff.orders import Return, new_order
from sluice.dev.sandbox.increff.records import Records
from sluice.dev.sandbox.increff.sluice_client import SluiceClient
from sluice.dev.sandbox.increff.warehouse import Warehouse, WarehouseSettings
from sluice.dev.sandbox.journal import JournalEntry
from sluice.dev.sandbox.rate_limit import REQUESTS_PER_WINDOW, SlidingWindow
from sluice.dev.sandbox.server import Answer, Sandbox, same_headers
from sluice.dev.sandbox.stock_changes import stock_changes
from topics.contract.definition import Direction, Touchpoint
from topics.paths.resources import add_route

PREFIX = "/assure-magic2"
DEMO_CREDENTIALS = {"authUsername": "sluice", "authPassword": "sluice-secret", "authDomainName": "demo"}
LOCATION_TYPES = {"DXB-WH-01": "Warehouse", "AUH-ST-04": "Store"}
_CODES = {400: "BAD_DATA", 401: "UNAUTHORIZED", 404: "NOT_FOUND", 413: "TOO_LARGE", 429: "TOO_MANY_REQUESTS"}
"""Only BAD_DATA is public (contract 0.3); the others are this sandbox's."""


class IncreffSandbox(Sandbox):
    """Increff, as silent as the real one: a create under a known code gets 200 and is not applied, changed or not."""

    direction = Direction.TO_INCREFF
    prefix = PREFIX

    def __init__(
        self,
        client: SluiceClient,
        *,
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        limit_per_minute: int = REQUESTS_PER_WINDOW,
        warehouse: WarehouseSettings | None = None,
        state_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(state_file)
        self._credentials = dict(credentials)
        self._window = SlidingWindow(limit_per_minute, clock)
        self._records = Records(self.journal)
        self._warehouse = Warehouse(self._records, client, warehouse or WarehouseSettings())
        self._handlers: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "create-outward-order": self._create,
            "customer-cancellation": self._cancel,
            "update-order-properties": self._update,
            "search-inventory": self._search,
            "search-inventory-marketplace": self._search_sku,
            "create-return-order": self._create_return,
            "add-return-order-items": self._add_return_items,
            "update-returns": self._update_return,
            "cancel-return-order-items": self._cancel_return_items,
        }

    def authorised(self, touchpoint: Touchpoint | None, headers: Mapping[str, str]) -> bool:  # noqa: ARG002
        return same_headers(headers, self._credentials)

    def admit(self) -> Answer | None:
        if self._window.admit():
            return None
        return self.error(429, "Too many requests: the limit of this client for any 60 seconds is reached")

    def error(self, status: int, message: str, faults: list[str] | None = None) -> Answer:
        code = _CODES.get(status, "INTERNAL_ERROR")
        description = f"[{', '.join(faults)}]" if faults else message
        return Answer(status, {"code": code, "message": message, "description": description})

    def handle(self, touchpoint: Touchpoint, members: dict[str, Any]) -> Answer:
        return self._handlers[touchpoint.name](members)

    def show_order(self, code: str) -> dict[str, Any] | None:
        order = self._records.orders.get(code)
        return order.show() if order else None

    def show_return(self, code: str) -> dict[str, Any] | None:
        returned = self._records.returns.get(code)
        return returned.show() if returned else None

    def show_stock(self) -> dict[str, Any]:
        return self._records.positions.show()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        self._warehouse.add_routes(router)
        add_route(router, "PATCH", "/_sandbox/stock", stock_changes(self._records.positions))

    async def start(self) -> None:
        await self._warehouse.start()

    async def stop(self) -> None:
        await self._warehouse.stop()

    def live(self) -> Iterator[JournalEntry]:
        return self._records.live()

    def restore(self, kind: str, key: str, value: Any) -> None:
        self._records.restore(kind, key, value)

    # The touchpoints.

    def _bad(self, *faults: str) -> Answer:
        return self.error(400, "Input validation failed", list(faults))

    def _create(self, members: dict[str, Any]) -> Answer:
        order = self._records.orders.get(members["orderCode"])
        if order is None:
            order = new_order(members)
            self._records.add(order)
            self._warehouse.autopilot.work_on(order.orderCode)
            return Answer()
        if order.created == members:
            order.unchangedRepeats += 1
        else:
            order.changedRepeats += 1
        self._records.keep(order)
        return Answer()

    def _cancel(self, members: dict[str, Any]) -> Answer:
        """Apply a cancellation as a whole, or not at all."""
        order = self._records.orders.get(members["orderCode"])
        if order is None:
            return self._bad(f"orderCode: {members['orderCode']} is not known")
        faults, changes = [], []
        for index, item in enumerate(members["orderItems"]):
            where = f"orderItems[{index}]"
            line = order.line(item["orderItemCode"])
            if line is None:
                faults.append(f"{where}.orderItemCode: {item['orderItemCode']} is not in the order")
                continue
            more = item["cancelledQuantity"] - line.customerCancelled
            if line.channelSkuCode != item["channelSkuCode"]:
                faults.append(f"{where}.channelSkuCode: {item['channelSkuCode']} is not the item's")
            elif item["cancelledQuantity"] > line.quantity:
                faults.append(f"{where}.cancelledQuantity: is more than the ordered {line.quantity}")
            elif more > line.open and line.packed:
                faults.append(f"{where}.cancelledQuantity: {line.packed} are packed and invoiced already")
            elif more > 0:
                changes.append((line, min(more, line.open)))
        if faults:
            return self._bad(*faults)
        for line, more in changes:
            line.customerCancelled += more
        self._records.keep(order)
        return Answer()

    def _update(self, members: dict[str, Any]) -> Answer:
        order = self._records.orders.get(members["orderCode"])
        if order is None:
            return self._bad(f"orderCode: {members['orderCode']} is not known")
        if members["onHold"] and order.invoiced:
            return self._bad("onHold: the order is packed already")
        order.onHold = members["onHold"]
        order.delivered = order.delivered or members.get("orderStatus") == "DELIVERED"
        order.properties |= {name: value for name, value in members.items() if name not in {"orderCode", "onHold"}}
        self._records.keep(order)
        self._warehouse.autopilot.work_on(order.orderCode)
        return Answer()

    def _search(self, members: dict[str, Any]) -> Answer:
        known = self._records.positions.locations.get(members["locationCode"], {})
        found = [
            {"channelSkuCode": sku, "qcPassAvailableQuantity": known[sku]["quantity"]}
            for sku in dict.fromkeys(members["channelSkuCodes"])
            if sku in known
        ]
        return Answer(body={"inventories": found})

    def _search_sku(self, members: dict[str, Any]) -> Answer:
        skus = list(dict.fromkeys(members["channelSkuCodes"]))
        found = [sku for sku in map(self._where, skus) if sku["inventories"]]
        listed = {sku["channelSkuCode"] for sku in found}
        return Answer(body={"successList": found, "failureList": [sku for sku in skus if sku not in listed]})

    def _where(self, sku: str) -> dict[str, Any]:
        places = {place: items[sku] for place, items in self._records.positions.locations.items() if sku in items}
        inventories = [
            {
                "locationCode": place,
                "locationType": LOCATION_TYPES.get(place, "Warehouse"),
                "quantity": item["quantity"],
            }
            for place, item in places.items()
        ]
        serial = next((item["channelSerialNo"] for item in places.values() if item.get("channelSerialNo")), None)
        return {
            "channelSkuCode": sku,
            "channelSerialNo": serial,
            "totalQuantity": sum(item["quantity"] for item in places.values()),
            "inventories": inventories,
        }

    def _create_return(self, members: dict[str, Any]) -> Answer:
        """Create a return. A duplicate succeeds and changes nothing, as for orders (contract 15)."""
        code = members["returnOrderCode"]
        if code not in self._records.returns:
            returned = Return(
                returnOrderCode=code,
                forwardOrderCode=members["forwardOrderCode"],
                locationCode=members["locationCode"],
                items=members["orderItems"],
                properties={name: members.get(name) for name in ("awbNumber", "transporter", "returnOrderStatus")},
            )
            self._records.add_return(returned)
            self._warehouse.autopilot.expect(code)
        return Answer()

    def _add_return_items(self, members: dict[str, Any]) -> Answer:
        """Add items; allowed until the parcel is received (contract 15)."""
        returned = self._records.returns.get(members["returnOrderCode"])
        if returned is None:
            return self._bad(f"returnOrderCode: {members['returnOrderCode']} is not known")
        if returned.received:
            return self._bad(f"returnOrderCode: {returned.returnOrderCode} is received already")
        known = {item["itemCode"] for item in returned.items}
        for item in members["returnLineItems"]:
            if item["channelReturnItemCode"] not in known:
                added = {"itemCode": item["channelReturnItemCode"], "reason": item.get("reasonForReturn")}
                returned.items.append({**item, **added})
        self._records.keep_return(returned)
        return Answer()

    def _update_return(self, members: dict[str, Any]) -> Answer:
        returned = self._records.returns.get(members["returnOrderCode"])
        if returned is None:
            return self._bad(f"returnOrderCode: {members['returnOrderCode']} is not known")
        returned.properties |= {name: value for name, value in members.items() if name != "returnOrderCode"}
        self._records.keep_return(returned)
        return Answer()

    def _cancel_return_items(self, members: dict[str, Any]) -> Answer:
        """Cancel items; allowed until the parcel is received (contract 18)."""
        returned = self._records.returns.get(members["returnOrderCode"])
        if returned is None:
            return self._bad(f"returnOrderCode: {members['returnOrderCode']} is not known")
        known = {item["itemCode"] for item in returned.items}
        codes = [item["returnOrderItemCode"] for item in members["returnOrderItems"]]
        faults = [
            f"returnOrderItems[{index}].returnOrderItemCode: {code} is "
            + ("received already" if code in returned.received else "not in the return")
            for index, code in enumerate(codes)
            if code not in known or code in returned.received
        ]
        if faults:
            return self._bad(*faults)
        returned.cancelled = list(dict.fromkeys([*returned.cancelled, *codes]))
        self._records.keep_return(returned)
        return Answer()
