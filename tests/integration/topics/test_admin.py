"""Topics are made once, whoever is first, and topics that would send keys elsewhere are refused in words."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support.kafka import Kafka
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings, load_settings
from topics.kafka import admin
from topics.kafka.catalogue import TOPICS


@pytest.fixture
def settings(kafka: Kafka, prefix: str) -> Settings:
    return load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=2)


async def test_two_that_make_them_at_once_both_succeed(settings: Settings) -> None:
    await asyncio.gather(admin.create(settings), admin.create(settings))
    assert await admin.check(settings) == []


async def test_topics_with_other_partitions_are_refused(settings: Settings) -> None:
    await admin.create(settings)
    more = settings.model_copy(update={"partitions": 3})
    with pytest.raises(ConfigurationError, match="SLUICE_PARTITIONS") as refused:
        await admin.create(more)
    named = [topic.full_name(settings.topic_prefix) for topic in TOPICS if topic.partitions is None]
    assert [name for name in named if f"{name} has 2 partitions, expected 3" not in str(refused.value)] == []
    await admin.create(settings)


async def test_a_topic_made_by_an_older_sluice_is_found_and_how_to_set_it_right_is_said(settings: Settings) -> None:
    """Without the lag, compaction could keep a former owner's late record instead of the owner's."""
    name = f"{settings.topic_prefix}.orders.state.v1"
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await client.start()
    await client.create_topics([NewTopic(name, 2, 1, topic_configs={"cleanup.policy": "compact"})])
    await client.close()
    await admin.create(settings)
    differences = await admin.check(settings)
    assert {difference.split(" is ")[0] for difference in differences} >= {
        f"{name}: min.compaction.lag.ms",
        f"{name}: message.timestamp.type",
    }
    (lag,) = [difference for difference in differences if "min.compaction.lag.ms is 0, expected 600000" in difference]
    assert lag.endswith(f"--entity-name {name} --add-config min.compaction.lag.ms=600000")
