"""A delivery role as a process, with a channel for each far side, the played marketplaces, and what the role said."""

from __future__ import annotations

import asyncio
import itertools
import signal
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.support.eventually import eventually
from tests.support.marketplaces.played import Arrival, Marketplace, Rule, played
from tests.support.roles import RoleProcess
from topics.configuration.channels import FarSide
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings
from topics.kafka import admin
from topics.kafka.catalogue import BY_NAME as TOPICS
from topics.records import envelope
from topics.records.deliveries import DeliveryRequest, Outcome, decode_outcome
from topics.records.envelope import Envelope
from topics.records.keys import channel_destination, destination_partition, position_key
from topics.stock.positions import encode_position

PARTITIONS = 2
ALL = list(FarSide)
CHANNEL = """
[channels.{name}]
credentials = {{ username = "{name}", password = "secret" }}
increff_credentials = {{ username = "sluice", password = "secret" }}
increff_headers = {{ X-Api-Key = "{name}" }}
far_side = "{name}"
[channels.{name}.marketplace]
{where}
timeout_s = 2
retry_first_s = 0.05
retry_max_s = 0.5
"""


class World:
    """The role as a process, the played marketplaces, and what the role made known."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.markets: dict[FarSide, Marketplace] = {}
        self.outcomes: list[Outcome] = []
        self.attempts: list[dict[str, Any]] = []
        self.sent: set[bytes] = set()
        self.producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
        self._directory = directory
        self._numbers = itertools.count(1)
        self.role = RoleProcess("delivery", settings, directory)
        names = ("orders.commands", "deliveries.attempts", "inventory.sent")
        self._topics = {TOPICS[name].full_name(settings.topic_prefix): name for name in names}
        self._consumer = AIOKafkaConsumer(*self._topics, bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        text = '[increff]\nurl = "http://127.0.0.1:9"\n'
        for far_side in ALL:
            market = played(far_side, self.settings)
            where = ""
            if market is not None:
                self.markets[far_side] = market
            if market is not None and far_side is FarSide.HTTP:
                where = await market.start()
            text += CHANNEL.format(name=far_side.value, where=where)
        path = self._directory / "channels.toml"
        path.write_text(text)
        await admin.create(self.settings, load_channels(path))
        await self.markets[FarSide.KAFKA].start()
        await self.producer.start()
        await self._consumer.start()
        self._reading = asyncio.create_task(self._read())
        await self.role.begin()

    async def stop(self) -> None:
        await self.role.end(signal.SIGKILL)
        if self._reading is not None:
            self._reading.cancel()
        for market in self.markets.values():
            await market.stop()
        await self._consumer.stop()
        await self.producer.stop()

    def name(self, what: str) -> str:
        """Names nobody else uses: an order's code, a delivery's id."""
        return f"{what}-{next(self._numbers)}"

    def rule(self, far_side: FarSide, rule: Rule) -> None:
        self.markets[far_side].rule = rule

    def arrivals(self, far_side: FarSide, delivery_id: str) -> list[Arrival]:
        return [arrival for arrival in self.markets[far_side].arrivals if arrival.delivery_id == delivery_id]

    async def give(self, *requests: DeliveryRequest) -> None:
        topic = TOPICS["deliveries.requests"].full_name(self.settings.topic_prefix)
        for request in requests:
            headers = Envelope(
                id=request.id, type=envelope.DELIVERY_REQUEST, source="test", channel=request.channel
            ).headers()
            partition = destination_partition(request.destination, request.shard, PARTITIONS)
            await self.producer.send(
                topic, request.encode(), key=request.lane.encode(), partition=partition, headers=list(headers)
            )
        await self.producer.flush()

    def final(self, delivery_id: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.request == delivery_id and outcome.kind.final]

    async def offer(self, far_side: FarSide, location: str, *items: dict[str, Any]) -> list[bytes]:
        """Positions that the marketplace is to be told; returns their keys."""
        partition = destination_partition(channel_destination(far_side.value), 0, PARTITIONS)
        topic = TOPICS["inventory.positions"].full_name(self.settings.topic_prefix)
        keys = [position_key(far_side.value, location, item["channelSkuCode"]) for item in items]
        for key, item in zip(keys, items, strict=True):
            await self.producer.send(topic, encode_position(item), key=key, partition=partition)
        await self.producer.flush()
        return keys

    async def ends(self, request: DeliveryRequest) -> Outcome:
        await eventually(lambda: self.final(request.id), what=lambda: f"{request.id} ends\n{self.role.log()}")
        return self.final(request.id)[0]

    async def _read(self) -> None:
        async for record in self._consumer:
            name = self._topics[record.topic]
            if name == "inventory.sent":
                self.sent.add(record.key)
            elif name == "deliveries.attempts":
                self.attempts.append(orjson.loads(record.value))
            elif envelope.parse(record.headers).type == envelope.DELIVERY_OUTCOME:
                self.outcomes.append(decode_outcome(record.value))
