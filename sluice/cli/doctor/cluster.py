"""Looks at a Kafka that answers: its topics, their replicas, the workers of each role, and the clocks of writers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from sluice.cli.doctor.brokers import Address, look_at_advertised
from sluice.cli.doctor.findings import Observation, ok, problem, unknown, warning
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.kafka import admin, clients
from topics.kafka.admin import Difference, DifferenceKind
from topics.kafka.catalogue import BY_NAME
from topics.kafka.groups import GroupState, group_states

ASK_S: Final = 20.0
"""For all that is asked of Kafka in one step: some requests, each of which may wait for an election."""
AHEAD_MS: Final = 5_000
"""A record that is so much from the future was written by a machine whose clock is wrong, or this one's is."""
LOOK_S: Final = 2.0
"""For reading the newest records."""
WRITTEN_BY: Final[Mapping[str, str]] = {
    "orders.commands": "a gateway, or a producer of commands",
    "orders.events": "a worker of the orders role",
    "deliveries.attempts": "a worker of the delivery role",
    "inventory.positions": "a worker of the inventory role",
}
"""Topics whose newest records are looked at, and which process writes them."""
ROLES: Final[Mapping[str, Sequence[str]]] = {
    "orders": ("orders.commands",),
    "inventory": ("inventory.updates",),
    "delivery": ("deliveries.requests",),
}
DEPENDENT: Final = ("topics", "replication", "workers", "instances", "clock")
"""Checks for which Kafka has to answer."""


async def look(
    settings: Settings, channels: Channels | None, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
) -> list[Observation]:
    try:
        async with asyncio.timeout(ASK_S):
            brokers = await _brokers(settings)
            found = await look_at_advertised(settings.kafka, brokers)
            differences = await admin.differences(settings, channels)
    except (KafkaError, OSError, TimeoutError) as error:
        why = f"Kafka does not answer: {str(error) or type(error).__name__}"
        return [unknown(check, settings.kafka, why) for check in DEPENDENT]
    found += topics_told(settings, differences) + replicas_told(settings, differences, len(brokers))
    missing = any(one.kind is DifferenceKind.MISSING for one in differences)
    if missing:
        return [*found, *(unknown(check, settings.kafka, "Topics are missing") for check in DEPENDENT[2:])]
    try:
        states = await group_states(settings, ROLES, ASK_S)
        found += [finding for state in states for finding in workers_told(settings, state)]
        found += await _clocks(settings, now_ms)
    except (KafkaError, OSError, TimeoutError) as error:
        why = f"Kafka does not answer: {str(error) or type(error).__name__}"
        found += [unknown(check, settings.kafka, why) for check in DEPENDENT[2:]]
    return found


async def _brokers(settings: Settings) -> list[Address]:
    client = clients.admin(settings, request_timeout_s=ASK_S)
    try:
        await client.start()
        described = await client.describe_cluster()
        return [(broker["host"], broker["port"]) for broker in described["brokers"]]
    finally:
        await client.close()


def topics_told(settings: Settings, differences: Sequence[Difference]) -> list[Observation]:
    """Topics that are missing, or are not as the catalogue says."""
    advice = {
        DifferenceKind.MISSING: "Make it with `sluice topics create`",
        DifferenceKind.PARTITIONS: "Set SLUICE_PARTITIONS to what topics have, or choose another SLUICE_TOPIC_PREFIX",
    }
    found = [
        problem("topics", one.topic, one.what, one.do or advice.get(one.kind, ""))
        for one in differences
        if one.kind in (DifferenceKind.MISSING, DifferenceKind.PARTITIONS, DifferenceKind.CONFIGURATION)
    ]
    return found or [ok("topics", settings.topic_prefix, "All topics are as the catalogue says")]


def replicas_told(settings: Settings, differences: Sequence[Difference], brokers: int) -> list[Observation]:
    """Whether what is acknowledged is on as many brokers as it should be."""
    about = settings.topic_prefix
    found = [
        problem("replication", one.topic, one.what, one.do)
        for one in differences
        if one.kind in (DifferenceKind.REPLICAS, DifferenceKind.IN_SYNC)
    ]
    if settings.replication_factor > brokers:
        what = f"SLUICE_REPLICATION_FACTOR is {settings.replication_factor}, and there are {brokers} brokers"
        found.append(problem("replication", about, what, "Start more brokers, or lower the setting"))
    if settings.min_insync_replicas > settings.replication_factor:
        what = "SLUICE_MIN_INSYNC_REPLICAS is larger than SLUICE_REPLICATION_FACTOR: nothing can be written"
        found.append(problem("replication", about, what, "Set it to SLUICE_REPLICATION_FACTOR less one"))
    if settings.replication_factor == 1:
        what = "Each topic has one replica: with its broker, what was acknowledged is lost"
        do = "In production set SLUICE_REPLICATION_FACTOR=3 and SLUICE_MIN_INSYNC_REPLICAS=2 before topics are made"
        found.append(warning("replication", about, what, do))
    elif settings.min_insync_replicas == 1:
        what = "A write is acknowledged by one replica alone: with its broker, it is lost"
        do = "Set SLUICE_MIN_INSYNC_REPLICAS=2, and min.insync.replicas of the topics (`sluice topics check` says how)"
        found.append(warning("replication", about, what, do))
    return found or [ok("replication", about, f"{settings.replication_factor} replicas, enough of them in sync")]


def workers_told(settings: Settings, state: GroupState) -> list[Observation]:
    """The workers of a role, by its group."""
    role, partitions = state.role, settings.partitions
    if not state.members:
        do = f"Start it: `sluice run {role}`. If it runs, its log says why it is not in the group"
        return [problem("workers", role, "The role has no worker", do), unknown("instances", role, "No worker")]
    names = Counter(member.name for member in state.members)
    found = []
    if len(state.members) > partitions:
        what = f"{len(state.members)} workers share {partitions} partitions: the others have nothing to do"
        do = f"Run {partitions} workers at most. More partitions need topics under another SLUICE_TOPIC_PREFIX"
        found.append(warning("workers", role, what, do))
    found = found or [ok("workers", role, f"{len(state.members)} workers for {partitions} partitions")]
    twice = sorted(name for name, number in names.items() if number > 1)
    for name in twice:
        where = ", ".join(member.host for member in state.members if member.name == name)
        what = f"Two workers have the instance name of {name}, at {where}: each ends the other"
        found.append(problem("instances", role, what, "Give each a name of its own: --instance, or SLUICE_INSTANCE"))
    return found if twice else [*found, ok("instances", role, ", ".join(sorted(names)))]


async def _clocks(settings: Settings, now_ms: Callable[[], int]) -> list[Observation]:
    """Newest records that come from the future."""
    newest = await _newest(settings)
    found = []
    for topic, at_ms in sorted(newest.items()):
        ahead_ms = at_ms - now_ms()
        if ahead_ms > AHEAD_MS:
            what = f"The newest record is {ahead_ms / 1000:.0f} s ahead of this machine: {WRITTEN_BY[topic]} wrote it"
            do = "Let NTP (chrony, systemd-timesyncd) set the clocks of that machine and of this one"
            found.append(problem("clock", topic, what, do))
    return found or [ok("clock", "newest records", "None is from the future")]


async def _newest(settings: Settings) -> dict[str, int]:
    """The time of the newest record of each topic that has some."""
    wanted = {
        TopicPartition(BY_NAME[topic].full_name(settings.topic_prefix), partition): topic
        for topic in WRITTEN_BY
        for partition in range(BY_NAME[topic].partitions or settings.partitions)
    }
    consumer: Any = clients.consumer(settings, "doctor")
    found: dict[str, int] = {}
    try:
        async with asyncio.timeout(ASK_S):
            await consumer.start()
            consumer.assign(list(wanted))
            begins = await consumer.beginning_offsets(list(wanted))
            ends = await consumer.end_offsets(list(wanted))
            left = [at for at, end in ends.items() if end > begins[at]]
            consumer.assign(left)
            for at in left:
                consumer.seek(at, ends[at] - 1)
            until = time.monotonic() + LOOK_S
            while left and (left_s := until - time.monotonic()) > 0:
                for at, records in (await consumer.getmany(*left, timeout_ms=int(left_s * 1000))).items():
                    left.remove(at)
                    found[wanted[at]] = max(found.get(wanted[at], 0), *(record.timestamp for record in records))
    finally:
        await clients.close(consumer)
    return found
