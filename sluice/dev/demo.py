"""Demo traffic: a marketplace that places, holds, cancels and returns orders, and stock that arrives.

Each printed line is for the person who started it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from sluice.errors import StartError
from topics import http_sessions
from topics.configuration.settings import load_settings
from topics.paths.patterns import quoted

CREDENTIALS = {"authUsername": "demo", "authPassword": "demo-secret", "authDomainName": "demo"}
FIRST_ORDERS = 3
ORDER_EVERY_S = 5.0
"""Twelve orders a minute make some 20 requests to Increff, which allows 200."""
FOLLOWED_MAX = 50
"""Orders followed at once; while Sluice or a far side stands still, no more are placed."""
FOLLOW_S = 600.0
"""How long an order is followed."""
POLL_S = 0.5
READY_TIMEOUT_S = 120.0
STOCK_EVERY_S = 30.0
TIMEOUT_S = 45.0
RETRY_S = 2.0
TRIES_MAX = 30
"""With RETRY_S, a minute: Sluice may be restarting."""
STORY_EVERY = 5
"""Five orders in a round: one is held first, one cancelled in part, one by the seller; every tenth has a return."""
RETURN_EVERY = 10

SKUS = {
    "LAM-TEE-BLK-M": ("Cotton tee, black, M", 89.25),
    "LAM-JEAN-IND-32": ("Jeans, indigo, 32", 199.5),
    "LAM-SERUM-30ML": ("Face serum, 30 ml", 74.0),
    "LAM-SOCK-GRY-3P": ("Socks, grey, 3 pairs", 39.0),
}
LOCATIONS = ("DXB-WH-01", "AUH-ST-04")
PEOPLE = ("Mariam Haddad", "Omar Nasser", "Leila Farouk", "Yusuf Rahman")


class Demo:
    """A marketplace. Its order codes are new at every start, because they begin with the time."""

    def __init__(
        self, url: str, admin_url: str, increff_url: str, session: aiohttp.ClientSession, chance: random.Random
    ) -> None:
        self._url = url.rstrip("/")
        self._admin_url = admin_url.rstrip("/")
        self._base = load_settings().marketplace_bases[0]
        self._increff_url = increff_url.rstrip("/")
        self._session = session
        self._chance = chance
        self._codes = order_codes(datetime.now(UTC))
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send traffic until cancelled."""
        await self._ready()
        await self._call("PUT", f"{self._increff_url}/_sandbox/autopilot", {"on": True})
        await self._restock()
        self._begin(self._keep_stock())
        for number in itertools.count(1):
            if len(self._tasks) < FOLLOWED_MAX:
                self._begin(self._story(number, next(self._codes)))
            if number >= FIRST_ORDERS:
                await asyncio.sleep(ORDER_EVERY_S)
            # The sandbox of Increff forgets the autopilot when it is restarted.
            await self._call("PUT", f"{self._increff_url}/_sandbox/autopilot", {"on": True})

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except DemoError as error:
                print(error)

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ready(self) -> None:
        sides = {
            f"Sluice at {self._url}": f"{self._url}/ready",
            f"the sandbox of Increff at {self._increff_url}": f"{self._increff_url}/_sandbox/ready",
        }
        deadline = time.monotonic() + READY_TIMEOUT_S
        printed = ""
        while True:
            missing = [name for name, url in sides.items() if (await self._try("GET", url))[0] != 200]
            if not missing:
                return
            if printed != (printed := " and ".join(missing)):
                print(f"waiting for {printed}", flush=True)
            if time.monotonic() > deadline:
                raise DemoError(f"not ready after {READY_TIMEOUT_S:.0f} s: {printed}; start it with `sluice up`")
            await asyncio.sleep(POLL_S)

    # The marketplace.

    async def _story(self, number: int, code: str) -> None:
        began = time.monotonic()
        kind = number % STORY_EVERY
        order = make_order(code, self._chance, on_hold=kind == 2)
        await self._place(order)
        units = sum(item["quantity"] for item in order["orderItems"])
        print(f"{code}  placed: {units} units for {order['locationCode']}{', on hold' if order['onHold'] else ''}")
        if order["onHold"]:
            await asyncio.sleep(self._chance.uniform(2, 4))
            await self._marketplace("PUT", f"/orders/{quoted(code)}", release(order))
            print(f"{code}  released")
        elif kind == 3:
            await self._cancel_one(order)
        elif kind == 4:
            await self._seller_cancel(order)
        await self._follow(code, began)
        if number % RETURN_EVERY == 1 and number > 1:
            await self._send_back(order)

    async def _place(self, order: dict[str, Any]) -> None:
        await self._marketplace("POST", "/orders/outward", order)

    async def _cancel_one(self, order: dict[str, Any]) -> None:
        """Cancel one unit for the customer; the warehouse may have been faster."""
        item = order["orderItems"][0]
        wanted = {
            "channelSkuCode": item["channelSkuCode"],
            "orderItemCode": item["orderItemCode"],
            "cancelledQuantity": 1,
        }
        url = f"{self._url}{self._base}/orders/{quoted(order['orderCode'])}/cancel"
        status, _ = await self._try("PUT", url, {"orderItems": [wanted]}, CREDENTIALS)
        outcome = "one unit cancelled by the customer" if status == 200 else f"too late to cancel a unit ({status})"
        print(f"{order['orderCode']}  {outcome}")

    async def _seller_cancel(self, order: dict[str, Any]) -> None:
        """Cancel one damaged unit for the seller."""
        code = order["orderCode"]
        wanted = {"orderItems": [{"orderItemCode": order["orderItems"][0]["orderItemCode"], "cancelledQuantity": 1}]}
        await self._reaches(code, {"SUBMITTED", "ACKNOWLEDGED"})
        status, body = await self._try(
            "POST", f"{self._increff_url}/_sandbox/orders/{quoted(code)}/seller-cancel", wanted
        )
        taken = status == 200 and body["status"] == 200
        print(f"{code}  {'one unit cancelled by the seller' if taken else 'packed before the seller could cancel'}")

    async def _follow(self, code: str, began: float) -> None:
        document = await self._reaches(code, {"HANDED_OVER", "CANCELLED", "REJECTED"})
        state = document["state"].lower().replace("_", " ")
        print(f"{code}  {state} after {time.monotonic() - began:.1f} s")

    async def _reaches(self, code: str, states: set[str]) -> dict[str, Any]:
        """Return the order's document once it is in one of the states, or in a final one."""
        ends = states | {"HANDED_OVER", "DELIVERED", "CANCELLED", "REJECTED"}
        deadline = time.monotonic() + FOLLOW_S
        while time.monotonic() < deadline:
            status, body = await self._try("GET", f"{self._admin_url}/api/orders/{quoted(code)}?channel=demo")
            if status == 200 and body["state"] in ends:
                return dict(body)
            await asyncio.sleep(POLL_S)
        raise DemoError(f"{code}  still under way after {FOLLOW_S:.0f} s; see `sluice order {code}`")

    async def _send_back(self, order: dict[str, Any]) -> None:
        code = f"{order['orderCode']}-R"
        item = order["orderItems"][-1]
        await self._marketplace("POST", "/return/return-orders", make_return(code, order, item))
        tracking = {"transporter": "GULF_EXPRESS", "trackingCode": f"GLXR{self._chance.randrange(10**7):07d}"}
        update = {"returnOrderCode": code, "locationCode": order["locationCode"], **tracking}
        await self._marketplace("POST", "/return/update-return-order", {**update, "returnOrderStatus": "in_transit"})
        print(f"{code}  one unit comes back")

    # The warehouse.

    async def _keep_stock(self) -> None:
        while True:
            await asyncio.sleep(STOCK_EVERY_S)
            await self._restock()

    async def _restock(self) -> None:
        for location in LOCATIONS:
            inventories = [{"channelSkuCode": sku, "quantity": self._chance.randrange(40, 200)} for sku in SKUS]
            body = {"locationCode": location, "inventories": inventories}
            _, answer = await self._try("PUT", f"{self._increff_url}/_sandbox/stock", body)
            taken = isinstance(answer, dict) and answer.get("status") == 200
            print(f"{location}  stock of {len(SKUS)} SKUs {'pushed' if taken else 'not taken; again later'}")

    # Calls.

    async def _marketplace(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return await self._call(method, f"{self._url}{self._base}{path}", body, CREDENTIALS)

    async def _call(self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """Call, and repeat while there is no answer or a 5xx: every call of the contract may be repeated."""
        for _ in range(TRIES_MAX):
            status, answer = await self._try(method, url, body, headers)
            if 200 <= status < 300:
                return answer
            if 400 <= status < 500 and status not in {404, 429}:
                raise DemoError(f"{method} {url}: {status} {answer}")
            await asyncio.sleep(RETRY_S)
        raise DemoError(f"{method} {url}: no success in {TRIES_MAX} tries, last {status} {answer}")

    async def _try(
        self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and body; status 0 without an answer."""
        try:
            async with self._session.request(method, url, json=body, headers=headers) as response:
                text = await response.text()
                json = text and response.content_type.endswith("json")
                return response.status, (await response.json() if json else text)
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, f"{type(error).__name__}: {error}"


class DemoError(StartError):
    """A part of the demo failed; the others go on."""


def order_codes(start: datetime) -> Iterator[str]:
    return (f"DEMO-{start:%y%m%d-%H%M%S}-{number:04d}" for number in itertools.count(1))


def make_order(code: str, chance: random.Random, *, on_hold: bool) -> dict[str, Any]:
    now = datetime.now(UTC)
    skus = chance.sample(sorted(SKUS), k=chance.randint(1, 3))
    address = {
        "name": chance.choice(PEOPLE),
        "line1": f"Villa {chance.randint(1, 90)}, Street {chance.randint(1, 40)}",
        "city": "Dubai",
        "state": "Dubai",
        "zip": "00000",
        "country": "UAE",
        "email": "customer@example.test",
        "phone": "+971500000143",
    }
    items = [
        {
            "channelSkuCode": sku,
            "orderItemCode": f"{code}-{index}",
            "quantity": chance.randint(2, 4) if index == 1 else 1,
            "sellingPricePerUnit": SKUS[sku][1],
        }
        for index, sku in enumerate(skus, start=1)
    ]
    return {
        "parentOrderCode": f"CART-{code}",
        "locationCode": chance.choice(LOCATIONS),
        "orderCode": code,
        "orderTime": _time(now),
        "orderType": "SO",
        "isPriority": False,
        "gift": False,
        "onHold": on_hold,
        "qcStatus": "PASS",
        "startProcessingTime": _time(now),
        "dispatchByTime": _time(now + timedelta(days=2)),
        "paymentMethod": chance.choice(["COD", "NCOD"]),
        "isSplitRequired": False,
        "packType": "PIECE",
        "shippingAddress": address,
        "billingAddress": address,
        "orderItems": items,
    }


def release(order: dict[str, Any]) -> dict[str, Any]:
    kept = {name: order[name] for name in ("locationCode", "startProcessingTime", "dispatchByTime")}
    return {**kept, "onHold": False, "orderStatus": "CREATED"}


def make_return(code: str, order: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    unit = {"itemCode": f"{code}-1", "channelSkuCode": item["channelSkuCode"], "reason": "Size too small"}
    return {
        "forwardOrderCode": order["orderCode"],
        "returnOrderCode": code,
        "locationCode": order["locationCode"],
        "returnOrderTime": _time(now),
        "returnOrderStatus": "RETURN_CREATED",
        "expectedDate": _time(now + timedelta(days=5)),
        "orderType": "CUSTOMER_RETURN",
        "orderItems": [{**unit, "name": SKUS[item["channelSkuCode"]][0], "price": item["sellingPricePerUnit"]}],
    }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


async def run(
    url: str = "http://127.0.0.1:8080",
    admin_url: str = "http://127.0.0.1:8081",
    increff_url: str = "http://127.0.0.1:8091",
) -> None:
    """Send traffic until cancelled."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with http_sessions.session(timeout=timeout) as session:
        demo = Demo(url, admin_url, increff_url, session, random.Random())
        try:
            await demo.run()
        finally:
            await demo.close()
