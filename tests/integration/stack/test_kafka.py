"""The embedded broker keeps what it acknowledged: over kill -9 and start, with the same ports and data."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sluice.dev.local.broker import Broker


async def test_a_killed_broker_comes_back_with_its_records(own_kafka: Broker, prefix: str) -> None:
    await _create(own_kafka.bootstrap, prefix)
    await _produce(own_kafka.bootstrap, prefix, b"kept")

    own_kafka.kill()
    assert not own_kafka.serves()
    own_kafka.start()
    own_kafka.wait_ready()

    assert await _read_one(own_kafka.bootstrap, prefix) == b"kept"


async def _create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value)


async def _read_one(bootstrap: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        record = await consumer.getone()
    finally:
        await consumer.stop()
    value: bytes | None = record.value
    return value
