"""A second worker of an instance name ends itself, never the one that lives; a restart after a crash is none."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.runtime.lab import Lab, WorkerProcess

KEYS, LAST = 4, 10
ELSEWHERE = "elsewhere"
"""A directory for local state of another machine."""


@pytest.fixture
async def lab(kafka: Kafka, prefix: str, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = await Lab(kafka.bootstrap, prefix, tmp_path).open()
    yield lab
    await lab.close()


async def _goes_on(lab: Lab, worker: WorkerProcess, rounds: int) -> None:
    """The worker decides what comes now."""
    await lab.feed(KEYS, (rounds - 1) * LAST + 1, rounds * LAST)
    await lab.decided(KEYS, rounds * LAST)
    assert worker.process.poll() is None, worker.log.read_text()
    assert worker.ask("/ready")[0] == 200


@pytest.mark.parametrize("directory", [".sluice", ELSEWHERE])
async def test_a_second_worker_of_a_name_ends_itself(lab: Lab, directory: str) -> None:
    first = await lab.start().ready()
    await _goes_on(lab, first, 1)
    second = lab.start(SLUICE_STATE_DIR=directory)
    assert await second.ended() != 0
    said = second.log.read_text()
    assert "a worker of the counting role with the instance name '0' runs" in said
    assert "Give each worker a name of its own (--instance or SLUICE_INSTANCE)" in said
    await _goes_on(lab, first, 2)
    assert first.metric("rebalances_total") == 1
    assert "InstanceTakenError" not in first.log.read_text()
    assert await lab.check(KEYS, 2 * LAST) == 0


@pytest.mark.parametrize("directory", [".sluice", ELSEWHERE])
async def test_a_restart_after_a_crash_gets_the_name_back(lab: Lab, directory: str) -> None:
    """With its directory at once; without it, when the session of the dead one is over."""
    first = await lab.start().ready()
    await _goes_on(lab, first, 1)
    await first.kill()
    again = await lab.start(SLUICE_STATE_DIR=directory).ready()
    waited = "a worker of this name is in the group" in again.log.read_text()
    assert not waited or directory == ELSEWHERE  # there, too, if the session was over when it looked
    await _goes_on(lab, again, 2)


async def test_the_name_is_free_after_a_clean_end(lab: Lab) -> None:
    first = await lab.start().ready()
    await _goes_on(lab, first, 1)
    first.process.send_signal(signal.SIGTERM)
    again = await lab.start(SLUICE_STATE_DIR=ELSEWHERE).ready()
    assert await first.ended() == 0
    await _goes_on(lab, again, 2)


async def test_a_worker_that_waits_for_its_name_hears_a_signal(lab: Lab) -> None:
    await lab.start().ready()
    second = lab.start(SLUICE_STATE_DIR=ELSEWHERE)
    await eventually(lambda: "a worker of this name is in the group" in second.log.read_text())
    second.process.send_signal(signal.SIGTERM)
    assert await second.ended() == 0


async def test_a_worker_that_stands_still_keeps_its_name_on_its_machine(lab: Lab) -> None:
    """When it goes on, two of its name and directory would write the same files."""
    first = await lab.start().ready()
    first.process.send_signal(signal.SIGSTOP)
    second = lab.start()
    assert await second.ended() != 0
    assert "on this machine, in " in second.log.read_text()
    first.wake()
    await first.ready()
