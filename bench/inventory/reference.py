"""The bare job of the inventory worker, as a process: no rules, no table, no claims, no headers.

Reads stock batches of all partitions, compares each quantity with the last, and writes those that differ, packed, to
the same partition of another topic. One group is being written while the next is read. Arguments: bootstrap, source,
target, partitions.
"""

from __future__ import annotations

import asyncio
import gc
import struct
import sys
import time
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.runtime.limits import GC_THRESHOLDS
from topics.kafka.catalogue import RECORD_BYTES_MAX

RECORDS_MAX = 500


class Item(msgspec.Struct):
    channelSkuCode: str  # noqa: N815 - the contract's spelling
    quantity: int


class Batch(msgspec.Struct):
    locationCode: str  # noqa: N815
    inventories: list[Item]


_decode = msgspec.json.Decoder(Batch).decode
_pack = struct.Struct("<iq").pack


async def run(bootstrap: str, source: str, target: str, partitions: int) -> None:
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=RECORD_BYTES_MAX
    )
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=RECORD_BYTES_MAX - 1024
    )
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(source, partition) for partition in range(partitions)])
    known: dict[bytes, dict[str, int]] = {}
    on_its_way: list[Any] = []
    while True:
        polled = await consumer.getmany(timeout_ms=250, max_records=RECORDS_MAX)
        futures = []
        for tp, records in polled.items():
            builder = producer.create_batch()
            _decide(records, known, builder)
            if builder.record_count():
                builder.close()
                futures.append(await producer.send_batch(builder, target, partition=tp.partition))
        await asyncio.gather(*on_its_way)
        on_its_way = futures


def _decide(records: list[Any], known: dict[bytes, dict[str, int]], builder: Any) -> None:
    now_ms = int(time.time() * 1000)
    for record in records:
        stock = known.setdefault(record.key, {})
        prefix = record.key + b"|"
        for item in _decode(record.value).inventories:
            sku, quantity = item.channelSkuCode, item.quantity
            if stock.get(sku) != quantity:
                stock[sku] = quantity
                value = _pack(quantity, now_ms)
                builder.append(timestamp=None, key=prefix + sku.encode(), value=value, headers=[])


if __name__ == "__main__":
    gc.set_threshold(*GC_THRESHOLDS)
    uvloop.run(run(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
