"""The delivery role as a process on a real Kafka: what is requested arrives, outcomes come back, and neither a restart
nor a kill loses, hurries, inverts or overspends anything."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.fakes.delivery import request_for
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.receivers import over
from tests.support.roles import RoleProcess
from topics.configuration.budgets import Budget, TokenBucket
from topics.configuration.settings import Settings
from topics.kafka import admin
from topics.kafka.catalogue import BY_NAME
from topics.records import envelope
from topics.records.deliveries import DeliveryRequest, Outcome, OutcomeKind, decode_outcome
from topics.records.envelope import Envelope
from topics.records.keys import destination_partition

PARTITIONS = 2
FLOOR_SLACK_MS = 50
"""The test and the role read the same wall clock in two processes, each with its own anchor."""

CHANNELS = """
[increff]
url = "{base}/increff"
{increff}

[channels.demo]
credentials = {{ username = "demo", password = "demo-secret", domain = "demo" }}
increff_credentials = {{ username = "sluice", password = "sluice-secret", domain = "demo" }}
increff_headers = {{ X-Api-Key = "demo-increff" }}
marketplace = {{ url = "{base}/marketplace" }}
"""


class FarSide:
    """Both far sides on one server. `arrivals` are (delivery id, attempt, epoch seconds)."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[str, int, float]] = []
        self.answer: Callable[[str, int], web.Response] = lambda _id, _attempt: web.Response()
        self.takes_s = 0.0
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        name, attempt = request.headers["Sluice-Delivery-Id"], int(request.headers["Sluice-Attempt"])
        self.arrivals.append((name, attempt, time.time()))
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        return self.answer(name, attempt)

    def ids(self) -> list[str]:
        return [name for name, _, _ in self.arrivals]

    async def more(self, count: int) -> None:
        """Until so many more requests arrived."""
        wanted = len(self.arrivals) + count
        await eventually(lambda: len(self.arrivals) >= wanted)


class Stage:
    """A far side, a topic prefix and a process that can be ended and begun again."""

    def __init__(self, settings: Settings, far: FarSide, producer: Any, consumer: Any, directory: Path) -> None:
        self.settings = settings
        self.far = far
        self.outcomes: list[Outcome] = []
        self.role = RoleProcess("delivery", settings, directory)
        self._producer = producer
        self._consumer = consumer
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for record in self._consumer:
            if envelope.parse(record.headers).type == envelope.DELIVERY_OUTCOME:
                self.outcomes.append(decode_outcome(record.value))

    def final(self) -> dict[str, OutcomeKind]:
        return {outcome.request: outcome.kind for outcome in self.outcomes if outcome.kind.final}

    async def close(self) -> None:
        self._reading.cancel()
        await self.role.end(signal.SIGKILL)

    async def give(self, *requests: DeliveryRequest) -> None:
        topic = BY_NAME["deliveries.requests"].full_name(self.settings.topic_prefix)
        for request in requests:
            headers = Envelope(id=request.id, type=envelope.DELIVERY_REQUEST, source="test", channel="demo").headers()
            partition = destination_partition(request.destination, request.shard, PARTITIONS)
            await self._producer.send(
                topic, request.encode(), key=request.lane.encode(), partition=partition, headers=list(headers)
            )
        await self._producer.flush()


@asynccontextmanager
async def staged(kafka: Kafka, prefix: str, directory: Path, increff: str = "") -> AsyncIterator[Stage]:
    settings = Settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS)
    await admin.create(settings)
    far = FarSide()
    await far.server.start_server()
    base = str(far.server.make_url("")).rstrip("/")
    (directory / "channels.toml").write_text(CHANNELS.format(base=base, increff=increff))
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    consumer = AIOKafkaConsumer(
        BY_NAME["orders.commands"].full_name(prefix), bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    await producer.start()
    await consumer.start()
    stage = Stage(settings, far, producer, consumer, directory)
    try:
        yield stage
    finally:
        await stage.close()
        await consumer.stop()
        await producer.stop()
        await far.server.close()


def create(code: str, request_id: str, sequence: int) -> DeliveryRequest:
    return request_for("create-outward-order", code, request_id, sequence=sequence)


async def test_what_is_requested_arrives_and_a_relays_answer_comes_back(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    async with staged(kafka, prefix, tmp_path) as stage:
        answer = {"shipmentCode": "S-1"}
        stage.far.answer = lambda name, _: web.json_response(answer) if name == "pack" else web.Response()
        await stage.role.begin()
        deadline_ms = int(time.time() * 1000) + 40_000
        await stage.give(
            create("A", "create", 1),
            request_for("update-order-properties", "A", "update", sequence=2),
            request_for("pack-order", "A", "pack", deadline_ms=deadline_ms),
        )
        await eventually(lambda: len(stage.final()) == 3)
        assert set(stage.final().values()) == {OutcomeKind.DELIVERED}
        assert [outcome.body for outcome in stage.outcomes if outcome.request == "pack"] == [answer]
        assert [name for name in stage.far.ids() if name != "pack"] == ["create", "update"]
        await stage.role.end(signal.SIGTERM)


async def test_a_restart_keeps_the_time_of_a_retry_and_what_waits_behind_it(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    async with staged(kafka, prefix, tmp_path, "retry_first_s = 12") as stage:
        stage.far.answer = lambda _, attempt: web.Response(status=500 if attempt == 1 else 200)
        await stage.role.begin()
        await stage.give(create("A", "first", 1), request_for("update-order-properties", "A", "second", sequence=2))
        await eventually(lambda: len(stage.outcomes) == 1)
        next_ms = stage.outcomes[0].next_at_ms
        assert next_ms is not None
        await stage.role.end(signal.SIGTERM)
        stage.far.answer = lambda _, __: web.Response()
        await stage.role.begin()
        await eventually(lambda: len(stage.final()) == 2, 60)
        assert [(name, attempt) for name, attempt, _ in stage.far.arrivals] == [
            ("first", 1),
            ("first", 2),
            ("second", 1),
        ]
        assert stage.far.arrivals[1][2] * 1000 >= next_ms - FLOOR_SLACK_MS


@pytest.mark.parametrize("kills", [3])
async def test_kills_in_the_air_lose_nothing_invert_nothing_and_overspend_nothing(
    kafka: Kafka, prefix: str, tmp_path: Path, kills: int
) -> None:
    window, bucket = Budget(requests=20, window_s=2), TokenBucket(shape="token-bucket", rate_per_s=12, burst=16)
    limits = (
        "budget = [{ requests = 20, window_s = 2 }, { shape = 'token-bucket', rate_per_s = 12, burst = 16 }]\n"
        "concurrency = 8"
    )
    async with staged(kafka, prefix, tmp_path, limits) as stage:
        stage.far.takes_s = 0.05
        lanes = [[f"o{order}.{n}" for n in range(5)] for order in range(16)]
        await stage.role.begin()
        await stage.give(*(create(f"o{o}", name, n + 1) for o, lane in enumerate(lanes) for n, name in enumerate(lane)))
        for kill in range(kills):
            await stage.far.more(5)
            await stage.role.end(signal.SIGKILL)
            # Which of its requests the killed process had in the air differs from kill to kill, and from run to run.
            stage.far.takes_s = 0.01 * (kill + 1)
            await stage.role.begin()
        await eventually(lambda: len(stage.final()) == 80, 60, what=lambda: f"{len(stage.final())} of 80")
    arrivals: dict[str, list[int]] = defaultdict(list)
    for name in stage.far.ids():
        order, _, number = name.partition(".")
        arrivals[order].append(int(number))
    assert len(arrivals) == 16
    for order, numbers in arrivals.items():
        assert numbers == sorted(numbers), f"{order} inverted: {json.dumps(numbers)}"
        assert set(numbers) == set(range(5))
    arrived = [(moment * 1000, "create-outward-order") for _, _, moment in stage.far.arrivals]
    assert over(window, arrived, phase_ms=0) <= 0
    assert over(bucket, arrived, phase_ms=0) <= 0
