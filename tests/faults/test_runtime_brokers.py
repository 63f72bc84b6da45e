"""Brokers that are killed or hang: workers wait or are started again, nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.client import CoordinationType

from sluice.dev.local.broker import Broker, Cluster
from streams.runtime.stuck.ending import EXIT_NOT_DRAINED
from tests.support.eventually import eventually
from tests.support.runtime.lab import Lab

KEYS, LAST = 20, 200
BACKLOG_KEYS, BACKLOG_LAST = 400, 25
"""Records enough for several groups: the broker goes while it has many of them in hand."""


@asynccontextmanager
async def supervised(lab: Lab) -> AsyncIterator[None]:
    """A worker that is started again when it ends, as `sluice up` and every orchestrator do."""

    async def supervise() -> None:
        while True:
            worker = lab.start()
            while worker.process.poll() is None:  # noqa: ASYNC110 - a process has no event
                await asyncio.sleep(0.1)
            assert worker.process.returncode != 0

    supervising = asyncio.create_task(supervise())
    await eventually(lambda: lab.workers, what="a first worker")
    await lab.workers[0].ready()
    try:
        yield
    finally:
        supervising.cancel()
        await asyncio.wait([supervising])
        if not supervising.cancelled():
            supervising.result()


async def test_broker_killed_and_started_again_under_load(own_kafka: Broker, prefix: str, tmp_path: Path) -> None:
    lab = await Lab(own_kafka.bootstrap, prefix, tmp_path).open()
    try:
        async with supervised(lab):
            feeding = asyncio.create_task(lab.feed(KEYS, 1, LAST, pause_s=0.01))
            await lab.decided(KEYS, 10)
            own_kafka.kill()
            own_kafka.start()
            await asyncio.to_thread(own_kafka.wait_ready)
            await feeding
            await lab.decided(KEYS, LAST)
            await lab.check(KEYS, LAST)
    finally:
        await lab.close()


@pytest.mark.parametrize("fault", ["killed", "hangs"])
async def test_a_worker_under_load_ends_at_sigterm_while_its_broker_is_away(
    fault: str, own_kafka: Broker, prefix: str, tmp_path: Path
) -> None:
    """Nothing of its end waits for Kafka, its status says that it has not drained, and the next worker goes on."""
    lab = await Lab(own_kafka.bootstrap, prefix, tmp_path).open()
    try:
        await lab.feed(BACKLOG_KEYS, 1, BACKLOG_LAST)
        worker = await lab.start().ready()
        await worker.decides(BACKLOG_KEYS)
        own_kafka.kill() if fault == "killed" else own_kafka.pause()
        assert await worker.terminate() == EXIT_NOT_DRAINED
        if fault == "killed":
            own_kafka.start()
            await asyncio.to_thread(own_kafka.wait_ready)
        else:
            own_kafka.resume()
        lab.start()
        await lab.decided(BACKLOG_KEYS, BACKLOG_LAST)
        await lab.check(BACKLOG_KEYS, BACKLOG_LAST)
    finally:
        await lab.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "cluster")
    cluster.start()
    try:
        cluster.wait_ready()
        yield cluster
    finally:
        cluster.kill()


async def test_two_of_three_brokers_killed_in_turn(cluster: Cluster, prefix: str, tmp_path: Path) -> None:
    """Three replicas, two in sync required: each acknowledged record survives the loss of any one node."""
    lab = await Lab(cluster.bootstrap, prefix, tmp_path).open(replicas=3)
    try:
        async with supervised(lab):
            await lab.feed(KEYS, 1, 20)
            last = 20
            for broker in cluster.brokers[:2]:
                broker.kill()
                await lab.feed(KEYS, last + 1, last + 40, pause_s=0.02)  # acknowledged by the two that are left
                last += 40
                await lab.decided(KEYS, last)
                broker.start()
                await asyncio.to_thread(cluster.wait_ready)
            await lab.feed(KEYS, last + 1, last + 20)
            await lab.decided(KEYS, last + 20)
            await lab.check(KEYS, last + 20)
    finally:
        await lab.close()


SESSION_S = 20.0
"""The default of the roles."""
MOVING_AGAIN_S = SESSION_S + 15.0
"""Promised for every loss of a broker; it takes some ten seconds."""


async def test_a_broker_that_hangs_holds_workers_up_for_less_than_a_session(
    cluster: Cluster, prefix: str, tmp_path: Path
) -> None:
    """The one that leads a third of the partitions and coordinates the group. No worker ends, and none is left out."""
    lab = await Lab(cluster.bootstrap, prefix, tmp_path).open(replicas=3)
    try:
        workers = [lab.start(instance, SESSION_S=f"{SESSION_S:g}") for instance in ("0", "1")]
        for worker in workers:
            await worker.ready()
        await lab.feed(KEYS, 1, 20)
        await lab.decided(KEYS, 20)
        coordinator = await lab.producer.client.coordinator_lookup(CoordinationType.GROUP, f"{prefix}.counting")
        hanging = cluster.brokers[coordinator - 1]
        hanging.pause()
        try:
            async with asyncio.timeout(MOVING_AGAIN_S):
                await lab.feed(KEYS, 21, 40)
                await lab.decided(KEYS, 40)
            assert [worker.process.poll() for worker in workers] == [None, None]
        finally:
            hanging.resume()
        await lab.feed(KEYS, 41, 60)
        await lab.decided(KEYS, 60)
        assert await lab.check(KEYS, 60) == 0, "no worker was left out, so nothing was decided twice"
        assert [worker.process.poll() for worker in workers] == [None, None]
    finally:
        await lab.close()
