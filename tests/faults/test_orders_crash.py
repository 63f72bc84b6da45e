"""An orders role that dies while the state of an order is written in parts.

One order takes the way of `sluice bench orders`, event by event, and is forgotten in the end. At the events in KILLS
the process dies by SIGKILL at a step of the group commit, and begins again. What a fresh reader finds in orders.state
after each event is what it finds after a run in which nothing dies, and so are the effects, each id once.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.orders import job
from bench.processes import SECRET_KEY, places, records_of
from streams.order.model.entity import Entity
from streams.order.records.stored_entity import STATE, read_entity
from streams.order.records.ticks import Until, tick_record
from streams.runtime.durability.rebuild import Rebuild
from streams.runtime.tables.parted_table import PartedTable
from streams.runtime.tables.partition_table import PartitionState
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.roles import RoleProcess, crash_environment
from topics.configuration.settings import Settings, load_settings
from topics.configuration.sla import DEFAULT_POLICY
from topics.kafka import admin
from topics.records.keys import change_key, order_key
from topics.records.reading import MADE_BY, OWNER_KEY, made_by

CHANNELS = """
[increff]
url = "http://127.0.0.1:9"

[channels.demo]
credentials = { username = "demo", password = "secret" }
increff_credentials = { username = "sluice", password = "secret" }
increff_headers = { X-Api-Key = "key" }
marketplace = { url = "http://127.0.0.1:9" }
sla = { submit_s = 0, acknowledge_s = 0, pack_s = 0, handover_s = 0, dispatch_near_s = 0 }
"""
"""Without times that a step may take: the only tick is the one in which the order is forgotten."""
ORDER = 1
KEY = order_key(job.CHANNEL, job.code_of(ORDER))
EFFECTS = ("orders.events", "deliveries.requests", "replies", "commands.rejected")
BEFORE, BETWEEN, BEHIND = "before_effects", "between_effects_and_state", "between_state_and_offsets"
FORGOTTEN = len(job.STEPS)
"""Offset of the tick in which the order is forgotten."""
KILLS = (
    (1, BETWEEN),
    (2, BETWEEN),
    (4, BEHIND),
    (6, BEFORE),
    (9, BEFORE),
    (12, BEHIND),
    (FORGOTTEN, BEFORE),
    (FORGOTTEN, BETWEEN),
    (FORGOTTEN, BEHIND),
)
"""Offset of the event, and the step at which the process dies: each step while a change is written (1, 9, 12; the last
two take the place of a change), while a base follows a change (2, 4, 6), and while the order is forgotten."""
BASES = (2, 4, 6)
CHANGES = (9, 12)


class Found(NamedTuple):
    """What a run has left in Kafka. `states`: by source offset, what is recovered from the log up to there."""

    states: dict[int, Entity | None]
    live: set[bytes]
    """Keys whose last record in orders.state is no deletion."""
    written: set[tuple[int, bytes]]
    """Source offset and key of each record in orders.state."""
    effects: dict[str, list[Any]]
    """By topic, each id once."""
    copies: Counter[int]
    """By source offset: how often the first of its effects left."""
    answers: dict[bytes, bytes]


class Run:
    """The topics of one run and its orders role."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._armed = directory / "armed"
        directory.mkdir()
        (directory / "channels.toml").write_text(CHANNELS)
        environment = {**crash_environment(self._armed), "SLUICE_SECRET_KEY": SECRET_KEY}
        self._role = RoleProcess("orders", settings, directory, environment=environment)
        self._stored: set[int] = set()
        self._producer: Any = None
        self._reader: Any = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        kafka = self._settings.kafka
        (commands,) = places(self._settings, "orders.commands")
        clients = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await clients.start()
        # With the times of the test, of which the last lies months ahead.
        config = {"message.timestamp.after.max.ms": str(2 * DEFAULT_POLICY.forget_ms), "retention.ms": "-1"}
        await clients.create_topics([NewTopic(commands.topic, 1, 1, topic_configs=config)])
        await clients.close()
        await admin.create(self._settings)
        self._producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
        self._reader = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
        try:
            await self._producer.start()
            await self._reader.start()
            self._reader.assign(places(self._settings, STATE))
            yield
        finally:
            await self._role.end(signal.SIGKILL)
            await self._producer.stop()
            await self._reader.stop()

    async def travel(self, start_ms: int, kills: Sequence[tuple[int, str]]) -> Found:
        """The order's way, with one event after the other; then what it has left."""
        await self._role.start()
        for offset in range(FORGOTTEN + 1):
            steps = [step for at, step in kills if at == offset]
            for number, step in enumerate(steps):
                self._armed.write_text(f"orders {step} 1 @{offset}")
                await (self._role.start() if number else self._send(offset, start_ms))
                assert await self._role.ended() == -signal.SIGKILL
                assert not self._armed.exists()
            await (self._role.start() if steps else self._send(offset, start_ms))
            await eventually(partial(self._is_stored, offset), what=self._role.log)
        await self._role.ready()
        assert await self._role.end(signal.SIGTERM) == 0
        return await self._found()

    async def _send(self, offset: int, start_ms: int) -> None:
        now_ms = start_ms + offset
        if offset == FORGOTTEN:
            now_ms += DEFAULT_POLICY.forget_ms
            one: Any = tick_record(0, Until(now_ms), "forgets", now_ms)
        else:
            one = job.input_of(ORDER, job.steps_of(ORDER)[offset], start_ms)
        (commands,) = places(self._settings, "orders.commands")
        await self._producer.send_and_wait(
            commands.topic, one.value, key=one.key, partition=0, timestamp_ms=now_ms, headers=list(one.headers)
        )

    async def _is_stored(self, offset: int) -> bool:
        """Whether orders.state says that the event at an offset was decided."""
        for records in (await self._reader.getmany(timeout_ms=0)).values():
            self._stored.update(made_by(record.headers).offset for record in records)
        return offset in self._stored

    async def _found(self) -> Found:
        table = PartedTable(STATE, PartitionState(0, [STATE], PartedTable))
        rebuild = Rebuild(table, STATE)
        states: dict[int, Entity | None] = {}
        last: dict[bytes, bytes | None] = {}
        written = set()
        for record in await self._read(STATE):
            rebuild.apply([record])
            if record.key != OWNER_KEY:
                offset = made_by(record.headers).offset
                states[offset] = read_entity(table, KEY)
                written.add((offset, record.key))
                last[record.key] = record.value
        live = {key for key, value in last.items() if value is not None}
        effects, copies = await self._effects()
        answers = {one.key: one.value for one in await self._read("relay.answers") if one.key != OWNER_KEY}
        return Found(states, live, written, effects, copies, answers)

    async def _effects(self) -> tuple[dict[str, list[Any]], Counter[int]]:
        found: dict[str, list[Any]] = {}
        left: dict[int, Counter[bytes]] = {}
        for topic in EFFECTS:
            by_id: dict[bytes, Any] = {}
            for record in await self._read(topic):
                headers = [header for header in record.headers if header[0] != MADE_BY]
                one = (record.partition, record.key, record.value, headers)
                name = dict(headers)["ce_id"]
                assert by_id.setdefault(name, one) == one  # a repeat is the same
                left.setdefault(made_by(record.headers).offset, Counter())[topic.encode() + name] += 1
            found[topic] = list(by_id.values())
        for offset, counts in left.items():
            assert len(set(counts.values())) == 1, (offset, counts)  # all effects of an event leave, or none
        return found, Counter({offset: max(counts.values()) for offset, counts in left.items()})

    async def _read(self, topic: str) -> list[Any]:
        return await records_of(self._settings.kafka, places(self._settings, topic))


async def run(kafka: Kafka, prefix: str, directory: Path, start_ms: int, kills: Sequence[tuple[int, str]]) -> Found:
    settings = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=1)
    made = Run(settings, directory)
    async with made.opened():
        return await made.travel(start_ms, kills)


async def test_an_order_is_as_if_nothing_had_died(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    start_ms = time.time_ns() // 1_000_000
    plain, killed = await asyncio.gather(
        run(kafka, f"{prefix}-plain", tmp_path / "plain", start_ms, ()),
        run(kafka, f"{prefix}-killed", tmp_path / "killed", start_ms, KILLS),
    )
    for at in BASES:
        assert {(at - 1, KEY), (at, KEY)} & plain.written == {(at, KEY)}
    for at in CHANGES:
        assert {(at - 1, change_key(KEY, 1)), (at, change_key(KEY, 1))} <= plain.written
    assert {(FORGOTTEN, KEY), (FORGOTTEN, change_key(KEY, 1))} <= plain.written
    assert killed.states == plain.states
    assert [offset for offset in range(FORGOTTEN + 1) if not killed.states[offset]] == [FORGOTTEN]
    assert killed.live == plain.live == set()
    assert killed.effects == plain.effects
    assert killed.effects["orders.events"]
    assert not killed.effects["commands.rejected"]
    assert killed.answers == plain.answers
    assert set(plain.copies.values()) == {1}
    again = Counter(offset for offset, step in KILLS if step == BETWEEN)
    assert killed.copies == plain.copies + Counter({at: again[at] for at in plain.copies})
