"""The orders role over logs in memory, with the runtime's own tables: crashes, redeliveries and repeats at will."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from msgspec import NODEFAULT, structs, to_builtins

from sluice.demo_channels import demo_channels
from streams.order.model.entities import StateError
from streams.order.records.ticks import DueIndex, tick_record
from streams.order.role import OrdersRole
from streams.order.storage.changes import read
from streams.runtime.role import Effect, Poison, Record, Table
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from streams.runtime.tables.value_parts import split
from tests.support.facts import check_fact_records
from tests.support.orders import CHANNEL, DEADLINE_MS, REPLIES, START_MS
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings
from topics.contract.entities import entity_key
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import Attempt, DeliveryRequest, Outcome, OutcomeKind, decode_request
from topics.records.envelope import COMMAND, DELIVERY_OUTCOME, DELIVERY_SOURCE, GATEWAY_SOURCE, Envelope
from topics.records.keys import partition_of
from topics.subscriptions.index import SubscriptionIndex

PARTITIONS = 4
Raw = tuple[bytes, bytes, tuple[tuple[str, bytes], ...], int]
"""Key, value, headers and time of a record in a log."""


def make_settings() -> Settings:
    return Settings(partitions=PARTITIONS)


def make_channels(**changes: Any) -> Channels:
    """The demo channel; `off` and the like may be changed."""
    data = demo_channels()
    data["channels"][CHANNEL].update(changes)
    return parse_channels(data, where="test")


def members_of(value: bytes) -> dict[str, Any]:
    """The members of a stored entity that do not have their default, under the names of the first versions; none of a
    state that cannot be read."""
    try:
        entity = read(value)
    except StateError:
        return {}
    found: dict[str, Any] = {"kind": entity.KIND}
    for each in structs.fields(entity):
        member = to_builtins(getattr(entity, each.name))
        default = each.default if each.default_factory is NODEFAULT else each.default_factory()
        if each.required or each.name == "due_ms" or member != to_builtins(default):
            found[each.encode_name] = member
    return found


def parts_of(table: Table, key: bytes) -> list[bytes]:
    """What the table has under a key, as it is in the changelog."""
    value = table.get(key)
    return split(value).contents if value is not None else []


@dataclass
class Logs:
    """The partitions of orders.commands, what was decided of them, and everything that left."""

    channels: Channels = field(default_factory=make_channels)
    records: list[list[Raw]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    effects: list[Effect] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    now_ms: int = START_MS
    ticks: int = 0
    subscriptions: SubscriptionIndex = field(default_factory=SubscriptionIndex)
    settings: Settings = field(default_factory=make_settings)

    def __post_init__(self) -> None:
        self.committed = [0] * PARTITIONS
        self.states = [
            PartitionState(p, OrdersRole.tables, of_kinds(OrdersRole.table_kinds)) for p in range(PARTITIONS)
        ]
        self.restart()

    def restart(self) -> None:
        """A new process, which finds the tables as they are."""
        self.role = OrdersRole(self.settings, self.channels, subscriptions=self.subscriptions)
        for state in self.states:
            self.role.on_assigned(state.partition, state.tables)
            state.reopened()

    def call(
        self,
        touchpoint: str,
        body: dict[str, Any],
        event_id: str,
        *,
        source: str = GATEWAY_SOURCE,
        key: bytes | None = None,
        partition: int | None = None,
    ) -> None:
        """A command, where a producer puts it."""
        self.now_ms += 5
        entity = entity_key(BY_NAME[touchpoint], CHANNEL, body)
        envelope = Envelope(
            id=event_id,
            type=COMMAND + touchpoint,
            source=source,
            channel=CHANNEL,
            reply_partition=REPLIES,
            deadline_ms=self.now_ms + DEADLINE_MS,
        )
        self.append(key if key is not None else entity, orjson.dumps(body), envelope.headers(), partition)

    def append(
        self, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...], partition: int | None = None
    ) -> None:
        home = partition_of(key, PARTITIONS) if partition is None else partition
        self.records[home].append((key, value, headers, self.now_ms))

    def tick(self, at_ms: int | None = None) -> list[Effect]:
        """Time passes: each partition in which something is due by then gets its ticks. Returns what left."""
        self.now_ms = self.now_ms if at_ms is None else at_ms
        before = len(self.effects)
        for partition in range(PARTITIONS):
            while until := self._due(partition).next_until(self.now_ms):
                self.ticks += 1
                effect = tick_record(partition, until, f"{self.ticks}", self.now_ms)
                self.append(effect.key, effect.value, effect.headers, partition)
                self.run()
        return self.effects[before:]

    def _due(self, partition: int) -> DueIndex:
        due = self.role.ticker.due(partition)
        assert due is not None
        return due

    def answer(
        self,
        request: DeliveryRequest,
        kind: OutcomeKind = OutcomeKind.DELIVERED,
        body: Any = None,
        message: str = "",
    ) -> None:
        """What delivery reports about a request."""
        self.now_ms += 5
        attempt = Attempt(number=1, at_ms=self.now_ms, took_ms=1.0, status=200)
        outcome = Outcome(
            request=request.id,
            touchpoint=request.touchpoint,
            kind=kind,
            status=200,
            body=body,
            message=message,
            attempt=attempt,
        )
        envelope = Envelope(
            id=f"{request.id}:{kind}", type=DELIVERY_OUTCOME, source=DELIVERY_SOURCE, channel=request.channel
        )
        self.append(request.entity.encode(), outcome.encode(), envelope.headers())

    def run(self) -> list[Effect]:
        """Decide everything that is in the logs, and what that causes. Returns what left."""
        before = len(self.effects)
        while any(self.committed[p] < len(self.records[p]) for p in range(PARTITIONS)):
            for partition in range(PARTITIONS):
                while self.committed[partition] < len(self.records[partition]):
                    self.step(partition)
        return self.effects[before:]

    def step(self, partition: int) -> None:
        """Decide the partition's next record, as the runtime does."""
        offset = self.committed[partition]
        state = self.states[partition]
        key, value, headers, at_ms = self.records[partition][offset]
        record = Record(partition, offset, at_ms, key, value, headers)
        state.offset = offset
        if not state.all[0].is_made_from(key):
            try:
                effects = list(self.role.decide(record, state.tables))
            except Poison as poison:
                state.undo()
                self.rejected.append((poison.code, poison.reason))
                self._leave(list(self.role.set_aside(record, poison.code, poison.reason)))
            else:
                for table in state.all:
                    table.merge()
                self._leave(effects)
        state.last_decided = max(state.last_decided, offset)
        self.committed[partition] = offset + 1

    def crash_after_effects(self, partition: int) -> None:
        """What the next record causes leaves, then the process dies before its state is durable."""
        before = [(dict(table.values), dict(table.origins)) for table in self.states[partition].all]
        decided = self.states[partition].last_decided
        self.step(partition)
        self.committed[partition] -= 1
        for table, (values, origins) in zip(self.states[partition].all, before, strict=True):
            table.values, table.origins = values, origins
        self.states[partition].last_decided = decided
        self.restart()

    def crash_before_commit(self, partition: int, records: int) -> None:
        """State is durable, the last offsets are not: Kafka delivers these records again."""
        self.committed[partition] = max(0, self.committed[partition] - records)
        self.restart()

    def requests(self) -> list[DeliveryRequest]:
        """Every request that left, each id once: a request decided again is the same."""
        found = [decode_request(effect.value) for effect in self.effects if effect.topic == "deliveries.requests"]
        return list({request.id: request for request in found}.values())

    def values(self, topic: str) -> list[Any]:
        return [orjson.loads(effect.value) for effect in self.effects if effect.topic == topic]

    def states_by_key(self) -> dict[bytes, Any]:
        return {key: members_of(value) for state in self.states for key, value in state.all[0].items()}

    def _leave(self, effects: list[Effect]) -> None:
        self.effects.extend(effects)
        check_fact_records(effects)
        for effect in effects:
            if effect.topic == "orders.commands":
                self.append(effect.key, effect.value, effect.headers, effect.partition)
