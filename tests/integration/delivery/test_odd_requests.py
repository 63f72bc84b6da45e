"""Whatever lies on deliveries.requests, the delivery role lives, says what was wrong, and its neighbours are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.fakes.delivery import request_for
from tests.integration.delivery.test_delivery import PARTITIONS, staged
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from topics.kafka.catalogue import BY_NAME
from topics.records.keys import INCREFF, destination_partition

ODD: dict[str, dict[str, Any]] = {
    "body": {"body": "text"},
    "reply": {"reply": -1},
    "reply ": {"reply": 10**9},
    "reply  ": {"reply": "0"},
    "shard": {"shard": "0"},
    "deadline_ms": {"deadline_ms": {}},
    "lane": {"lane": 7},
    "touchpoint": {"touchpoint": ["pack-order"]},
    "pack-order": {"touchpoint": "pack-order"},
    "id": {"id": "x" * 100_000},
}
"""Changed members of a good request, by what the reason has to name."""


async def test_odd_requests_are_set_aside_and_named_and_the_partition_goes_on(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    good = orjson.loads(request_for("create-outward-order", "A", "a").encode())
    headers = [("ce_id", b"1"), ("ce_type", b"sluice.delivery.request"), ("sluice-channel", b"demo")]
    partition = destination_partition(INCREFF, 0, PARTITIONS)
    async with staged(kafka, prefix, tmp_path) as stage:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        rejected = AIOKafkaConsumer(
            BY_NAME["commands.rejected"].full_name(prefix),
            bootstrap_servers=kafka.bootstrap,
            auto_offset_reset="earliest",
        )
        await producer.start()
        await rejected.start()
        topic = BY_NAME["deliveries.requests"].full_name(prefix)
        for number, change in enumerate(ODD.values()):
            lane = f"{INCREFF}|demo%7C{number}"
            for one in ({**good, "lane": lane, **change}, {**good, "id": f"good {number}", "lane": lane}):
                value = orjson.dumps(one)
                await producer.send_and_wait(topic, value, key=lane.encode(), partition=partition, headers=headers)
        await stage.role.begin()
        await eventually(lambda: len(stage.far.ids()) >= len(ODD))
        found = [dict((await rejected.getone()).headers) for _ in ODD]
        found.sort(key=lambda headers: int(headers["sluice-rejected-offset"]))
        for about, wanted in zip(found, ODD, strict=True):
            assert wanted.strip() in about["sluice-rejected-reason"].decode()
        assert sorted(stage.far.ids()) == sorted(f"good {number}" for number in range(len(ODD)))
        await eventually(lambda: len([name for name in stage.final() if name.startswith("good")]) == len(ODD))
        await producer.stop()
        await rejected.stop()
