"""The state of consumer groups: members, what they were assigned, and how far they are behind."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaError

from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from topics.configuration.settings import Settings, load_settings
from topics.kafka import clients
from topics.kafka.admin import create
from topics.kafka.catalogue import BY_NAME
from topics.kafka.groups import GroupState, group_states

PARTITIONS = 2
TOPICS_OF = {"orders": ("orders.commands",), "inventory": ("inventory.updates",)}


@pytest.fixture
def settings(kafka: Kafka, prefix: str) -> Settings:
    return load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS)


async def states(settings: Settings) -> dict[str, GroupState]:
    return {state.role: state for state in await group_states(settings, TOPICS_OF, 20.0)}


async def test_a_group_has_members_partitions_and_a_lag(settings: Settings) -> None:
    await create(settings)
    topic = BY_NAME["orders.commands"].full_name(settings.topic_prefix)
    producer = clients.producer(settings, "test")
    await producer.start()
    for partition in (0, 0, 0, 1):
        await producer.send_and_wait(topic, b"{}", partition=partition)
    await producer.stop()

    found = await states(settings)
    assert found["orders"].members == []
    assert [one.records for one in found["orders"].behind] == [3, 1]
    assert [one.next_offset for one in found["orders"].behind] == [None, None]
    assert all(one.since_ms is not None for one in found["orders"].behind)
    assert all(one.since_ms is None for one in found["inventory"].behind)

    worker = clients.consumer(settings, "orders-a", group_id=f"{settings.topic_prefix}.orders")
    worker.subscribe(topics=[topic])
    await worker.start()
    try:
        await eventually(worker.assignment, what="the worker has its partitions")
        read = 0
        while read < 4:
            read += sum(map(len, (await worker.getmany(timeout_ms=200)).values()))
        await worker.commit()
        found = await states(settings)
        (member,) = found["orders"].members
        assert (member.name, dict(member.partitions)) == ("orders-a", {"orders.commands": [0, 1]})
        assert member.host
        assert found["orders"].state == "Stable"
        assert [(one.next_offset, one.end, one.records) for one in found["orders"].behind] == [(3, 3, 0), (1, 1, 0)]
        assert found["inventory"].members == []
        own = {"orders": {("orders.commands", 0): 2, ("orders.commands", 1): 1}}
        (state, _) = await group_states(settings, TOPICS_OF, 20.0, positions=own)
        assert [one.records for one in state.behind] == [1, 0]
        assert [one.since_ms is None for one in state.behind] == [False, True]
    finally:
        await worker.stop()


async def test_a_kafka_that_does_not_answer_is_an_error_in_time(prefix: str) -> None:
    settings = load_settings(kafka="127.0.0.1:1", topic_prefix=prefix)
    with pytest.raises((KafkaError, OSError, TimeoutError)):
        await group_states(settings, TOPICS_OF, 2.0)
