"""Whatever lies on a topic that a role decides: it is decided or set aside with a reason, and no decision raises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

import orjson
import pytest
from aiokafka.structs import ConsumerRecord

from streams.delivery.destinations import Destinations
from streams.delivery.outbox.intake import accept, note_gap, outcome_of_set_aside
from streams.delivery.outbox.records import OUTBOX
from streams.inventory.role import InventoryRole
from streams.order.role import OrdersRole
from streams.runtime.decide import DecideLoop
from streams.runtime.durability.group_commit import GroupCommit
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.metrics import Metrics
from streams.runtime.role import Effect, Record, Role, Tables
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from tests.fakes.runtime import fake_commit, fake_publisher
from tests.support.orders_log import make_channels
from tests.support.poison.generator import poisons
from tests.support.poison.wire import Raw
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.contract.definition import Entity
from topics.contract.entities import entity_key
from topics.contract.sample_files import sample
from topics.contract.touchpoints import TOUCHPOINTS
from topics.kafka.channel_topics import topics_of
from topics.records.deliveries import Attempt, Outcome, OutcomeKind
from topics.records.envelope import COMMAND, DELIVERY_OUTCOME, Envelope
from topics.subscriptions.index import SubscriptionIndex

SEED = 13
RECORDS = 1_500
"""For each role; the long version (`make poison`) puts 100,000 on a real Kafka."""
NOW_MS = 1_780_000_000_000
SETTINGS = Settings(partitions=1, topic_prefix="t")


class Accepting(Role):
    """The delivery role's decisions, without what it does on its own."""

    name = "delivery"
    source = "deliveries.requests"
    tables = (OUTBOX,)

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._settings = settings
        self._channels = channels
        self._destinations = Destinations(channels, SubscriptionIndex())
        self.state: PartitionState | None = None

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        return accept(record, tables[OUTBOX], self._channels, self._destinations, self._settings.partitions)

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:
        assert self.state is not None
        note_gap(record, code, self.state.tables[OUTBOX])
        return outcome_of_set_aside(record, reason)


class Bench:
    """One role with one partition, and everything it publishes."""

    def __init__(self, role: Role) -> None:
        channels = make_channels()
        publisher, self.producer = fake_publisher(*(topic.name for topic in topics_of(channels)), partitions=16)
        self.metrics = Metrics("test")
        self.commit: GroupCommit = fake_commit(publisher, OffsetLedger(), self._fail, metrics=self.metrics)
        kinds = role.table_kinds
        self.state = PartitionState(0, role.tables, of_kinds(kinds))
        self.loop = DecideLoop(role, f"t.{role.source}.v1", self.commit, self.metrics, 10**9, {})
        self.loop._wants_changes = False
        if isinstance(role, Accepting):
            role.state = self.state
        else:
            role.on_assigned(0, self.state.tables)
        self.offset = 0

    def _fail(self, error: BaseException) -> None:
        raise error

    def decide(self, records: Sequence[Raw]) -> None:
        self.loop.decide_chunk(self.state, [self._as_read(raw) for raw in records])

    def _as_read(self, raw: Raw) -> Any:
        self.offset += 1
        headers = tuple((name.decode(errors="backslashreplace"), content) for name, content in raw.headers)
        time_ms = NOW_MS + self.offset if raw.time_ms == -1 else raw.time_ms
        return ConsumerRecord("source", 0, self.offset, time_ms, 0, raw.key, raw.value, None, 0, 0, headers)

    async def published(self, topic: str) -> list[Raw]:
        self.commit.start()
        await self.commit.drain()
        await self.commit.stop()
        return [as_raw(each.key, each.value, each.headers) for each in self.producer.topic(topic)]

    def set_aside(self) -> Mapping[str, float]:
        samples = [one for family in self.metrics.rejected.collect() for one in family.samples]
        return {one.labels["code"]: one.value for one in samples if one.name.endswith("_total")}


def as_raw(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> Raw:
    return Raw(key, value, [(name.encode(), content) for name, content in headers])


def commands(entities: Sequence[Entity]) -> list[Raw]:
    """The samples of touchpoints, as a direct producer writes them."""
    found = []
    for touchpoint in TOUCHPOINTS:
        if touchpoint.entity in entities:
            headers = Envelope(
                id=f"e-{touchpoint.name}",
                type=COMMAND + touchpoint.name,
                source="/test",
                channel="demo",
                time_ms=NOW_MS,
            ).headers()
            members = sample(touchpoint.name).members
            if touchpoint.split:
                members[touchpoint.split] = members[touchpoint.split][:1]
            key = b"demo|x" if touchpoint.entity is Entity.STOCK else entity_key(touchpoint, "demo", members)
            found.append(as_raw(key, orjson.dumps(members), headers))
    return found


def outcomes(requests: Sequence[Raw]) -> list[Raw]:
    attempt = Attempt(number=1, at_ms=NOW_MS, took_ms=1.0, status=200)
    found = []
    for number, raw in enumerate(requests[:12]):
        request = orjson.loads(raw.value or b"{}")
        outcome = Outcome(
            request=request["id"], touchpoint=request["touchpoint"], kind=list(OutcomeKind)[number % len(OutcomeKind)],
            status=200, body={"a": 1}, message="m", attempt=attempt,
        )  # fmt: skip
        headers = Envelope(id=f"o-{number}", type=DELIVERY_OUTCOME, source="/delivery", channel="demo").headers()
        found.append(as_raw(request["entity"].encode(), outcome.encode(), headers))
    return found


OF_ORDERS = (Entity.ORDER, Entity.RETURN, Entity.MANIFEST)


async def valid_records(make: Callable[[Settings, Channels], Role]) -> list[Raw]:
    """What lies on the source topic of a role when all is well."""
    if make is InventoryRole:
        return commands([Entity.STOCK])
    orders = Bench(OrdersRole(SETTINGS, make_channels(), subscriptions=SubscriptionIndex()))
    given = commands(OF_ORDERS)
    orders.decide(given)
    requests = await orders.published("deliveries.requests")
    if make is Accepting:
        return requests
    return [*given, *await orders.published("orders.commands"), *outcomes(requests)]


def made(make: Any) -> Role:
    if make is OrdersRole:
        return OrdersRole(SETTINGS, make_channels(), subscriptions=SubscriptionIndex())
    role: Role = make(SETTINGS, make_channels())
    return role


@pytest.mark.parametrize("make", [OrdersRole, InventoryRole, Accepting])
async def test_any_record_is_decided_or_set_aside_with_a_reason(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    valid = await valid_records(make)
    assert valid
    bench = Bench(made(make))
    bench.decide(valid)
    drawn = poisons(Random(SEED), valid)
    caplog.set_level(logging.ERROR)
    caplog.clear()
    for _ in range(RECORDS):
        kind, raw = next(drawn)
        bench.decide([raw])
        assert not caplog.records, (kind, raw, caplog.text)
    set_aside = bench.set_aside()
    assert "decision_failed" not in set_aside
    assert 0.2 * RECORDS < sum(set_aside.values()) < RECORDS, "some were decided"
    await bench.published("commands.rejected")
