"""Deliveries of the benchmarks: facts for subscribers, as the orders role requests them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

from bench.processes import places
from streams.delivery.ports import Call
from streams.delivery.senders.webhook import request_body
from topics.configuration.settings import Settings
from topics.records.deliveries import DeliveryRequest, body_of
from topics.records.envelope import DELIVERY_REQUEST, ORDERS_SOURCE, Envelope, Headers
from topics.records.keys import destination_partition, lane_key, order_key, shard_of, subscription_destination
from topics.subscriptions.model import FACT, KINDS, SigningSecret, Subscription, delivered_body, delivery_id

CHANNEL = "demo"
VARIABLE = "BENCH_SECRET"
SECRET = "whsec_YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmU="  # noqa: S105 - of no one but the benchmark
ENVIRONMENT = {
    VARIABLE: SECRET,
    "SLUICE_SUBSCRIBER_NETWORKS": "127.0.0.0/8",
    "SLUICE_SUBSCRIBER_PORTS": "1-65535",
    "SLUICE_SUBSCRIBER_HTTP": "true",
}
"""Environment of a delivery process whose subscribers are on this machine."""
_LINGER_MS = 5
"""Lets the producer write in batches, as the orders role does; a batch for each request would load Kafka most."""


@dataclass(frozen=True, slots=True)
class DeliveryWork:
    """Facts of `orders` orders, in turn, for each of the `subscriptions` in turn."""

    subscriptions: Sequence[str]
    orders: int
    shards: int = 1

    def request(self, number: int, now_ms: int) -> DeliveryRequest:
        """Return the `number`-th request: the same each time, except for its times."""
        number, turn = divmod(number, len(self.subscriptions))
        subscription = self.subscriptions[turn]
        sequence, order = number // self.orders + 1, f"BENCH-ORDER-{number % self.orders}"
        destination, entity = subscription_destination(subscription), order_key(CHANNEL, order)
        return DeliveryRequest(
            id=delivery_id(subscription, entity, f"{order}-{sequence}"),
            destination=destination,
            shard=shard_of(entity, self.shards),
            channel=CHANNEL,
            touchpoint=FACT.name,
            lane=lane_key(destination, entity).decode(),
            entity=entity.decode(),
            subject=order,
            body=body_of(delivered_body("shipment-packed", _fact(order, sequence, now_ms))),
            sequence=sequence,
            created_ms=now_ms,
        )

    def record(self, number: int, now_ms: int, partitions: int) -> tuple[int, bytes, bytes, Headers]:
        """Return partition, key, value and headers on deliveries.requests."""
        request = self.request(number, now_ms)
        envelope = Envelope(
            id=request.id,
            type=DELIVERY_REQUEST,
            source=ORDERS_SOURCE,
            channel=CHANNEL,
            subject=request.subject,
            time_ms=now_ms,
        )
        partition = destination_partition(request.destination, request.shard, partitions)
        return partition, request.lane.encode(), request.encode(), envelope.headers()

    def bodies(self, count: int, now_ms: int) -> Iterator[bytes]:
        """Yield bodies as they are posted."""
        for number in range(count):
            one = self.request(number, now_ms)
            yield request_body(
                Call(
                    touchpoint=KINDS[one.touchpoint],
                    destination=one.destination,
                    channel=one.channel,
                    body=bytes(one.body),
                    entity=one.entity,
                    sequence=one.sequence,
                )
            )


def _fact(order: str, sequence: int, now_ms: int) -> dict[str, Any]:
    items = [{"orderItemCode": f"{order}-{line}", "channelSkuCode": f"SKU-{line}", "quantity": 1} for line in (1, 2)]
    return {
        "sequence": sequence,
        "channel": CHANNEL,
        "atMs": now_ms,
        "sinceCreatedMs": 86_400_000,
        "orderCode": order,
        "state": "PACKED",
        "locationCode": "DXB-WH-01",
        "shipmentId": 4_810_001,
        "shipmentCode": "MKT-SHP-77001",
        "shipmentLocationCode": "DXB-WH-01",
        "items": items,
    }


def subscription(name: str, url: str, **pace: Any) -> Subscription:
    """Return a verified subscription with the benchmark's secret. `pace` overrides its defaults."""
    now_ms = time.time_ns() // 1_000_000
    secret = SigningSecret(reference=f"env:{VARIABLE}", created_ms=now_ms)
    return Subscription(id=name, url=url, secrets=(secret,), created_ms=now_ms, verified_ms=now_ms, **pace)


def name_of(number: int) -> str:
    return f"sub_{number:016d}"


def producer(settings: Settings) -> Any:
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", linger_ms=_LINGER_MS, max_batch_size=256 << 10
    )


async def subscribe(settings: Settings, subscriptions: Sequence[Subscription]) -> None:
    (topic, *_) = places(settings, "subscriptions")
    sending = producer(settings)
    await sending.start()
    try:
        for one in subscriptions:
            await sending.send(topic.topic, key=one.id.encode(), value=one.encode())
        await sending.flush()
    finally:
        await sending.stop()


async def fill(settings: Settings, work: DeliveryWork, count: int) -> None:
    """Produce the first `count` requests at once."""
    (topic, *_) = places(settings, "deliveries.requests")
    sending = producer(settings)
    await sending.start()
    try:
        now_ms = time.time_ns() // 1_000_000
        for number in range(count):
            partition, key, value, headers = work.record(number, now_ms, settings.partitions)
            await sending.send(topic.topic, value, key=key, partition=partition, headers=list(headers))
        await sending.flush()
    finally:
        await sending.stop()
