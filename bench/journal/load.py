"""Records of usual orders on the topics that the journal follows: facts, requests, attempts and the outbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from bench.processes import places
from topics.configuration.settings import Settings
from topics.records.deliveries import Attempt, DeliveryRequest, body_of
from topics.records.envelope import (
    DELIVERY_ATTEMPTED,
    DELIVERY_REQUEST,
    DELIVERY_SOURCE,
    FACT,
    ORDERS_SOURCE,
    Headers,
    event_headers,
)
from topics.records.json_record import encode_record
from topics.records.keys import INCREFF, destination_partition, lane_key, order_key, partition_of
from topics.records.reading import MADE_BY

CHANNEL = "demo"
FACTS = (
    ("order-created", "RECEIVED"),
    ("order-submitted", "SUBMITTED"),
    ("order-acknowledged", "ACKNOWLEDGED"),
    ("shipment-packed", "PACKED"),
    ("invoice-issued", "PACKED"),
    ("label-issued", "LABELLED"),
    ("shipment-manifested", "MANIFESTED"),
    ("order-handed-over", "HANDED_OVER"),
)
REQUESTS = ("create-outward-order", "pack-order", "get-shipping-label", "create-manifest")
"""One to Increff, three to the marketplace; each is delivered at its first attempt."""
PER_ORDER = len(FACTS) + 4 * len(REQUESTS)
"""Records of one order: its facts, and of each request itself, its attempt, and its coming and going in the outbox."""
BATCH_RECORDS = 400
BODY = {
    "orderTime": "2026-11-30T10:00:00Z",
    "shippingAddress": {"name": "A Name", "line1": "1 Some Street", "city": "Dubai", "phone": "+971500000000"},
    "orderItems": [
        {"channelSkuCode": f"SKU-{item}", "orderItemCode": f"I-{item}", "quantity": 1, "sellingPricePerUnit": 10.5}
        for item in range(3)
    ],
}
LINE = {"ordered": 1, "open": 1, "packed": 0, "cancelled": 0}
LINES = [{"orderItemCode": f"I-{item}", "channelSkuCode": f"SKU-{item}", **LINE} for item in range(3)]


class Written(NamedTuple):
    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: Headers


def records_of_order(number: int, partitions: int, now_ms: int) -> Iterator[Written]:
    """The records of one order, in the sequence in which roles write them."""
    code = f"O-{number:09d}"
    key = order_key(CHANNEL, code)
    home = partition_of(key, partitions)
    event = f"{number:032x}"
    for at, (name, state) in enumerate(FACTS):
        headers = event_headers(f"{event}{at}.f{at + 1}", FACT + name, ORDERS_SOURCE, CHANNEL, code, now_ms)
        made = (MADE_BY, b"1/%d" % (number * len(FACTS) + at))
        yield Written("orders.events", home, key, _fact(number, code, at, state, now_ms), (*headers, made))
    for at, touchpoint in enumerate(REQUESTS):
        destination = INCREFF if at == 0 else f"channel:{CHANNEL}"
        lane = lane_key(destination, key)
        to = destination_partition(destination, 0, partitions)
        request = DeliveryRequest(
            id=f"{event}{at}.0",
            destination=destination,
            shard=0,
            channel=CHANNEL,
            touchpoint=touchpoint,
            lane=lane.decode(),
            entity=key.decode(),
            subject=code,
            body=body_of({"orderCode": code, **BODY}),
            sequence=at + 1,
            created_ms=now_ms,
            story=now_ms,
        )
        made = (MADE_BY, b"1/%d" % number)
        asked = event_headers(request.id, DELIVERY_REQUEST, ORDERS_SOURCE, CHANNEL, code, now_ms)
        yield Written("deliveries.requests", to, lane, request.encode(), (*asked, made))
        entry = {"request": request, "position": at, "queued_ms": now_ms, "last": None, "previous": at}
        place = lane + b"||" + request.id.encode()
        yield Written("deliveries.outbox", to, place, encode_record(entry), (made,))
        tried = event_headers(f"{request.id}:1", DELIVERY_ATTEMPTED, DELIVERY_SOURCE, CHANNEL, code, now_ms)
        yield Written("deliveries.attempts", to, lane, _attempt(request, now_ms), (*tried, made))
        yield Written("deliveries.outbox", to, place, None, (made,))


def _fact(number: int, code: str, at: int, state: str, now_ms: int) -> bytes:
    fact: dict[str, Any] = {
        "sequence": at + 1,
        "channel": CHANNEL,
        "atMs": now_ms + at,
        "sinceCreatedMs": at,
        "orderCode": code,
        "state": state,
        "locationCode": "L1",
        "lines": LINES,
        "lineCount": len(LINES),
        "milestones": {},
    }
    if at >= 3:
        fact |= {"shipmentId": number, "shipmentCode": f"S-{number}", "items": []}
    return json.dumps(fact).encode()


def _attempt(request: DeliveryRequest, now_ms: int) -> bytes:
    tried = Attempt(number=1, at_ms=now_ms, took_ms=12.5, status=200)
    named = {name: getattr(request, name) for name in ("touchpoint", "destination", "channel", "subject", "lane")}
    return encode_record(
        {
            **named,
            "request": request.id,
            "story": request.story,
            "class": "delivered",
            "far_side": "http",
            "sequence": request.sequence,
            "previous_sequence": request.sequence - 1,
            "number": 1,
            "at_ms": tried.at_ms,
            "took_ms": tried.took_ms,
            "status": 200,
            "error": "",
        }
    )


async def fill(settings: Settings, orders: int, now_ms: int, begin: int = 0) -> int:
    """Produce the records of so many orders; returns how many there are."""
    names = {
        topic: places(settings, topic)[0].topic
        for topic in ("orders.events", "deliveries.requests", "deliveries.attempts", "deliveries.outbox")
    }
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", max_batch_size=1 << 20)
    await producer.start()
    builders: dict[tuple[str, int], Any] = {}
    try:
        for number in range(begin, begin + orders):
            for record in records_of_order(number, settings.partitions, now_ms + number):
                place = names[record.topic], record.partition
                builder = builders.get(place) or producer.create_batch()
                builders[place] = builder
                headers = list(record.headers)
                builder.append(timestamp=None, key=record.key, value=record.value, headers=headers)
                if builder.record_count() >= BATCH_RECORDS:
                    await producer.send_batch(builders.pop(place), place[0], partition=place[1])
        for (topic, partition), builder in builders.items():
            await producer.send_batch(builder, topic, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()
    return orders * PER_ORDER
