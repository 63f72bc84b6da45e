"""What a far side refused is redriven through a kill of the worker and of the gateway's redrive: all of it arrives, and
nothing twice beyond what was in the air."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from gateway.api.redrives.job import Job, Redriver
from gateway.api.redrives.selection import Choice
from gateway.api.steps.letters import ShownLetters, previewed
from gateway.http.metrics import Metrics
from gateway.kafka.log_reader import dead_letter_log
from gateway.kafka.producer import SharedProducer
from tests.fakes.delivery import request_for
from tests.integration.delivery.test_delivery import PARTITIONS, staged
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from topics.api.redrives import RedriveAsked
from topics.configuration.settings import Settings
from topics.records.deliveries import OutcomeKind

COUNT = 40
PLACES = 4
"""Of 32 places redrive has one in eight (streams/delivery/admission/background_share.py)."""


@asynccontextmanager
async def redriver(settings: Settings) -> AsyncIterator[Redriver]:
    producer = SharedProducer(settings, Metrics())
    producer.start()
    try:
        await eventually(lambda: producer.unready() is None)
        yield Redriver(dead_letter_log(settings), producer, lambda _: True, PARTITIONS, lambda: 1)
    finally:
        await producer.stop()


async def job(settings: Settings, name: str) -> Job:
    """A job of what a preview shows now."""
    asked = RedriveAsked(failure="400")
    choice = Choice(asked, lambda _: True)
    ends = await previewed(dead_letter_log(settings), choice)
    return Job(name, asked, 1, ShownLetters(choice.digest(), len(choice.chosen), ends))


async def test_redriven_through_kills_each_arrives_and_none_twice_but_what_was_in_the_air(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    async with staged(kafka, prefix, tmp_path) as stage, redriver(stage.settings) as redrives:
        stage.far.answer = lambda _name, _attempt: web.Response(status=400)
        await stage.role.begin()
        wanted = [f"r{n}" for n in range(COUNT)]
        await stage.give(*(request_for("acknowledgement", f"o{n % 8}", name) for n, name in enumerate(wanted)))
        await eventually(lambda: len(stage.final()) == COUNT, 60, what=lambda: f"{len(stage.final())} refused")

        refused = len(stage.far.arrivals)
        stage.far.answer = lambda _name, _attempt: web.Response()
        stage.far.takes_s = 0.05
        first = asyncio.create_task(redrives.run(await job(stage.settings, "rdv_1")))
        await stage.far.more(COUNT // 4)
        first.cancel()
        await stage.role.end(signal.SIGKILL)
        await stage.role.begin()
        second = await job(stage.settings, "rdv_2")
        await redrives.run(second)
        assert second.state == "done", second

        def delivered() -> bool:
            return set(stage.final().values()) == {OutcomeKind.DELIVERED}

        await eventually(delivered, 60, what=lambda: str(stage.final()))
        last = await job(stage.settings, "rdv_3")
        await redrives.run(last)
        assert (last.found, last.sent) == (0, 0)
        arrived = Counter(name for name, _, _ in stage.far.arrivals[refused:])
        assert set(arrived) == set(wanted)
        assert sum(arrived.values()) - COUNT <= PLACES
