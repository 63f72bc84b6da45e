"""Increff's warehouse: it moves orders through Sluice, on demand or, with the autopilot, on its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sluice.dev.sandbox.increff import steps
from sluice.dev.sandbox.increff.autopilot import Autopilot
from sluice.dev.sandbox.increff.orders import Order
from sluice.dev.sandbox.increff.records import Records
from sluice.dev.sandbox.increff.sluice_client import SluiceAnswer, SluiceClient
from sluice.dev.sandbox.server import found, json_response, usage_error
from sluice.dev.sandbox.stock import CONSOLIDATED, LOCATION
from topics.paths.resources import add_route
from topics.records.json_text import JsonTextError, read

STOCK_BATCH = 200
"""SKUs of one push (contract 12)."""
STOCK_MAX = 100_000
"""SKUs of one request to push: 500 calls."""
STEP_DELAY_S = 0.5
"""How long the autopilot takes for a step: an order is through in seconds, and slow enough to watch."""
STEPS = ("acknowledge", "pack", "label", "invoice", "manifest", "handover", "seller-cancel")
_WITHOUT_ORDER = "acknowledge"
"""The step whose call needs no more than an order's code; the others need the order, or a body."""


@dataclass(frozen=True, slots=True)
class WarehouseSettings:
    """`auto`: the autopilot is on from the start. `step_delay_s`: how long it takes for each step."""

    auto: bool = False
    step_delay_s: float = STEP_DELAY_S


class Warehouse:
    """The steps, each a call to Sluice. What Sluice takes is applied to Increff's own order."""

    def __init__(self, records: Records, client: SluiceClient, settings: WarehouseSettings) -> None:
        self._records = records
        self._client = client
        self._auto_from_start = settings.auto
        self.autopilot = Autopilot(self, records, settings.step_delay_s)

    async def start(self) -> None:
        if self._auto_from_start:
            self.autopilot.switch(on=True)

    async def stop(self) -> None:
        await self.autopilot.stop()
        await self._client.close()

    async def step(self, order: Order, name: str, body: dict[str, Any] | None = None) -> SluiceAnswer:
        """Make the step's call and apply its answer to the orders; `steps` says which members a call has."""
        call = self._step_call(order, name, body or {})
        answer = await self._client.call(call.touchpoint, call.members)
        if answer.taken:
            for changed in call.took(answer.body):
                self._records.keep(changed)
        self._records.keep(order)
        return answer

    def _step_call(self, order: Order, name: str, body: dict[str, Any]) -> steps.StepCall:
        def find(code: str) -> Order | None:
            return order if code == order.orderCode else self._records.orders.get(code)

        make: dict[str, Callable[[], steps.StepCall]] = {
            "acknowledge": lambda: steps.acknowledge(order, body, find),
            "pack": lambda: steps.pack(order, body, lambda: self._records.new_number("shipment")),
            "label": lambda: steps.label(order, body),
            "invoice": lambda: steps.invoice(order, body),
            "manifest": lambda: steps.manifest(order, body, find, lambda: self._records.new_number("manifest")),
            "handover": lambda: steps.handover(order, body, find),
            "seller-cancel": lambda: steps.seller_cancel(order, body),
        }
        return make[name]()

    async def inspect(self, code: str, body: dict[str, Any] | None = None) -> SluiceAnswer | None:
        """Receive a return and send its items and their quality to the marketplace. None when it is not known."""
        returned = self._records.returns.get(code)
        if returned is None:
            return None
        items = [
            {"itemCode": item["itemCode"], "channelSkuCode": item["channelSkuCode"], "qcStatus": "PASS"}
            for item in returned.expected
        ]
        members = {
            "returnOrderCode": code,
            "forwardOrderCode": returned.forwardOrderCode,
            "locationCode": returned.locationCode,
            "orderItems": items,
            **(body or {}),
        }
        answer = await self._client.call("return-order-acknowledgement", members)
        if answer.taken:
            returned.received |= {item["itemCode"]: item for item in members["orderItems"]}
            self._records.keep_return(returned)
        return answer

    async def push_stock(self, members: dict[str, Any]) -> list[SluiceAnswer]:
        """Keep the positions and push them in batches, one after the other as Increff does."""
        kind, place, touchpoint = LOCATION, members.get("locationCode"), "location-wise-atp-inventory"
        if "consolidationType" in members:
            kind, place, touchpoint = CONSOLIDATED, members["consolidationType"], "consolidated-atp-inventory"
        items = members["inventories"]
        self._records.positions.put(kind, str(place), items)
        answers = []
        for first in range(0, len(items), STOCK_BATCH):
            batch = {**members, "inventories": items[first : first + STOCK_BATCH]}
            answers.append(await self._client.call(touchpoint, batch))
        return answers

    # On demand.

    def add_routes(self, router: web.UrlDispatcher) -> None:
        for name in STEPS:
            add_route(router, "POST", f"/_sandbox/orders/{{code}}/{name}", self._on_demand(name))
        add_route(router, "POST", "/_sandbox/returns/{code}/acknowledge", self._on_demand_return)
        add_route(router, "PUT", "/_sandbox/stock", self._on_demand_stock)
        add_route(router, "GET", "/_sandbox/autopilot", self._show_autopilot)
        add_route(router, "PUT", "/_sandbox/autopilot", self._switch_autopilot)

    def _on_demand(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def call(request: web.Request) -> web.Response:
            body = await _object(request)
            if body is None:
                return usage_error("the body must be a JSON object, or absent")
            code = request.match_info["code"]
            if code not in self._records.orders and not body and name != _WITHOUT_ORDER:
                return found("order", code, None)
            # A code that Increff does not know makes a call, too: so a call that comes early can be tried.
            order = self._records.orders.get(code) or Order(orderCode=code)
            answer = await self.step(order, name, body)
            return json_response(answer.show())

        return call

    async def _on_demand_return(self, request: web.Request) -> web.Response:
        body = await _object(request)
        if body is None:
            return usage_error("the body must be a JSON object, or absent")
        answer = await self.inspect(request.match_info["code"], body)
        return found("return", request.match_info["code"], answer.show() if answer else None)

    async def _on_demand_stock(self, request: web.Request) -> web.Response:
        """Answer with `batches` one by one, the first failed status of them, and their lists joined in `body`."""
        members = await _object(request)
        items = members.get("inventories") if members else None
        if not members or not isinstance(items, list) or len(items) > STOCK_MAX:
            return usage_error(f"wanted: locationCode or consolidationType, and at most {STOCK_MAX} inventories")
        if not ("locationCode" in members or "consolidationType" in members):
            return usage_error("wanted: locationCode or consolidationType")
        if not all(isinstance(item, dict) and isinstance(item.get("channelSkuCode"), str) for item in items):
            return usage_error("inventories: each wants a channelSkuCode")
        answers = await self.push_stock(members)
        failed = next((answer.status for answer in answers if not answer.taken), 200)
        lists = [answer.body for answer in answers if isinstance(answer.body, dict)]
        together = {
            name: [sku for body in lists for sku in body.get(name, [])] for name in ("successList", "failureList")
        }
        return json_response({"status": failed, "body": together, "batches": [answer.show() for answer in answers]})

    async def _show_autopilot(self, _: web.Request) -> web.Response:
        return json_response({"on": self.autopilot.on})

    async def _switch_autopilot(self, request: web.Request) -> web.Response:
        body = await _object(request)
        if not body or not isinstance(body.get("on"), bool):
            return usage_error('wanted: {"on": true} or {"on": false}')
        self.autopilot.switch(on=body["on"])
        return await self._show_autopilot(request)


async def _object(request: web.Request) -> dict[str, Any] | None:
    """Return the body as an object, empty when there is none; None when it is something else."""
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        body = read(raw)
    except JsonTextError:
        return None
    return {} if body is None else body if isinstance(body, dict) else None
