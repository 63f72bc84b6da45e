"""A reconciliation through the whole sender of stock: asked for, read back, repaired by an ordinary call."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.delivery.ports import READ_BACK, Answer, AttemptResult, Call, ResponseClass
from streams.delivery.senders.router import SenderRouter
from streams.delivery.stock.operations.read_back import quantities_in, read_back_call
from streams.delivery.stock.operations.stock_operations import StockOperations
from tests.fakes.delivery import PARTITIONS, Durable, ManualClock, channels_for
from tests.fakes.stock_sending import StockWorker, stock_channels
from topics.configuration.channels import Channels, FarSide
from topics.configuration.settings import Settings
from topics.configuration.stock import ReadBack
from topics.stock.controls import Ask, Control, ControlIndex, Scope
from topics.stock.status import StatusIndex
from topics.subscriptions.index import SubscriptionIndex

READ = {"read_back": {"path": "/stock", "batch": 2}}


class Channel:
    """What the marketplace has, and how it was asked."""

    def __init__(self) -> None:
        self.has: dict[tuple[str, str], int | str] = {}
        self.ignores = False
        self.asked: list[list[str]] = []
        self.told: list[dict[str, int]] = []

    def __call__(self, call: Call, _before: int) -> Answer:
        members = call.members or {}
        place = members["locationCode"]
        if call.touchpoint.name != READ_BACK:
            told = {item["channelSkuCode"]: item["quantity"] for item in members["inventories"]}
            self.told.append(told)
            if not self.ignores:
                self.has |= {(place, sku): quantity for sku, quantity in told.items()}
            return Answer(status=200, body=b"{}")
        assert call.touchpoint.far_path == "/stock"
        skus = members["channelSkuCodes"]
        self.asked.append(skus)
        found = [
            {"channelSkuCode": sku, "qcPassAvailableQuantity": self.has[place, sku]}
            for sku in skus
            if (place, sku) in self.has
        ]
        return Answer(status=200, body=orjson.dumps({"inventories": found}))


class Stage:
    def __init__(self, channels: Channels, channel: Channel | None = None) -> None:
        self.channel = channel or Channel()
        self.channels = channels
        self.controls = ControlIndex()
        self.operations = StockOperations(channels, self.controls)
        self.worker = StockWorker(channels, listener=self.operations)

    async def start(self) -> Stage:
        self.worker.sender.far = self.channel
        await self.operations.start(self.worker.played.durable, self.worker.clock)
        for partition in range(PARTITIONS):
            self.operations.on_assigned(partition, self.worker.played.durable.of(partition)["inventory.sent"])
        await self.worker.start()
        return self

    async def again(self) -> Stage:
        """The worker was killed; another one goes on from what is durable."""
        await self.worker.played.kill()
        stage = Stage(self.channels, self.channel)
        stage.controls = self.controls
        stage.operations = StockOperations(self.channels, self.controls)
        before, listener = self.worker, stage.operations
        durable = Durable(tables=before.played.durable.tables, effects=before.played.durable.effects)
        stage.worker = StockWorker(self.channels, durable=durable, clock=before.clock, listener=listener)
        stage.worker.positions = before.positions
        return await stage.start()

    def ask(self, name: str) -> None:
        ask = Ask(id=name, at_ms=self.worker.clock.now_ms())
        self.controls.apply(Scope("demo").key, Control(reconcile=ask).encode())

    async def run(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.operations.tick()
            await self.worker.clock.run_for(1_000)

    def facts(self) -> list[tuple[str, Any]]:
        found = {}
        for effect in self.worker.played.durable.effects:
            if effect.topic == "inventory.events":
                headers = dict(effect.headers)
                name = headers["ce_type"].decode().removeprefix("sluice.fact.")
                found[headers["ce_id"]] = (name, orjson.loads(effect.value))
        return list(found.values())

    def names(self) -> list[str]:
        return [name for name, _ in self.facts()]

    def shown(self) -> Any:
        index = StatusIndex()
        for effect in self.worker.played.durable.effects:
            if effect.topic == "inventory.status":
                index.apply(effect.key, effect.value or None)
        return index.locations("demo")["L1"].reconcile


async def test_what_the_channel_lost_is_told_again_and_the_status_says_so() -> None:
    stage = await Stage(stock_channels({**READ, "buffers": [{"units": 1}]})).start()
    stage.worker.change("L1", a=2, b=3, c=4, d=1)
    await stage.run(2)
    del stage.channel.has["L1", "a"]
    stage.channel.has["L1", "c"] = 40
    stage.channel.told.clear()
    stage.ask("first")
    await stage.run(20)
    assert stage.channel.told == [{"a": 1, "c": 3}]
    assert stage.channel.asked == [["a", "b"], ["c", "d"], ["a", "c"]]
    assert sorted(stage.names()) == ["reconcile-done", "stock-drift-found", "stock-drift-found"]
    shown = stage.shown()
    assert (shown.id, shown.missing, shown.stale, shown.repaired, shown.failed) == ("first", 1, 1, 2, False)
    assert shown.ended_ms
    stage.ask("second")
    await stage.run(20)
    assert stage.channel.told == [{"a": 1, "c": 3}]
    assert stage.shown().missing == 0


async def test_a_paused_place_waits_and_a_killed_worker_goes_on() -> None:
    stage = await Stage(stock_channels({"read_back": {"path": "/stock", "batch": 1}})).start()
    for number in range(30):
        stage.worker.change("L1", **{f"s{number:02d}": 1})  # type: ignore[arg-type]
    await stage.run(2)
    stage.channel.has.clear()
    stage.controls.apply(Scope("demo", "L1").key, Control(paused=True).encode())
    stage.ask("first")
    await stage.run(10)
    assert stage.channel.asked == []
    stage.controls.apply(Scope("demo", "L1").key, None)
    while "stock-drift-found" not in stage.names():
        await stage.run(1)
    assert "reconcile-done" not in stage.names()
    stage = await stage.again()
    await stage.run(60)
    assert stage.names().count("stock-drift-found") == 30
    assert stage.names()[-1] == "reconcile-done"
    assert len(stage.channel.has) == 30
    assert stage.shown().compared == 30


async def test_it_comes_daily_where_that_is_configured() -> None:
    stage = await Stage(stock_channels({**READ, "reconcile_daily_at": "03:00"})).start()
    stage.worker.change("L1", a=1)
    await stage.run(3)
    assert stage.channel.asked == []
    await stage.worker.clock.run_for(86_400_000)
    await stage.run(10)
    assert stage.names() == ["reconcile-done"]
    assert stage.shown().id.startswith("daily_")


@pytest.mark.parametrize("location", ["~ALL", "L1"])
async def test_what_cannot_be_read_back_is_not_asked(location: str) -> None:
    """Consolidated stock, and a channel without `read_back`."""
    stage = await Stage(stock_channels(READ if location == "~ALL" else {})).start()
    stage.worker.change(location, a=1)
    stage.ask("first")
    await stage.run(10)
    assert stage.channel.asked == []
    assert "reconcile-done" not in stage.names()


def test_what_a_channel_has_is_asked_over_http_whatever_its_far_side() -> None:
    channels = channels_for()
    object.__setattr__(channels.channels["demo"], "far_side", FarSide.KAFKA)
    far_sides = SenderRouter(
        Settings(),
        channels,
        subscriptions=SubscriptionIndex(),
        clock=ManualClock(),
        crashed=lambda _error: None,
    )
    touchpoint = read_back_call(ReadBack(path="/stock"))
    call = Call(touchpoint=touchpoint, destination="channel:demo", channel="demo", members={})
    assert far_sides.far_side_of(call) is FarSide.HTTP


def test_a_code_of_digits_is_read_back_however_it_is_printed() -> None:
    printed: list[object] = [12, "13", True, None]
    listed = [{"channelSkuCode": code, "qcPassAvailableQuantity": 4} for code in printed]
    result = AttemptResult(kind=ResponseClass.DELIVERED, at_ms=0, took_ms=1.0, body={"inventories": listed})
    assert quantities_in(result) == {"12": 4, "13": 4}


A = {"channelSkuCode": "A", "qcPassAvailableQuantity": 4}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"inventories": []}, {}),
        ({"inventories": [A]}, {"A": 4}),
        ({"Inventories": [A]}, {"A": 4}),
        ({"data": {"inventories": [A]}}, {"A": 4}),
        ({"inventories": [A, None, {"sku": "B"}]}, {"A": 4}),
        ({"inventories": [A, {"channelSkuCode": "B", "qcPassAvailableQuantity": "2 pcs"}]}, {"A": 4, "B": None}),
        ({"inventories": [A, {"channelSkuCode": 12}]}, {"A": 4, "12": None}),
        ({"inventories": [{"channelSkuCode": "B", "qcPassAvailableQuantity": -1}]}, None),
        ({"inventories": [None]}, None),
        ({"inventories": [{"sku": "A", "quantity": 4}]}, None),
        ({"inventories": {"A": 4}}, None),
        ({"inventories": None}, None),
        ({}, None),
        (None, None),
    ],
    ids=str,
)
def test_quantities_that_cannot_be_read_are_not_taken_for_missing_ones(
    body: Any, found: dict[str, int | None] | None
) -> None:
    """A location that seems empty would be sent once more, SKU by SKU."""
    assert quantities_in(AttemptResult(kind=ResponseClass.DELIVERED, at_ms=0, took_ms=1.0, body=body)) == found
    assert quantities_in(AttemptResult(kind=ResponseClass.RETRY, at_ms=0, took_ms=1.0, body=body)) is None


async def test_drift_is_not_over_while_what_the_channel_says_of_it_cannot_be_read() -> None:
    """A SKU that is sold out and that the channel goes on selling: an odd item looks like none at all."""
    stage = await Stage(stock_channels({**READ})).start()
    stage.worker.change("L1", a=0, b=3)
    await stage.run(2)
    stage.channel.has["L1", "a"] = 7
    stage.channel.ignores = True
    for name in ("first", "second"):
        stage.ask(name)
        await stage.run(20)
    assert stage.names().count("stock-drift-persists") == 1
    stage.channel.has["L1", "a"] = "seven"
    stage.ask("third")
    await stage.run(20)
    assert (stage.shown().id, stage.shown().stale) == ("third", 0)
    stage.channel.has["L1", "a"] = 7
    stage.ask("fourth")
    await stage.run(20)
    assert stage.names().count("stock-drift-persists") == 2, "known since the first"
