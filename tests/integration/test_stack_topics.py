"""The cluster's topics are those of the catalogue: made once, left alone after, and every difference is named."""

from __future__ import annotations

import pytest

from tests.support.kafka import Kafka
from topics import admin
from topics.catalogue import TOPICS
from topics.configuration import Settings, load_settings


@pytest.fixture
def settings(kafka: Kafka, prefix: str) -> Settings:
    return load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=2)


async def test_created_topics_agree_with_the_catalogue(settings: Settings) -> None:
    await admin.create(settings)
    assert await admin.check(settings) == []
    await admin.create(settings)
    assert await admin.check(settings) == []


async def test_every_missing_topic_is_named(settings: Settings) -> None:
    missing = await admin.check(settings)
    assert missing == [f"{topic.full_name(settings.topic_prefix)}: does not exist" for topic in TOPICS]


async def test_other_partitions_and_limits_are_named(settings: Settings) -> None:
    await admin.create(settings)
    more = settings.model_copy(update={"partitions": 3, "min_insync_replicas": 2})
    differences = await admin.check(more)
    commands = f"{settings.topic_prefix}.orders.commands.v1"
    assert f"{commands}: 2 partitions, expected 3" in differences
    assert f"{commands}: min.insync.replicas is 1, expected 2" in differences
