"""The consumer groups of roles: members, what each was assigned, and how far the group is behind its topics.

Kafka knows a member until its session is over, so one that died is shown for some seconds more. What a group has
committed is some moments older than what it has done.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    for_code,
)

from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import BY_NAME

Place = tuple[str, int]
"""A partition of a topic, by the topic's name in the catalogue."""

LOOK_S: Final = 1.0
"""For reading the first record that a group has not taken, of all partitions that it is behind in: its time is the age
of the backlog. A partition that does not answer in it has no age."""
LOOK_BYTES: Final = 1 << 16
"""Fetched of a partition for that; a larger record comes alone."""
_CLIENT_ID: Final = "status"
_NEVER: Final = -1
"""Kafka's answer for a partition of which a group has committed nothing."""
_MOVING: Final = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
"""The broker that knows the group is being elected, or has just become it."""
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A process in a group. `partitions`: those that it was assigned, by the name of their topic in the catalogue."""

    name: str
    host: str
    partitions: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Behind:
    """A partition of a group's topic. `next_offset`: the first record that the group has not taken; None: it has said
    nothing of the partition yet. `since_ms`: the time of that record; None: there is none, or it is not known."""

    topic: str
    partition: int
    next_offset: int | None
    begin: int
    end: int
    since_ms: int | None = None

    @property
    def first(self) -> int:
        """The offset of the first record to take, of those that are kept."""
        return max(self.next_offset or 0, self.begin)

    @property
    def records(self) -> int:
        """Records that the group has not taken."""
        return max(self.end - self.first, 0)


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group as Kafka knows it. `state`: in Kafka's words, as `Stable`, `Empty` or `PreparingRebalance`."""

    role: str
    state: str
    members: Sequence[GroupMember]
    behind: Sequence[Behind]


async def group_states(
    settings: Settings,
    topics_of: Mapping[str, Sequence[str]],
    timeout_s: float,
    *,
    positions: Mapping[str, Mapping[Place, int]] | None = None,
) -> list[GroupState]:
    """The groups of these roles, in their order. `topics_of`: the topics, by their names in the catalogue, that each
    role reads. `positions`: of a role that keeps its offsets elsewhere, what it has next; else Kafka's count.

    Raises KafkaError, OSError or TimeoutError.
    """
    async with asyncio.timeout(timeout_s):
        consumer = clients.consumer(settings, _CLIENT_ID, partition_fetch_bytes=LOOK_BYTES)
        admin = clients.admin(settings, request_timeout_s=timeout_s)
        try:
            with clients.cancelled_calls_fail():
                await consumer.start()
                ends = await _ends(settings, consumer, {topic for topics in topics_of.values() for topic in topics})
            await admin.start()
            found = [await _settled(settings, admin, role, topics, ends) for role, topics in topics_of.items()]
            for role, own in (positions or {}).items():
                found = [_positioned(state, own) if state.role == role else state for state in found]
            return [await _dated(settings, consumer, state) for state in found]
        finally:
            await admin.close()
            await clients.close(consumer)


async def _ends(settings: Settings, consumer: AIOKafkaConsumer, topics: Iterable[str]) -> dict[Place, tuple[int, int]]:
    """Begin and end of each partition, as readers of committed records see it."""
    names = {BY_NAME[topic].full_name(settings.topic_prefix): topic for topic in topics}
    wanted = [
        TopicPartition(name, partition)
        for name, topic in names.items()
        for partition in range(BY_NAME[topic].partitions or settings.partitions)
    ]
    consumer.assign(wanted)
    consumer.pause(*wanted)  # only offsets are asked for
    begins = await consumer.beginning_offsets(wanted)
    ends = await consumer.end_offsets(wanted)
    return {(names[at.topic], at.partition): (begins[at], end) for at, end in ends.items()}


async def _settled(
    settings: Settings,
    admin: AIOKafkaAdminClient,
    role: str,
    topics: Sequence[str],
    ends: Mapping[Place, tuple[int, int]],
) -> GroupState:
    """Asks again while the group has no broker that knows it: the caller's time is the bound."""
    while True:
        try:
            return await _state(settings, admin, role, topics, ends)
        except _MOVING:
            await asyncio.sleep(_POLL_S)


async def _state(
    settings: Settings,
    admin: AIOKafkaAdminClient,
    role: str,
    topics: Sequence[str],
    ends: Mapping[Place, tuple[int, int]],
) -> GroupState:
    group = f"{settings.topic_prefix}.{role}"
    names = {BY_NAME[topic].full_name(settings.topic_prefix): topic for topic in topics}
    coordinator = await admin.find_coordinator(group)
    answer, *_ = await admin.describe_consumer_groups([group], group_coordinator_id=coordinator)
    code, _group, state, _kind, _protocol, members, *_ = answer.groups[0]
    if code:
        raise for_code(code)
    found = await admin.list_consumer_group_offsets(group, group_coordinator_id=coordinator)
    committed = {
        (names[at.topic], at.partition): taken.offset
        for at, taken in found.items()
        if at.topic in names and taken.offset > _NEVER
    }
    behind = [
        Behind(place[0], place[1], committed.get(place), begin, end)
        for place, (begin, end) in sorted(ends.items())
        if place[0] in topics
    ]
    return GroupState(role, state, sorted((_member(one, names) for one in members), key=lambda one: one.name), behind)


def _member(described: Any, names: Mapping[str, str]) -> GroupMember:
    _id, name, host, _metadata, assignment, *_ = described
    partitions: defaultdict[str, list[int]] = defaultdict(list)
    if assignment:  # none before the group has agreed
        for topic, numbers in ConsumerProtocolMemberAssignment.decode(bytes(assignment)).assignment:
            if topic in names:
                partitions[names[topic]] += sorted(numbers)
    return GroupMember(name, host.lstrip("/"), dict(sorted(partitions.items())))


def _positioned(state: GroupState, own: Mapping[Place, int]) -> GroupState:
    behind = [replace(one, next_offset=own.get((one.topic, one.partition))) for one in state.behind]
    return replace(state, behind=behind)


async def _dated(settings: Settings, consumer: AIOKafkaConsumer, state: GroupState) -> GroupState:
    """The state with the time of the first record that the group has not taken, in each partition that has one."""
    wanted = {
        TopicPartition(BY_NAME[one.topic].full_name(settings.topic_prefix), one.partition): one.first
        for one in state.behind
        if one.records
    }
    if not wanted:
        return state
    times: dict[Place, int] = {}
    consumer.assign(list(wanted))
    for at, offset in wanted.items():
        consumer.seek(at, offset)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LOOK_S
    while wanted and (left_s := deadline - loop.time()) > 0:
        for at, records in (await consumer.getmany(*wanted, timeout_ms=int(left_s * 1000))).items():
            consumer.pause(at)
            del wanted[at]
            times[at.topic, at.partition] = records[0].timestamp
    names = {one.topic: BY_NAME[one.topic].full_name(settings.topic_prefix) for one in state.behind}
    behind = [replace(one, since_ms=times.get((names[one.topic], one.partition))) for one in state.behind]
    return replace(state, behind=behind)
