"""A view tells its owner the last record of every key of exactly the partitions it follows, whatever happens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from sluice.dev.local.broker import Broker
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from topics.configuration.settings import load_settings
from topics.kafka import admin
from topics.kafka.catalogue import BY_NAME, RECORD_BYTES_MAX
from topics.kafka.compacted_view import CompactedView
from topics.records.reading import MADE_BY
from topics.records.unreadable import UNREADABLE

PARTITIONS = 3
LARGE = b"x" * (RECORD_BYTES_MAX - 10_000)
"""Near the largest record that topics allow: a key and headers still fit."""


class Kept:
    """What an owner of a view keeps: the last value of each key, by partition."""

    def __init__(self) -> None:
        self.values: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        self.dropped: list[int] = []

    def record(self, partition: int, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.values[partition].pop(key, None)
        else:
            self.values[partition][key] = value

    def drop(self, partition: int) -> None:
        self.dropped.append(partition)
        self.values.pop(partition, None)

    def all(self) -> dict[bytes, bytes]:
        return {key: value for kept in self.values.values() for key, value in kept.items()}


async def _topic(bootstrap: str, prefix: str) -> str:
    await admin.create(load_settings(kafka=bootstrap, topic_prefix=prefix, partitions=PARTITIONS))
    return BY_NAME["inventory.positions"].full_name(prefix)


async def _send(bootstrap: str, topic: str, *records: tuple[int, bytes, bytes | None]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=2 * RECORD_BYTES_MAX)
    await producer.start()
    try:
        for partition, key, value in records:
            await producer.send_and_wait(topic, value, key=key, partition=partition)
    finally:
        await producer.stop()


@pytest.fixture
async def topic(kafka: Kafka, prefix: str) -> str:
    return await _topic(kafka.bootstrap, prefix)


@pytest.fixture
async def kept() -> Kept:
    return Kept()


@pytest.fixture
async def view(kafka: Kafka, topic: str, kept: Kept) -> AsyncIterator[CompactedView]:
    view = CompactedView(load_settings(kafka=kafka.bootstrap), topic, kept.record, kept.drop)
    await view.start()
    yield view
    await view.stop()


async def test_all_partitions_from_their_beginning_and_on(
    kafka: Kafka, topic: str, view: CompactedView, kept: Kept
) -> None:
    await _send(kafka.bootstrap, topic, (0, b"a", b"1"), (2, b"b", b"1"), (0, b"a", b"2"), (2, b"b", None))
    await view.set_partitions(None)
    assert view.unready()
    await eventually(lambda: view.unready() is None, what=lambda: str(view.unready()))
    assert all(view.caught_up(partition) for partition in range(PARTITIONS))
    assert kept.all() == {b"a": b"2"}
    await _send(kafka.bootstrap, topic, (1, b"c", LARGE))
    await eventually(lambda: kept.all() == {b"a": b"2", b"c": LARGE}, what="the record after the view caught up")


async def test_a_change_of_partitions_drops_what_leaves_and_reads_the_new_from_the_start(
    kafka: Kafka, topic: str, view: CompactedView, kept: Kept
) -> None:
    await _send(kafka.bootstrap, topic, (0, b"a", b"1"), (1, b"b", b"1"), (2, b"c", b"1"))
    await view.set_partitions({0, 1})
    await eventually(lambda: view.unready() is None)
    assert kept.all() == {b"a": b"1", b"b": b"1"}
    await view.set_partitions({1, 2})
    assert kept.dropped == [0]
    assert not view.caught_up(0)
    assert not view.caught_up(2)
    await eventually(lambda: view.unready() is None)
    assert kept.all() == {b"b": b"1", b"c": b"1"}
    await view.set_partitions(set())
    assert sorted(kept.dropped) == [0, 1, 2]
    await view.set_partitions({0})
    await eventually(lambda: view.unready() is None)
    assert kept.all() == {b"a": b"1"}


async def test_changes_in_quick_succession_end_with_the_last(
    kafka: Kafka, topic: str, view: CompactedView, kept: Kept
) -> None:
    """A partition that leaves and comes back while a fetch is under way is read from its beginning again."""
    await _send(kafka.bootstrap, topic, *((n % PARTITIONS, b"%d" % n, b"v") for n in range(60)))
    for partitions in ({0, 1, 2}, {0}, {1, 2}, {2}, set[int](), {0, 2}):
        await view.set_partitions(partitions)
    await eventually(lambda: view.unready() is None)
    assert kept.all() == {b"%d" % n: b"v" for n in range(60) if n % PARTITIONS != 1}


class Broken(BaseException):
    """A failure that is no record's fault, as an invariant's violation is."""


async def test_a_record_that_cannot_be_read_is_named_and_those_behind_it_are_read(
    kafka: Kafka, topic: str, prefix: str
) -> None:
    kept = Kept()

    def read(partition: int, key: bytes, value: bytes | None) -> None:
        if value == b"bad":
            raise LookupError("no such place")
        kept.record(partition, key, value)

    view = CompactedView(load_settings(kafka=kafka.bootstrap, topic_prefix=prefix), topic, read, kept.drop)
    await view.start()
    await view.set_partitions({0})
    await _send(kafka.bootstrap, topic, (0, b"a", b"1"), (0, b"a", b"bad"), (0, b"\xff\xfe", b"bad"), (0, b"b", b"2"))
    await eventually(lambda: kept.all() == {b"a": b"1", b"b": b"2"})
    assert view.unready() is None
    assert UNREADABLE.counted("inventory.positions") == 2
    (warning,) = UNREADABLE.warnings()
    assert warning.startswith("inventory.positions: 2 records cannot be read, the last found in partition 0 offset 2")
    await _send(kafka.bootstrap, topic, (0, b"a", b"3"), (0, b"\xff\xfe", None), (0, b"c", b"3"))
    await eventually(lambda: kept.all() == {b"a": b"3", b"b": b"2", b"c": b"3"})
    assert UNREADABLE.warnings() == []
    await view.stop()


async def test_a_failure_that_is_no_records_fault_ends_the_view_and_is_heard_of(kafka: Kafka, topic: str) -> None:
    def fail(partition: int, key: bytes, value: bytes | None) -> None:
        raise Broken("no such place")

    view = CompactedView(load_settings(kafka=kafka.bootstrap), topic, fail, Kept().drop)
    await view.start()
    await view.set_partitions({0})
    await _send(kafka.bootstrap, topic, (0, b"a", b"1"))
    with pytest.raises(Broken, match="no such place"):
        await view.wait()
    assert "ended" in str(view.unready())
    with pytest.raises(Broken, match="no such place"):
        await view.stop()


async def test_it_goes_on_after_a_broker_was_killed(own_kafka: Broker, prefix: str) -> None:
    kept = Kept()
    topic = await _topic(own_kafka.bootstrap, prefix)
    await _send(own_kafka.bootstrap, topic, (0, b"a", b"1"))
    view = CompactedView(load_settings(kafka=own_kafka.bootstrap), topic, kept.record, kept.drop)
    await view.start()
    await view.set_partitions({0, 1})
    await eventually(lambda: view.unready() is None)
    own_kafka.kill()
    await view.set_partitions({0, 2})
    own_kafka.start()
    own_kafka.wait_ready()
    await _send(own_kafka.bootstrap, topic, (0, b"a", b"2"), (2, b"c", b"1"))
    await eventually(lambda: view.unready() is None and kept.all() == {b"a": b"2", b"c": b"1"}, 60)
    assert kept.dropped == [1]
    await view.stop()


async def test_whoever_wrote_can_wait_until_it_counts_and_learns_what_ended_the_view(kafka: Kafka, topic: str) -> None:
    """What was acknowledged at a place is there when `until_handled` returns; a view that ended lets nobody wait."""
    seen: list[bytes] = []

    def record(_partition: int, key: bytes, _value: bytes | None) -> None:
        if key == b"bad":
            raise Broken("played")
        seen.append(key)

    view = CompactedView(load_settings(kafka=kafka.bootstrap), topic, record, lambda _partition: None)
    await view.start()
    await view.set_partitions(None)
    await view.until_ready()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    try:
        for key in (b"first", b"second"):
            position = await producer.send_and_wait(topic, b"1", key=key, partition=1)
            await view.until_handled(1, position.offset)
            assert seen[-1] == key
        position = await producer.send_and_wait(topic, b"1", key=b"bad", partition=1)
        with pytest.raises(Broken):
            await view.until_handled(1, position.offset)
    finally:
        await producer.stop()
    with pytest.raises(Broken):
        await view.stop()


@pytest.mark.parametrize(("one_owner", "last"), [(True, b"newer"), (False, b"older")])
async def test_epochs_count_only_where_a_partition_has_one_owner(
    kafka: Kafka, topic: str, kept: Kept, *, one_owner: bool, last: bytes
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    try:
        for value, epoch in ((b"newer", b"7/1"), (b"older", b"5/9")):
            await producer.send_and_wait(topic, value, key=b"k", partition=0, headers=[(MADE_BY, epoch)])
    finally:
        await producer.stop()
    view = CompactedView(load_settings(kafka=kafka.bootstrap), topic, kept.record, kept.drop, one_owner=one_owner)
    await view.start()
    await view.set_partitions([0])
    await view.until_ready()
    assert kept.all() == {b"k": last}
    await view.stop()
