"""The cluster's topics are those of the catalogue: made once, left alone after, and every difference is named."""

from __future__ import annotations

import asyncio

import pytest

from sluice.demo_channels import demo_channels
from sluice.dev.local.ports import free_ports
from sluice.errors import StartError
from sluice.roles import wait_for_topics
from tests.support.kafka import Kafka
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings, load_settings
from topics.kafka import admin
from topics.kafka.catalogue import TOPICS


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
    named = f"{commands}: min.insync.replicas is 1, expected 2; set it with kafka-configs.sh --alter"
    assert any(difference.startswith(named) for difference in differences)


async def test_a_role_waits_for_its_topics(settings: Settings) -> None:
    with pytest.raises(StartError, match=rf"no topic {settings.topic_prefix}\..* `sluice topics create`"):
        await wait_for_topics(settings, timeout_s=0)
    waiting = asyncio.create_task(wait_for_topics(settings))
    await admin.create(settings)
    await waiting


async def test_a_role_without_kafka_says_so(settings: Settings) -> None:
    (nobody,) = free_ports(1)
    alone = settings.model_copy(update={"kafka": f"127.0.0.1:{nobody}"})
    with pytest.raises(StartError, match=f"Kafka at 127.0.0.1:{nobody} does not answer"):
        await wait_for_topics(alone, timeout_s=0)


async def test_the_topics_of_channels_are_made_waited_for_and_compared(settings: Settings) -> None:
    demo = parse_channels(demo_channels(), where="demo")
    named = f"{settings.topic_prefix}.replies.demo.v1"
    await admin.create(settings)
    assert await admin.check(settings, demo) == [f"{named}: does not exist"]
    with pytest.raises(StartError, match=f"no topic {named}"):
        await wait_for_topics(settings, demo, timeout_s=0)
    await admin.create(settings, demo)
    assert await admin.check(settings, demo) == []
    await wait_for_topics(settings, demo)
