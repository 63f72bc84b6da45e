"""An order of each kind of channel travels the whole way through `sluice up`: by HTTP, by Kafka, by Sluice's rules.

The channel on Kafka is the example that docs/kafka-channels.md shows, run as it says.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sluice.dev.local.ports import free_ports
from tests.e2e.stack import Answer, Stack, cancellation, create_order, pack
from tests.support.eventually import eventually, eventually_sync

Code = Callable[[], str]
ShipmentId = Callable[[], int]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "kafka_channel.py"
CHANNELS = """
[increff]
url = "http://127.0.0.1:{increff}/assure-magic2"
"""
CHANNEL = """
[channels.{name}]
credentials = {{ username = "{name}", password = "secret" }}
increff_credentials = {{ username = "sluice", password = "sluice-secret", domain = "demo" }}
increff_headers = {{ X-Api-Key = "{name}-key" }}
marketplace_headers = {{ X-Channel-Key = "demo-channel" }}
"""
FAR_SIDES = {
    "web": 'marketplace = {{ url = "http://127.0.0.1:{marketplace}" }}',
    "stream": 'far_side = "kafka"',
    "own": 'far_side = "self"',
    "mixed": 'far_side = "self"\nfar_sides = {{ get-shipping-label = "kafka", get-invoice = "kafka" }}',
}
ON_KAFKA = ("stream", "mixed")
WITHOUT_DOCUMENTS = ("own",)


@dataclass
class Example:
    """The example channel as a process."""

    channel: str
    kafka: str
    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self.directory / f"{self.channel}.log"

    def start(self) -> None:
        began = self.said.count(f"{self.channel} answers")
        command = [sys.executable, str(EXAMPLE), self.channel, self.kafka, str(self.directory / f"{self.channel}.db")]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually_sync(lambda: self.said.count(f"{self.channel} answers") > began, what=lambda: self.said)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class World:
    """`sluice up` with a channel of each kind, sandboxes beside it, and the examples."""

    stack: Stack
    examples: dict[str, Example]
    sandboxes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    async def as_marketplace(self, channel: str, method: str, path: str, body: Any = None) -> Answer:
        headers = {"authUsername": channel, "authPassword": "secret"}
        return await self.stack.as_marketplace(method, path, body, headers=headers)

    async def as_increff(self, channel: str, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        url = f"{self.stack.url}/channels/{channel}{path}"
        return await self.stack.call(method, url, body=body, headers={"X-Api-Key": f"{channel}-key"}, **more)

    async def order(self, channel: str, code: str) -> dict[str, Any]:
        url = f"{self.stack.admin_url}/api/orders/{code}"
        answer = await self.stack.call("GET", url, params={"channel": channel})
        return answer.body if answer.status == 200 else {"state": None}

    async def reaches(self, channel: str, code: str, state: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        async def there() -> bool:
            found.update(await self.order(channel, code))
            return bool(found["state"] == state)

        await eventually(there, what=lambda: f"{code} of {channel} is {state}, but it is {found}")
        return found

    async def delivered(self, channel: str, code: str, touchpoint: str) -> None:
        """Until the order knows that its far side took it."""
        found: dict[str, Any] = {}

        async def known() -> bool:
            found.update(await self.order(channel, code))
            outcomes = [d["status"] for d in found["deliveries"] if d["touchpoint"] == touchpoint]
            return bool(outcomes) and set(outcomes) == {"delivered"}

        await eventually(known, what=lambda: f"{touchpoint} of {code} is delivered, but: {found.get('deliveries')}")

    async def placed(self, channel: str, code: str) -> None:
        created = await self.as_marketplace(channel, "POST", "/orders/outward", create_order(code))
        assert created.status == 200, created
        await self.reaches(channel, code, "SUBMITTED")
        acknowledgement = {"orders": [{"orderCode": code, "locationCode": "DXB-WH-01"}]}
        taken = await self.as_increff(channel, "PUT", "/orders/acknowledgement", acknowledgement)
        assert (taken.status, taken.body) == (200, {"successOrders": acknowledgement["orders"]})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("far-sides")
    stack = Stack(directory / "data")
    (marketplace,) = free_ports(1)
    text = CHANNELS + "".join(CHANNEL.format(name=name) + far_side + "\n" for name, far_side in FAR_SIDES.items())
    text = text.replace("{{", "{").replace("}}", "}")
    text = text.replace("{increff}", str(stack.increff_port)).replace("{marketplace}", str(marketplace))
    (directory / "channels.toml").write_text(text)
    kafka = f"127.0.0.1:{stack.kafka_port}"
    world = World(stack, {name: Example(name, kafka, directory) for name in ON_KAFKA})
    stack.marketplace_port = marketplace
    try:
        for side, port in (("increff", stack.increff_port), ("marketplace", marketplace)):
            command = [sys.executable, "-m", "sluice", "sandbox", side, "--port", str(port), "--url", stack.url]
            world.sandboxes.append(subprocess.Popen(command, cwd=ROOT))
        stack.start("--channels", str(directory / "channels.toml"))
        for example in world.examples.values():
            example.start()
        yield world
    finally:
        for example in world.examples.values():
            example.kill()
        for sandbox in world.sandboxes:
            sandbox.kill()
            sandbox.wait()
        stack.close()


@pytest.mark.parametrize("channel", FAR_SIDES)
async def test_an_order_travels_to_handover(world: World, code: Code, shipment_id: ShipmentId, channel: str) -> None:
    order, shipment = code(), shipment_id()
    await world.placed(channel, order)
    packing = pack(order, shipment)
    packed = await world.as_increff(channel, "POST", "/orders/pack", packing)
    assert packed.status == 200, packed
    shipment_code = packed.body["shipmentCode"]
    assert (await world.as_increff(channel, "POST", "/orders/pack", packing)).body["shipmentCode"] == shipment_code

    named = {"orderCode": order, "shipmentCode": shipment_code}
    awb = "AWB-1"
    label = await world.as_increff(channel, "GET", "/shipping-label", params={**named, "shipmentId": str(shipment)})
    invoice = await world.as_increff(channel, "GET", "/invoice", params=named)
    if channel in WITHOUT_DOCUMENTS:
        for refused, what in ((label, "shipping labels"), (invoice, "invoices")):
            assert (refused.status, refused.body["hasError"]) == (404, True)
            assert f"channel {channel} gives out no {what}" in refused.body["errorMessage"]
    else:
        assert (label.status, invoice.status) == (200, 200), (label, invoice)
        assert invoice.body["invoiceCode"]
        awb = label.body["awbNumber"]

    shipped = {**named, "awbNumber": awb}
    manifest = {"transporter": "GULF", "locationCode": "DXB-WH-01", "manifestId": shipment, "manifestItems": [shipped]}
    manifested = await world.as_increff(channel, "POST", "/manifest", manifest)
    assert manifested.status == 200, manifested
    assert manifested.body["manifestCode"]
    handed = {"locationCode": "DXB-WH-01", "handoverItems": [named]}
    handover = await world.as_increff(channel, "POST", "/handover", handed)
    assert (handover.status, handover.body["hasError"]) == (200, False)

    document = await world.reaches(channel, order, "HANDED_OVER")
    assert [line["packed"] for line in document["lines"]] == [2, 1]
    assert [fact["sequence"] for fact in document["facts"]] == list(range(1, len(document["facts"]) + 1))
    for touchpoint in ("acknowledgement", "pack-order", "handover-notification"):
        await world.delivered(channel, order, touchpoint)
    if channel == "web":
        lane = [r["touchpoint"] for r in await world.stack.seen("marketplace", order=order)]
        assert lane == list(dict.fromkeys(lane))
        assert {"acknowledgement", "pack-order", "handover-notification"} <= set(lane)
    if channel == "stream":
        wanted = ["acknowledgement", "pack-order", "handover-notification"]

        def told() -> list[str]:
            lines = [line.split("  ")[0] for line in world.examples[channel].said.splitlines() if order in line]
            return [name for name in lines if name in wanted]

        # It answers first, commits, and then says so.
        await eventually(lambda: told() == wanted, what=lambda: str(told()))


@pytest.mark.parametrize("channel", FAR_SIDES)
async def test_both_sides_cancel(world: World, code: Code, channel: str) -> None:
    order = code()
    await world.placed(channel, order)
    cancelled = await world.as_marketplace(channel, "PUT", f"/orders/{order}/cancel", cancellation(order, 1))
    assert cancelled.status == 200, cancelled
    line = {"channelSkuCode": "JEANS", "orderItemCode": f"{order}-2", "cancelledQuantity": 1, "sellerCancelledQty": 1}
    by_seller = {"orderCode": order, "locationCode": "DXB-WH-01", "orderItems": [line]}
    assert (await world.as_increff(channel, "PUT", "/orders/cancel", by_seller)).status == 200
    await world.delivered(channel, order, "seller-cancellation")
    lines = (await world.order(channel, order))["lines"]
    assert [(line["open"], line["cancelled"]) for line in lines] == [(1, 1), (0, 1)]


async def test_a_channel_that_was_away_answers_the_same_and_nothing_is_lost(
    world: World, code: Code, shipment_id: ShipmentId
) -> None:
    """Its process is killed with a pack on its way, and then delivery's: the caller repeats, and gets one code."""
    order, shipment, example = code(), shipment_id(), world.examples["stream"]
    await world.placed("stream", order)
    await world.delivered("stream", order, "acknowledgement")
    example.kill()
    packing = pack(order, shipment)
    waiting = asyncio.create_task(eventually_packed(world, packing))
    await asyncio.to_thread(example.start)
    first = await waiting
    dead = world.stack.kill("delivery")
    assert (await eventually_packed(world, packing)) == first
    await world.stack.restarted("delivery", dead)
    example.kill()
    example.start()
    named = {"orderCode": order, "shipmentCode": first}
    label = await world.as_increff("stream", "GET", "/shipping-label", params={**named, "shipmentId": str(shipment)})
    assert label.status == 200, label


async def eventually_packed(world: World, packing: dict[str, Any]) -> str:
    """As Increff's warehouse: asks again until there is a code."""
    found: list[str] = []

    async def packed() -> bool:
        answer = await world.as_increff("stream", "POST", "/orders/pack", packing)
        if answer.status == 200:
            found.append(answer.body["shipmentCode"])
        return bool(found)

    await eventually(packed, 90)
    return found[0]


def test_the_topics_of_the_channels_are_as_they_should_be(world: World) -> None:
    stack = world.stack
    channels = stack.data_dir.parent / "channels.toml"
    command = [*(sys.executable, "-m", "sluice", "topics", "check"), "--kafka", f"127.0.0.1:{stack.kafka_port}"]
    command += ["--channels", str(channels)]
    environment = {**os.environ, **stack.environment}
    checked = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_example_needs_no_more_than_it_says() -> None:
    """A channel's author has Kafka's client and a JSON library, and none of Sluice.

    Five of the lines pass over what is no request, which every reader of a topic needs.
    """
    text = EXAMPLE.read_text()
    assert "sluice import" not in text
    assert "topics" not in text
    code = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", '"""'))]
    assert len(code) <= 70
