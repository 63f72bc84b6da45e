"""A pause of a destination outlives the worker that followed it: nothing leaves before its end, and then all does."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from aiohttp import web
from aiokafka import AIOKafkaProducer

from tests.fakes.delivery import request_for
from tests.integration.delivery.test_delivery import staged
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from topics.configuration.settings import Settings
from topics.destinations.pauses import DestinationControl, DestinationPause
from topics.records.deliveries import OutcomeKind

COUNT = 12


async def say(settings: Settings, *, paused: bool, until_ms: int | None = None) -> None:
    now_ms = round(time.time() * 1000)
    pause = DestinationPause(since_ms=now_ms, until_ms=until_ms, by="alice", reason="night") if paused else None
    control = DestinationControl(pause=pause, action="pau_1", by="alice", reason="night", at_ms=now_ms)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        topic = f"{settings.topic_prefix}.destinations.controls.v1"
        await producer.send_and_wait(topic, control.encode(), key=b"channel:demo", partition=0)
    finally:
        await producer.stop()


async def test_a_pause_holds_over_kills_and_its_end_lets_all_go(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    async with staged(kafka, prefix, tmp_path) as stage:
        stage.far.answer = lambda _name, _attempt: web.Response()
        await say(stage.settings, paused=True)
        await stage.role.begin()
        wanted = [f"r{n}" for n in range(COUNT)]
        await stage.give(*(request_for("acknowledgement", f"o{n % 3}", name) for n, name in enumerate(wanted)))
        await stage.role.end(signal.SIGKILL)
        await stage.role.begin()
        assert stage.far.arrivals == [], "the pause was read before anything was sent"
        await say(stage.settings, paused=True, until_ms=round(time.time() * 1000) + 1_500)
        await eventually(lambda: len(stage.final()) == COUNT, 60, what=lambda: f"{len(stage.final())} delivered")
        assert set(stage.final().values()) == {OutcomeKind.DELIVERED}
        assert sorted(name for name, _, _ in stage.far.arrivals) == sorted(wanted), "each once: no attempt was counted"
        assert {attempt for _, attempt, _ in stage.far.arrivals} == {1}
