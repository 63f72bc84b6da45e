"""One run: requests on Kafka, two delivery workers that are killed, a third that comes, and the score at the end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaProducer

from sluice.dev.torture.log import read
from sluice.dev.torture.score import Score, score
from streams.delivery.admission.admission import UNRECORDED_PER_PLACE
from tests.support.roles import RoleProcess
from tests.torture.load import SECRET, SECRET_VARIABLE, SUBSCRIPTION, Load
from tests.torture.receiving import Log, receiving
from topics.configuration.settings import Settings
from topics.kafka import admin
from topics.kafka.catalogue import BY_NAME, RECORD_BYTES_MAX

CHANNELS = """
[increff]
url = "http://127.0.0.1:9/increff"

[channels.demo]
credentials = { username = "demo", password = "demo-secret", domain = "demo" }
increff_credentials = { username = "sluice", password = "sluice-secret", domain = "demo" }
increff_headers = { X-Api-Key = "demo-increff" }
marketplace = { url = "http://127.0.0.1:9/marketplace" }
"""
LOCAL_SUBSCRIBERS = {
    SECRET_VARIABLE: SECRET,
    "SLUICE_SUBSCRIBER_NETWORKS": "127.0.0.0/8",
    "SLUICE_SUBSCRIBER_PORTS": "1-65535",
    "SLUICE_SUBSCRIBER_HTTP": "true",
    "SLUICE_LOG_LEVEL": "warning",
}
PRODUCED_AT_ONCE = 1_000
LOOK_S = 0.2
READY_S = 300.0
"""A worker that begins again reads what waits: at a third of the whole run, a backlog of 130,000 deliveries."""
QUIET_S = 3
ON_ITS_WAY_MS = 1_000.0
"""Workers and the receiver share two busy cores: what one did, another may read that much later."""
STALL_S = 120.0
"""Nothing acknowledged for so long: the run is over, and what is missing is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`kills`: after which shares of the deliveries a worker is killed; `grow`: after which a third worker comes."""

    load: Load
    share: float = 0.15
    seed: int = 0
    kills: tuple[float, ...] = (0.3, 0.6)
    grow: float | None = 0.45
    say: Callable[[str], None] = field(default=lambda _: None)

    @property
    def repeats_max(self) -> int:
        """A killed worker's requests in the air may all have been taken, and outcomes of UNRECORDED_PER_PLACE times as
        many may not be durable yet: they are sent once more."""
        return len(self.kills) * self.load.shards * (1 + UNRECORDED_PER_PLACE) * self.load.concurrency


async def torture(run: Run, settings: Settings, directory: Path) -> Score:
    """The score of the run. Raises AssertionError when a worker does not start."""
    (directory / "channels.toml").write_text(CHANNELS, encoding="utf-8")
    await admin.create(settings)
    options = ["--share", str(run.share), "--seed", str(run.seed), "--quiet-s", str(QUIET_S), "--secret", SECRET]
    workers = {name: _worker(settings, directory, name) for name in ("one", "two", "three")}
    async with receiving(directory, options) as (url, log):
        try:
            await _subscribe(run.load, settings, url)
            await asyncio.gather(workers["one"].begin(), workers["two"].begin())
            producing = asyncio.create_task(_produce(run.load, settings))
            await _disturb(run, workers, log)
            await producing
            await _until_share(run, log, 1.0)
        finally:
            for worker in workers.values():
                await worker.end(signal.SIGTERM)
    with log.path.open("rb") as lines:
        return score(read(lines), expected=run.load.expected(), on_its_way_ms=ON_ITS_WAY_MS)


def _worker(settings: Settings, directory: Path, name: str) -> RoleProcess:
    return RoleProcess("delivery", settings, directory, instance=name, environment=LOCAL_SUBSCRIBERS)


async def _disturb(run: Run, workers: dict[str, RoleProcess], log: Log) -> None:
    """Kills the workers in turn and begins them again; a third one comes in between, and stays."""
    steps: list[tuple[float, str]] = [(share, ("one", "two")[turn % 2]) for turn, share in enumerate(run.kills)]
    if run.grow is not None:
        steps.append((run.grow, "three"))
    for share, name in sorted(steps):
        await _until_share(run, log, share)
        if name == "three":
            run.say("a third worker comes")
        else:
            await workers[name].end(signal.SIGKILL)
            run.say(f"worker {name} was killed")
        await workers[name].begin(READY_S)


async def _until_share(run: Run, log: Log, share: float) -> None:
    """Returns when so much was acknowledged, or nothing more is: the score says what is missing then."""
    wanted = round(run.load.deliveries * share)
    seen, moved = log.acknowledged(), time.monotonic()
    while seen < wanted and time.monotonic() - moved < STALL_S:
        await asyncio.sleep(LOOK_S)
        if (now := log.acknowledged()) > seen:
            seen, moved = now, time.monotonic()
    run.say(f"{seen:,} of {run.load.deliveries:,} acknowledged")


async def _subscribe(load: Load, settings: Settings, url: str) -> None:
    async with _producer(settings) as producer:
        topic = BY_NAME["subscriptions"].full_name(settings.topic_prefix)
        await producer.send_and_wait(topic, key=SUBSCRIPTION.encode(), value=load.subscription(url).encode())


async def _produce(load: Load, settings: Settings) -> None:
    topic = BY_NAME["deliveries.requests"].full_name(settings.topic_prefix)
    async with _producer(settings) as producer:
        waiting = []
        for partition, key, value, headers in load.records(settings):
            waiting.append(await producer.send(topic, key=key, value=value, partition=partition, headers=list(headers)))
            if len(waiting) >= PRODUCED_AT_ONCE:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)


def _producer(settings: Settings) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka, enable_idempotence=True, max_request_size=RECORD_BYTES_MAX, linger_ms=5
    )
