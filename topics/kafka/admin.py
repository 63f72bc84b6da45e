"""Makes topics from the catalogue, and compares a cluster with it. The only code that creates topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaTimeoutError, TopicAlreadyExistsError, for_code

from topics.configuration.channels import Channels
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import Topic
from topics.kafka.channel_topics import topics_of

VISIBLE_TIMEOUT_S = 30.0
"""A new topic is known to every broker within moments of its creation; longer means that the cluster is not well."""
_REQUEST_TIMEOUT_S = 20.0
"""Making all topics at once takes a cluster a second or two."""
_POLL_S = 0.05


async def create(settings: Settings, channels: Channels | None = None) -> None:
    """Makes the topics that do not exist, also those of `channels`. Returns when all have their leaders.

    Topics that are not Sluice's are left alone.

    Raises ConfigurationError when one exists with another number of partitions: keys would be looked for elsewhere.
    """
    async with _admin(settings) as admin:
        there = set(await admin.list_topics())
        topics = topics_of(channels)
        await _refuse_other_partitions(admin, settings, topics, there)
        wanted = [topic for topic in topics if topic.full_name(settings.topic_prefix) not in there]
        if not wanted:
            return
        answer = await admin.create_topics([_new(topic, settings) for topic in wanted])
        for name, code, *messages in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:  # another `create` was faster, with the same catalogue
                raise error(f"topic {name} could not be made: {messages[0] if messages else ''}")
        await _wait_for_leaders(admin, [topic.full_name(settings.topic_prefix) for topic in wanted])


async def _refuse_other_partitions(
    admin: AIOKafkaAdminClient, settings: Settings, topics: Sequence[Topic], there: set[str]
) -> None:
    expected = {topic.full_name(settings.topic_prefix): topic.partitions or settings.partitions for topic in topics}
    existing = [name for name in expected if name in there]
    found = await admin.describe_topics(existing) if existing else []
    counts = {topic["topic"]: len(topic["partitions"]) for topic in found if not topic["error_code"]}
    differing = [
        f"{name} has {count} partitions, expected {expected[name]}"
        for name, count in counts.items()
        if count != expected[name]
    ]
    if differing:
        raise ConfigurationError(
            f"SLUICE_PARTITIONS does not fit the topics that exist: {'; '.join(differing)}. "
            "Set it to what they have, or choose another SLUICE_TOPIC_PREFIX"
        )


class DifferenceKind(StrEnum):
    """A kind of difference between a cluster and the catalogue."""

    MISSING = "missing"
    PARTITIONS = "partitions"
    REPLICAS = "replicas"
    IN_SYNC = "in sync"
    CONFIGURATION = "configuration"


class Difference(NamedTuple):
    """One of them. `do`: how it is mended; empty where the caller knows it."""

    topic: str
    kind: DifferenceKind
    what: str
    do: str = ""

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}{'; ' if self.do else ''}{self.do}"


async def check(settings: Settings, channels: Channels | None = None) -> list[str]:
    """Compares the cluster with the topics that should exist. Returns a sentence for each difference."""
    return [str(one) for one in await differences(settings, channels) if one.kind is not DifferenceKind.IN_SYNC]


async def differences(settings: Settings, channels: Channels | None = None) -> list[Difference]:
    """How the cluster differs from the topics that should exist, and which of their replicas lag behind."""
    topics = topics_of(channels)
    async with _admin(settings) as admin:
        names = [topic.full_name(settings.topic_prefix) for topic in topics]
        there = set(await admin.list_topics())
        existing = [name for name in names if name in there]
        described = {each["topic"]: each for each in await admin.describe_topics(existing)} if existing else {}
        configured = await _configs(admin, existing)
    found: list[Difference] = []
    for topic in topics:
        name = topic.full_name(settings.topic_prefix)
        if name not in described:
            found.append(Difference(name, DifferenceKind.MISSING, "does not exist"))
        else:
            found += _compare(topic, settings, described[name], configured.get(name, {}))
    return found


def _compare(topic: Topic, settings: Settings, found: Any, configured: Mapping[str, str]) -> Iterator[Difference]:
    name = topic.full_name(settings.topic_prefix)
    partitions = topic.partitions or settings.partitions
    if len(found["partitions"]) != partitions:
        yield Difference(
            name, DifferenceKind.PARTITIONS, f"{len(found['partitions'])} partitions, expected {partitions}"
        )
    replicas = min((len(partition["replicas"]) for partition in found["partitions"]), default=0)
    if replicas < settings.replication_factor:
        what = f"{replicas} replicas, expected at least {settings.replication_factor}"
        yield Difference(name, DifferenceKind.REPLICAS, what, "add replicas with kafka-reassign-partitions.sh")
    in_sync = min((len(partition["isr"]) for partition in found["partitions"]), default=0)
    if in_sync < min(replicas, settings.min_insync_replicas):
        what = f"{in_sync} replicas are in sync, and a write needs {settings.min_insync_replicas}"
        yield Difference(
            name, DifferenceKind.IN_SYNC, what, "start the brokers that are down, or look why they lag behind"
        )
    for key, value in _config(topic, settings).items():
        if _normal(configured.get(key)) != _normal(value):
            # A topic of an older Sluice is changed by an operator: Sluice does not risk its records.
            do = (
                f"set it with kafka-configs.sh --alter --entity-type topics --entity-name {name}"
                f" --add-config {key}={_quoted(value)}"
            )
            yield Difference(
                name, DifferenceKind.CONFIGURATION, f"{key} is {configured.get(key)}, expected {value}", do
            )


def _quoted(value: str) -> str:
    """A value with a comma, as kafka-configs.sh takes it."""
    return f"[{value}]" if "," in value else value


def _normal(value: str | None) -> frozenset[str] | None:
    """`compact,delete` and `delete,compact` are the same policy."""
    return None if value is None else frozenset(value.split(","))


def _config(topic: Topic, settings: Settings) -> dict[str, str]:
    return {**topic.config(), "min.insync.replicas": str(settings.min_insync_replicas)}


def _new(topic: Topic, settings: Settings) -> NewTopic:
    return NewTopic(
        topic.full_name(settings.topic_prefix),
        num_partitions=topic.partitions or settings.partitions,
        replication_factor=settings.replication_factor,
        topic_configs=_config(topic, settings),
    )


async def _wait_for_leaders(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    deadline = asyncio.get_running_loop().time() + VISIBLE_TIMEOUT_S
    while True:
        found = await admin.describe_topics(names)
        lacking = [
            topic["topic"]
            for topic in found
            if topic["error_code"] or not topic["partitions"] or any(p["leader"] < 0 for p in topic["partitions"])
        ]
        if not lacking and len(found) == len(names):
            return
        if asyncio.get_running_loop().time() > deadline:
            raise KafkaTimeoutError(f"no leader after {VISIBLE_TIMEOUT_S:.0f} s: {', '.join(lacking)}")
        await asyncio.sleep(_POLL_S)


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = clients.admin(settings, request_timeout_s=_REQUEST_TIMEOUT_S)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
