"""Numbers keep their digits on every way through `sluice up`: from callers, from Kafka and from far sides.

The far sides are played by this test, which sends and compares text: no reader of JSON is between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.e2e.stack import INCREFF_HEADERS, MARKETPLACE_HEADERS, Stack, cancellation, create_order, pack
from tests.support.eventually import eventually
from tests.support.sandboxes import sample
from topics import http_sessions
from topics.records import keys
from topics.records.envelope import COMMAND, Envelope

Code = Callable[[], str]
CODE = "9400111899223197428490"
ODD = (
    f'"big":{CODE},"edge":18446744073709551616,"negative":-18446744073709551617,"zeros":499.0000,'
    '"decimal":1234567890.12345678901,"exponent":1.5E+2,"list":[0.10,{"deep":123456789012345678901234567890}]'
)
"""Members of no model, whose numbers no double holds, or writes in other digits."""
HERE: dict[str, Any] = {"@": 0}
"""Stands for these in members that are written by `text_of`."""
WAREHOUSE = {"locationCode": "DXB-WH-01"}
TOPIC = "sluice.orders.commands.v1"
MARK = b"\xef\xbb\xbf"
ANSWERS = {
    "/pack": f'{{"shipmentCode":{CODE},{ODD}}}',
    "/shipping-label": f'{{"awbNumber":{CODE},"transporter":"GULF",{ODD}}}',
    "/invoice": f'{{"invoiceCode":{CODE},{ODD}}}',
    "/manifest": f'{{"manifestCode":{CODE},"manifestItems":[{{"orderCode":"$order","shipmentCode":{CODE}}}],{ODD}}}',
    "/cancel": f'{{"hasError":false,{ODD}}}',
}
"""By the end of the path; all other calls are answered without a body. `$order` stands for the order's code."""
CHANNELS = """
[increff]
url = "{far_side}/assure-magic2"

[channels.demo]
credentials = {{ username = "demo", password = "demo-secret", domain = "demo" }}
increff_credentials = {{ username = "sluice", password = "sluice-secret", domain = "demo" }}
marketplace_headers = {{ X-Channel-Key = "demo-channel" }}
increff_headers = {{ X-Api-Key = "demo-increff" }}
marketplace = {{ url = "{far_side}" }}
"""


def text_of(members: dict[str, Any]) -> bytes:
    text = json.dumps(members, separators=(",", ":")).replace('"@":0', ODD)
    return text.replace("89.25", "1234567890.12345678901").replace("199.5", "499.0000").encode()


def digits(raw: bytes | str) -> Any:
    """The value with each number as its text."""
    text = raw if isinstance(raw, str) else raw.decode()
    return json.loads(text, parse_int=lambda number: ("int", number), parse_float=lambda number: ("float", number))


@dataclass
class FarSide:
    """Increff and the marketplace. `arrivals`: path and body of each call, as they came."""

    arrivals: list[tuple[str, bytes]] = field(default_factory=list)

    def serve(self) -> ThreadingHTTPServer:
        """A server in a thread of its own: it serves tests of many loops."""
        arrivals = self.arrivals

        class Take(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                arrivals.append((self.path, body))
                path = self.path.partition("?")[0]
                text = next((text for end, text in ANSWERS.items() if path.endswith(end)), "")
                named = re.search(rb'"orderCode": ?"([^"]+)"', body)
                answer = text.encode().replace(b"$order", named[1] if named else b"")
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = take  # noqa: N815 - names of the base class

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        return server

    async def got(self, path: str, naming: str) -> bytes:
        """The body of the only call to this path that names an order, a return or a location."""
        found: list[bytes] = []

        async def there() -> bool:
            found[:] = [
                body for sent, body in self.arrivals if path in sent and (naming in sent or naming.encode() in body)
            ]
            return bool(found)

        await eventually(there, what=lambda: f"{path} with {naming} among {[sent for sent, _ in self.arrivals]}")
        assert len(found) == 1
        return found[0]


@dataclass
class World:
    stack: Stack
    far_side: FarSide

    async def ask(self, method: str, path: str, raw: bytes | None = None, **query: Any) -> bytes:
        """The answer's text. Paths of Increff's calls begin with /channels."""
        headers = INCREFF_HEADERS if path.startswith("/channels") else MARKETPLACE_HEADERS
        async with (
            http_sessions.session() as session,
            session.request(
                method,
                (self.stack.admin_url if path.startswith("/api") else self.stack.url) + path,
                data=raw,
                params=query,
                headers={**headers, "Content-Type": "application/json"},
            ) as response,
        ):
            answer = await response.read()
            assert response.status == 200, (path, response.status, answer)
            return answer

    async def produce(self, code: str, value: bytes) -> None:
        """A Create as a direct producer writes it."""
        producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{self.stack.kafka_port}")
        await producer.start()
        try:
            kind = COMMAND + "create-outward-order"
            envelope = Envelope(id=f"direct-{code}", type=kind, source="erp", channel="demo", time_ms=0)
            key = keys.order_key("demo", code)
            await producer.send_and_wait(TOPIC, value, key=key, headers=list(envelope.headers()))
        finally:
            await producer.stop()

    async def document(self, code: str) -> bytes:
        return await self.ask("GET", f"/api/orders/{code}", channel="demo")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory, far_side = tmp_path_factory.mktemp("digits"), FarSide()
    server, stack = far_side.serve(), Stack(directory / "data")
    url = f"http://127.0.0.1:{server.server_port}"
    (directory / "channels.toml").write_text(CHANNELS.format(far_side=url))
    try:
        stack.start("--channels", str(directory / "channels.toml"))
        yield World(stack, far_side)
    finally:
        stack.close()
        server.shutdown()
        server.server_close()


CREATE = "/assure-magic2/orders/outward"


def odd_order(code: str) -> bytes:
    order = create_order(code, orderCustomAttributes={"channelMetadata": HERE, **HERE}, **HERE)
    return text_of({**order, "orderItems": [{**item, **HERE} for item in order["orderItems"]]})


@pytest.mark.parametrize("mark", [b"", MARK], ids=["plain", "with a byte order mark"])
async def test_a_create_by_http(world: World, code: Code, mark: bytes) -> None:
    order = code()
    sent = odd_order(order)
    await world.ask("POST", CREATE, mark + sent)
    assert digits(await world.far_side.got("/orders/outward", order)) == digits(sent)


@pytest.mark.parametrize("mark", [b"", MARK], ids=["plain", "with a byte order mark"])
async def test_a_create_by_kafka(world: World, code: Code, mark: bytes) -> None:
    order = code()
    sent = odd_order(order)
    await world.produce(order, mark + sent)
    assert digits(await world.far_side.got("/orders/outward", order)) == digits(sent)


async def test_an_order_from_create_to_handover(world: World, code: Code) -> None:
    """A shipmentCode of 22 digits, printed as a number, is a code for all calls that follow."""
    order, far_side = code(), world.far_side
    await world.ask("POST", CREATE, odd_order(order))
    await world.stack.reaches(order, "SUBMITTED")
    times = {"dispatchByTime": "2026-11-27T14:00:00.000Z", "startProcessingTime": "2026-11-24T14:00:00.000Z"}
    update = text_of({**times, "onHold": False, **WAREHOUSE, **HERE})
    await world.ask("PUT", f"/assure-magic2/orders/{order}", update)
    assert digits(await far_side.got(f"/orders/{order}", order)) == digits(update)

    acknowledged = {"orderCode": order, "locationCode": "DXB-WH-01", **HERE}
    answer = await world.ask(
        "PUT", "/channels/demo/orders/acknowledgement", text_of({"orders": [acknowledged], **HERE})
    )
    assert digits(answer) == digits(text_of({"successOrders": [acknowledged]}))
    assert digits(await far_side.got("/acknowledgement", order)) == digits(text_of({"orders": [acknowledged], **HERE}))

    packing = text_of(pack(order, 4711, weight=89.25, invoice=HERE, **HERE))
    for _ in range(2):  # the second one is answered by what was recorded
        assert digits(await world.ask("POST", "/channels/demo/orders/pack", packing)) == digits(ANSWERS["/pack"])
    assert digits(await far_side.got("/pack", order)) == digits(packing)
    shipment: dict[str, Any] = {"orderCode": order, "shipmentCode": CODE}
    for path in ("/shipping-label", "/invoice"):
        for _ in range(2):
            assert digits(await world.ask("GET", f"/channels/demo{path}", **shipment)) == digits(ANSWERS[path])
        await far_side.got(path, order)

    # Increff may print both codes as the marketplace did: as numbers.
    printed = {"orderCode": order, "shipmentCode": int(CODE)}
    items = {"manifestItems": [{**printed, "awbNumber": int(CODE), **HERE}]}
    manifest = text_of({"transporter": "GULF", "locationCode": "DXB-WH-01", "manifestId": 4711, **items, **HERE})
    answer = await world.ask("POST", "/channels/demo/manifest", manifest)
    assert digits(answer) == digits(ANSWERS["/manifest"].replace("$order", order))
    assert digits(await far_side.got("/manifest", order)) == digits(manifest)
    handover = text_of({"locationCode": "DXB-WH-01", "handoverItems": [{**printed, **HERE}], **HERE})
    await world.ask("POST", "/channels/demo/handover", handover)
    assert digits(await far_side.got("/handover", order)) == digits(handover)

    await world.stack.reaches(order, "HANDED_OVER")
    (shown,) = digits(await world.document(order))["shipments"]
    named = ("shipmentCode", "awbNumber", "invoiceCode", "manifestCode")
    assert [shown[name] for name in named] == [CODE] * len(named)


async def test_a_cancellation_and_its_answer(world: World, code: Code) -> None:
    order = code()
    await world.ask("POST", CREATE, odd_order(order))
    await world.stack.reaches(order, "SUBMITTED")
    sent = text_of({**cancellation(order, 1), **WAREHOUSE, **HERE})
    answer = await world.ask("PUT", f"/assure-magic2/orders/{order}/cancel", sent)
    assert digits(answer) == digits(ANSWERS["/cancel"])
    assert digits(await world.far_side.got(f"/orders/{order}/cancel", order)) == digits(sent)


async def test_calls_that_wait_in_a_state(world: World, code: Code) -> None:
    """A cancellation that came before its order, and a return that waits for its forward order's word."""
    order, item, far_side = code(), code(), world.far_side
    line = {"channelSkuCode": "SHIRT", "orderItemCode": f"{order}-1", "cancelledQuantity": 1, "sellerCancelledQty": 1}
    early = text_of(
        {"orderCode": order, "orderItems": [{**line, "customerCancelledQty": 0, **HERE}], **WAREHOUSE, **HERE}
    )
    await world.stack.as_increff("PUT", "/orders/cancel", raw=early)
    await world.stack.reaches(order, "EXPECTED")
    await world.ask("POST", CREATE, odd_order(order))
    assert digits(await far_side.got("/seller-cancellation", order)) == digits(early)

    returned = {**sample("create-return-order"), "forwardOrderCode": code(), "returnOrderCode": f"R-{item}", **HERE}
    asked = text_of({**returned, "orderItems": [{**one, **HERE} for one in returned["orderItems"]]})
    await world.ask("POST", "/assure-magic2/return/return-orders", asked)
    assert digits(await far_side.got("/return/return-orders", f"R-{item}")) == digits(asked)


@pytest.mark.parametrize("mark", [b"", MARK], ids=["plain", "with a byte order mark"])
async def test_stock(world: World, code: Code, mark: bytes) -> None:
    location, sku = code(), code()
    item = {"channelSkuCode": sku, "quantity": 5, **HERE}
    sent = text_of({"locationCode": location, "inventories": [item]})
    await world.ask("PUT", "/channels/demo/inventory", mark + sent)
    found = digits(await world.far_side.got("/inventory", sku))
    assert found == digits(text_of({"locationCode": location, "inventories": [item]}))


@pytest.mark.parametrize("way", ["http", "kafka"])
async def test_empty_objects_as_php_writes_them(world: World, code: Code, way: str) -> None:
    order, far_side = code(), world.far_side
    body = create_order(order, shippingAddress=[], billingAddress=[], orderCustomAttributes=[])
    sent = json.dumps({**body, "orderItems": [{**item, "giftOptions": []} for item in body["orderItems"]]}).encode()
    if way == "http":
        await world.ask("POST", CREATE, sent)
    else:
        await world.produce(order, sent)
    assert digits(await far_side.got("/orders/outward", order)) == digits(sent)
    await world.stack.reaches(order, "SUBMITTED")
    packing = json.dumps(pack(order, 4712, dimensions=[], invoice=[])).encode()
    await world.ask("POST", "/channels/demo/orders/pack", packing)
    assert digits(await far_side.got("/pack", order)) == digits(packing)
