"""Workers that join, die, hang or leave under load: nothing is lost, state stays exact, order per key holds."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.runtime.lab import PARTITIONS, Lab, WorkerProcess
from tests.support.runtime.worker import STATE

KEYS = 40


@pytest.fixture
async def lab(kafka: Kafka, prefix: str, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = await Lab(kafka.bootstrap, prefix, tmp_path).open()
    yield lab
    await lab.close()


async def owns(worker: WorkerProcess, partitions: int) -> None:
    await eventually(
        lambda: asyncio.to_thread(lambda: worker.metric("partitions") == partitions),
        what=lambda: f"{partitions} partitions, has {worker.metric('partitions')}",
    )
    await worker.ready()


async def test_join_kill_rejoin_and_leave_under_load(lab: Lab) -> None:
    first = await lab.start("a").ready()
    feeding = asyncio.create_task(lab.feed(KEYS, 1, 400, pause_s=0.02))
    second = await lab.start("b").ready()
    await owns(first, PARTITIONS // 2)
    await owns(second, PARTITIONS // 2)
    await second.kill()
    await owns(first, PARTITIONS)  # after b's session has ended
    third = await lab.start("c").ready()
    await owns(third, PARTITIONS // 2)
    assert await first.terminate() == 0
    await owns(third, PARTITIONS)  # at once: a left the group
    await feeding
    await lab.decided(KEYS, 400)
    await lab.check(KEYS, 400)


async def test_a_survivor_takes_over_what_it_has_kept_current(lab: Lab) -> None:
    first = await lab.start("a").ready()
    second = await lab.start("b").ready()
    await owns(first, PARTITIONS // 2)
    await owns(second, PARTITIONS // 2)
    await lab.feed(KEYS, 1, 20)
    await lab.decided(KEYS, 20)
    written = len(await lab.read(STATE))
    await eventually(
        lambda: asyncio.to_thread(
            lambda: first.metric("standby_records_total") + second.metric("standby_records_total") >= written
        ),
        what="each worker has read what the other wrote",
    )
    recovered = first.metric("records_recovered_total")
    await second.kill()
    await lab.feed(KEYS, 21, 40)  # what the survivor decides before and after the session's end
    await owns(first, PARTITIONS)
    await lab.decided(KEYS, 40)
    assert first.metric("records_recovered_total") - recovered < KEYS
    assert first.metric("standby_partitions") == 0
    await lab.check(KEYS, 40)


async def test_killed_worker_that_comes_back_gets_its_partitions_at_once(lab: Lab) -> None:
    """Static membership: nobody waits for the dead one's session, which is longer than this test, and the other worker
    is not disturbed."""
    first = await lab.start("a", SESSION_S="300").ready()
    second = await lab.start("b", SESSION_S="300").ready()
    await owns(first, PARTITIONS // 2)
    rebalances = first.metric("rebalances_total")
    await second.kill()
    again = await lab.start("b", SESSION_S="300").ready()
    assert again.metric("partitions") == PARTITIONS // 2
    assert first.metric("rebalances_total") == rebalances
    await lab.feed(KEYS, 1, 5)
    await lab.decided(KEYS, 5)
    assert await lab.check(KEYS, 5) == 0


async def test_worker_that_hung_past_its_session_ends_instead_of_writing(lab: Lab) -> None:
    """It is stopped while records come, another takes over, it wakes up: its lease is over, and only it notices."""
    hung = await lab.start("a").ready()
    await lab.feed(KEYS, 1, 10)
    await lab.decided(KEYS, 10)
    feeding = asyncio.create_task(lab.feed(KEYS, 11, 200, pause_s=0.02))
    hung.process.send_signal(signal.SIGSTOP)
    other = lab.start("b")
    await owns(other, PARTITIONS)
    await lab.decided(KEYS, 20)
    hung.process.send_signal(signal.SIGCONT)
    await eventually(
        lambda: asyncio.to_thread(lambda: hung.process.poll() is not None or hung.metric("partitions") == 2),
        what="an end or a new assignment",
    )
    await feeding
    await lab.decided(KEYS, 200)
    await lab.check(KEYS, 200)


async def test_two_workers_of_one_name_end_instead_of_writing_over_each_other(lab: Lab) -> None:
    """Each takes the membership from the other, so both may believe that all partitions are theirs: one must end."""
    first = await lab.start("twin").ready()
    second = lab.start("twin")
    feeding = asyncio.create_task(lab.feed(KEYS, 1, 30, pause_s=0.02))
    await eventually(
        lambda: first.process.poll() is not None or second.process.poll() is not None, what="one of the two ends"
    )
    await feeding
    for worker in (first, second):
        if worker.process.poll() is None:
            await worker.kill()
    await lab.start("survivor").ready()
    await lab.decided(KEYS, 30)
    await lab.check(KEYS, 30)
