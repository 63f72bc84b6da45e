"""Has a role skip one record of its source topic: writes a record of `skips`, and looks what came of it."""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import BY_NAME
from topics.records.actions import OPERATOR_SOURCE, record_of
from topics.records.actions import TOPIC as OPERATOR_EVENTS
from topics.records.facts.operators import ActionBegun
from topics.records.skips import SKIPS, SOURCES, Skip, skip_key

CLIENT_ID: Final = "sluice-skip"
REQUEST_TIMEOUT_S: Final = 20.0
"""For each of a few requests; a cluster that takes longer is not well."""
TAKES_S: Final = 10.0
"""A running role that stands at the record skips it within a second or two, and commits that."""
REASON_CHARS_MAX: Final = 500
"""A sentence for those who find the record in commands.rejected."""
ID_BYTES: Final = 6
_POLL_S = 0.2
_PLACE = re.compile(r"(?P<topic>[^/]+)/(?P<partition>[0-9]{1,9})/(?P<offset>[0-9]{1,18})")


class SkipError(ConfigurationError):
    """The record cannot be skipped; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A record of a role's source topic; `source` is the catalogue name."""

    source: str
    partition: int
    offset: int

    @property
    def role(self) -> str:
        return SOURCES[self.source]

    def at(self, settings: Settings) -> TopicPartition:
        return TopicPartition(BY_NAME[self.source].full_name(settings.topic_prefix), self.partition)


@dataclass(frozen=True, slots=True)
class SkipOutcome:
    """`skipped`: the role has set the record aside. Otherwise it will when it reaches it, and `before` come first."""

    skipped: bool
    before: int


def place_of(text: str, settings: Settings) -> Place:
    """Reads TOPIC/PARTITION/OFFSET, with the topic's name in the catalogue or in Kafka. Raises SkipError."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise SkipError(f"{text!r} is no record; name it as TOPIC/PARTITION/OFFSET, for example orders.commands/3/1207")
    names = {name: name for name in SOURCES}
    names |= {BY_NAME[name].full_name(settings.topic_prefix): name for name in SOURCES}
    source = names.get(found["topic"])
    if source is None:
        raise SkipError(f"{found['topic']} is not what a role decides; records can be skipped of {', '.join(SOURCES)}")
    return Place(source, int(found["partition"]), int(found["offset"]))


async def show(settings: Settings, place: Place) -> list[str]:
    """Lines about the record that would be skipped, without its body, which may name people. Raises as `skip`."""
    consumer = clients.consumer(settings, CLIENT_ID)
    admin = clients.admin(settings, request_timeout_s=REQUEST_TIMEOUT_S)
    try:
        await consumer.start()
        await admin.start()
        done = await _check(consumer, admin, settings, place)
        at = place.at(settings)
        consumer.assign([at])
        consumer.seek(at, place.offset)
        found = (await consumer.getmany(at, timeout_ms=int(TAKES_S * 1000), max_records=1)).get(at, [])
        lines = [f"{_words(place)}, which {place.role} has not decided: {place.offset - max(done, 0)} come before it"]
        for record in found:
            if record.offset == place.offset:
                kind = dict(record.headers).get("ce_type") or b"no ce_type"
                lines.append(f"  key {(record.key or b'').decode(errors='backslashreplace')}")
                lines.append(f"  {kind.decode(errors='backslashreplace')}, {len(record.value or b'')} bytes")
        return lines
    finally:
        await clients.close(consumer)
        await admin.close()


async def skip(settings: Settings, place: Place, by: str, reason: str, takes_s: float = TAKES_S) -> SkipOutcome:
    """Raises SkipError for a record that is not there or was decided, KafkaError when Kafka does not answer. `takes_s`:
    how long to wait for the role to skip it."""
    rejected = BY_NAME["commands.rejected"].full_name(settings.topic_prefix)
    consumer = clients.consumer(settings, CLIENT_ID)
    admin = clients.admin(settings, request_timeout_s=REQUEST_TIMEOUT_S)
    try:
        await consumer.start()
        await admin.start()
        done = await _check(consumer, admin, settings, place)
        partitions = await _partitions(admin, rejected)
        since = await consumer.end_offsets([TopicPartition(rejected, number) for number in partitions])
        await _write(settings, place, by, reason)
        deadline = time.monotonic() + takes_s
        while done <= place.offset and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
            done = await _committed(admin, settings, place)
        if done <= place.offset:
            return SkipOutcome(skipped=False, before=place.offset - max(done, 0))
        if not await _was_skipped(consumer, settings, place, since):
            raise SkipError(f"{place.role} decided {_words(place)} before it learnt that it should skip it")
        return SkipOutcome(skipped=True, before=0)
    finally:
        await clients.close(consumer)
        await admin.close()


async def _check(consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, settings: Settings, place: Place) -> int:
    """The offset up to which the role is done."""
    at = place.at(settings)
    partitions = await _partitions(admin, at.topic)
    if place.partition not in partitions:
        raise SkipError(f"{place.source} has partitions 0 to {len(partitions) - 1}, and no {place.partition}")
    first, end = (await consumer.beginning_offsets([at]))[at], (await consumer.end_offsets([at]))[at]
    if not first <= place.offset < end:
        raise SkipError(
            f"{place.source}/{place.partition} has the offsets {first} to {end - 1}, and no {place.offset}; what an"
            " open transaction holds back cannot be skipped"
        )
    done = await _committed(admin, settings, place)
    if done > place.offset:
        raise SkipError(
            f"{_words(place)} is decided already: {place.role} goes on at offset {done}. What could not be decided is"
            " on commands.rejected; of an order, `sluice order CODE` shows what came of it"
        )
    return done


async def _partitions(admin: AIOKafkaAdminClient, topic: str) -> list[int]:
    (found,) = await admin.describe_topics([topic])
    if found["error_code"] or not found["partitions"]:
        raise SkipError(f"topic {topic} does not exist; is SLUICE_TOPIC_PREFIX right?")
    return sorted(each["partition"] for each in found["partitions"])


async def _committed(admin: AIOKafkaAdminClient, settings: Settings, place: Place) -> int:
    """-1: the role has not committed any offset of this partition."""
    at = place.at(settings)
    deadline = time.monotonic() + TAKES_S
    while True:
        try:
            found = await admin.list_consumer_group_offsets(f"{settings.topic_prefix}.{place.role}", partitions=[at])
            break
        except KafkaError as error:  # the group's coordinator may just be moving
            if not error.retriable or time.monotonic() > deadline:
                raise
            await asyncio.sleep(_POLL_S)
    return int(found[at].offset) if at in found else -1


async def _write(settings: Settings, place: Place, by: str, reason: str) -> None:
    """The fact, then the skip, each on all in-sync replicas."""
    at_ms = round(time.time() * 1000)
    fact = ActionBegun(
        id=f"skp_{os.urandom(ID_BYTES).hex()}",
        action="skip-record",
        by=by,
        atMs=at_ms,
        reason=reason,
        target=_words(place),
        channel="",
        orderKey="",
        shown=1,
        before={},
        after={"topic": place.source, "partition": place.partition, "offset": place.offset},
    )
    what = Skip(by=by, reason=reason, atMs=at_ms, action_id=fact.id)
    record = record_of(fact, OPERATOR_SOURCE)
    producer = clients.producer(settings, CLIENT_ID)
    await producer.start()
    try:
        events, skips = (BY_NAME[name].full_name(settings.topic_prefix) for name in (OPERATOR_EVENTS, SKIPS))
        await producer.send_and_wait(events, record.value, key=record.key, headers=list(record.headers))
        await producer.send_and_wait(skips, what.encode(), key=skip_key(place.source, place.partition, place.offset))
    finally:
        await producer.stop()


async def _was_skipped(
    consumer: AIOKafkaConsumer, settings: Settings, place: Place, since: dict[TopicPartition, int]
) -> bool:
    """Whether the role has set the record aside for this, in what it rejected `since`."""
    wanted = {
        ("sluice-rejected-code", b"skipped"),
        ("sluice-rejected-topic", place.at(settings).topic.encode()),
        ("sluice-rejected-partition", b"%d" % place.partition),
        ("sluice-rejected-offset", b"%d" % place.offset),
    }
    ends = await consumer.end_offsets(list(since))
    consumer.assign(list(since))
    for at, offset in since.items():
        consumer.seek(at, offset)
    left = {at for at, end in ends.items() if since[at] < end}
    while left:
        for records in (await consumer.getmany(*left, timeout_ms=int(_POLL_S * 1000))).values():
            if any(wanted <= set(record.headers) for record in records):
                return True
        left = {at for at in left if await consumer.position(at) < ends[at]}
    return False


def _words(place: Place) -> str:
    return f"{place.source}/{place.partition}/{place.offset}"
