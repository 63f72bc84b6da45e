"""A gateway that takes snapshots, and behind it the real inventory role, without a broker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.ports import Outgoing, Overloaded, Position
from streams.inventory.role import InventoryRole
from tests.fakes.gateway import FakeKafka, Gateway, channels_with
from tests.fakes.gateway import gateway as a_gateway
from tests.fakes.inventory_log import Worker
from topics.configuration.settings import load_settings
from topics.records.envelope import COMMAND
from topics.records.keys import split
from topics.stock.positions import is_position

PATH = "/api/inventory/snapshots/demo/L1"


class Kafka(FakeKafka):
    """Behind it the inventory role, which decides what comes and whose positions the gateway reads."""

    def __init__(self) -> None:
        super().__init__()
        self.worker: Worker | None = None
        self.read: Callable[[bytes, bytes | None], None] = lambda _key, _value: None
        self.at_once: list[int] = []
        self.full = 0
        self.unheard = 0
        """Of so many calls, what was stored is not acknowledged in time, but for the first record."""

    async def produce_all(self, records: Any) -> list[Position | None]:
        if self.full:
            self.full -= 1
            raise Overloaded("full")
        self.at_once.append(len(records))
        found = await super().produce_all(records)
        await asyncio.sleep(0)
        if self.unheard:
            self.unheard -= 1
            return [found[0], *(None for _ in found[1:])]
        return found

    async def produce(self, record: Outgoing) -> Position:
        position = await super().produce(record)
        if record.topic == "inventory.updates":
            worker = self.worker
            if worker is None or worker.partition != record.partition:
                settings, channels = load_settings(), channels_with()
                worker = self.worker = Worker(
                    random.Random(0), record.partition or 0, lambda: InventoryRole(settings, channels)
                )
            worker.write(record.key, record.value, record.headers)
            known = len(worker.changelog)
            worker.run(crash=False)
            for row in worker.changelog[known:]:
                self.read(row.key, row.value)
        return position

    def kinds(self) -> list[str]:
        return [envelope.type.removeprefix(f"{COMMAND}stock-snapshot-") for envelope in self.envelopes()]

    def stock(self) -> dict[str, Any]:
        assert self.worker is not None
        found = {split(key)[2]: orjson.loads(value) for key, value in self.worker.table.items() if is_position(key)}
        return {sku: item.get("quantity", item.get("consolidatedQuantity")) for sku, item in found.items()}


@dataclass
class Stage:
    gateway: Gateway
    kafka: Kafka

    async def put(self, body: Any, headers: dict[str, str], query: str = "", path: str = PATH) -> tuple[int, Any]:
        answer = await self.gateway.client.put(path + query, data=body, headers=headers)
        return answer.status, await answer.json()


@asynccontextmanager
async def stage(**settings: Any) -> AsyncIterator[Stage]:
    kafka = Kafka()
    async with a_gateway(kafka=kafka, **settings) as here:
        kafka.read = here.stock.apply
        yield Stage(here, kafka)


def lines(quantities: dict[str, Any]) -> bytes:
    return b"\n".join(
        orjson.dumps({"channelSkuCode": sku, "quantity": quantity}) for sku, quantity in quantities.items()
    )
