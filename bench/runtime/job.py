"""The job of `sluice bench runtime` for each system: 405-byte JSON orders over 20,000 keys and 8 partitions.

Every event writes the order's state and one output record. The check of a run: each input has exactly one
output, and the highest count of each key is the number of its inputs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.runtime.role import Effect, Record, Role, Tables
from topics.records.keys import partition_of

PARTITIONS = 8
KEYS = 20_000
SEED = 7
PREFIX = "bench"
SOURCE = "orders"
_READ_MS = 2_000


def full_name(topic: str) -> str:
    return f"{PREFIX}.{topic}.v1"


class OrderCount(Role):
    """The job as a role."""

    def __init__(self, run: str) -> None:
        self.name = run  # type: ignore[misc]  # another for each job
        self.source = SOURCE  # type: ignore[misc]  # another for each job
        self._state = f"{run}.state"
        self._out = f"{run}.out"
        self.tables = (self._state,)  # type: ignore[misc]  # another for each job

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        order = orjson.loads(record.value)
        table = tables[self._state]
        old = table.get(record.key)
        n = orjson.loads(old)["n"] + 1 if old else 1
        table.put(record.key, orjson.dumps({"n": n, "last": order["id"], "body": order}))
        verdict = orjson.dumps({"id": order["id"], "v": "APPLIED", "n": n})
        return [Effect(self._out, record.key, verdict, (), record.partition)]


def order(number: int, code: str) -> bytes:
    return orjson.dumps(
        {
            "id": number,
            "orderCode": code,
            "locationCode": "WH1",
            "orderTime": "2026-01-01T00:00:00.000+05:30",
            "orderType": "SO",
            "onHold": False,
            "qcStatus": "PASS",
            "paymentMethod": "NCOD",
            "orderItems": [
                {"channelSkuCode": "SKU-1", "quantity": 2, "sellingPricePerUnit": 100.0},
                {"channelSkuCode": "SKU-2", "quantity": 1, "sellingPricePerUnit": 50.0},
            ],
            "shippingAddress": {"name": "A", "line1": "x", "city": "y", "zip": "560001", "country": "IN"},
        }
    )


async def make_topics(bootstrap: str, names: Iterable[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
    finally:
        await admin.close()


async def fill(bootstrap: str, events: int) -> None:
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", linger_ms=5, max_batch_size=256 << 10, enable_idempotence=True
    )
    await producer.start()
    try:
        chosen = random.Random(SEED)
        for number in range(events):
            code = f"O{chosen.randrange(KEYS)}"
            key = code.encode()
            partition = partition_of(key, PARTITIONS)
            await producer.send(full_name(SOURCE), order(number, code), key=key, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


async def check(bootstrap: str, out: str, events: int) -> str:
    """Return what is wrong with the output of a run; empty when nothing is."""
    wanted: Counter[bytes] = Counter()
    chosen = random.Random(SEED)
    for _ in range(events):
        wanted[b"O%d" % chosen.randrange(KEYS)] += 1
    seen: set[int] = set()
    highest: dict[bytes, int] = {}
    repeats = 0
    async for record in _read(bootstrap, out):
        verdict = orjson.loads(record.value)
        repeats += verdict["id"] in seen
        seen.add(verdict["id"])
        highest[record.key] = max(highest.get(record.key, 0), verdict["n"])
    if len(seen) != events or repeats:
        return f"{events - len(seen)} inputs without output, {repeats} outputs twice"
    wrong = sum(highest.get(key) != count for key, count in wanted.items())
    return f"{wrong} keys with a wrong count" if wrong else ""


async def _read(bootstrap: str, topic: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        remaining = sum((await consumer.end_offsets(partitions)).values())
        consumer.assign(partitions)
        while remaining:
            for records in (await consumer.getmany(timeout_ms=_READ_MS)).values():
                remaining -= len(records)
                for record in records:
                    yield record
    finally:
        await consumer.stop()
