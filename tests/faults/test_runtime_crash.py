"""A worker killed at any step of a group commit loses nothing, and its state is exact after the restart.

The steps: before effects, between effects and state, between state and offsets, after. Effects may leave twice, with
the same bytes; state never counts a record twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.kafka import Kafka
from tests.support.runtime.lab import Lab
from tests.support.runtime.worker import CRASH_POINTS

KEYS, LAST = 20, 40


@pytest.fixture
async def lab(kafka: Kafka, prefix: str, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = await Lab(kafka.bootstrap, prefix, tmp_path).open()
    yield lab
    await lab.close()


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_kill_at_each_step(lab: Lab, point: str) -> None:
    worker = await lab.start(CRASH_AT=f"{point}:4").ready()
    feeding = asyncio.create_task(lab.feed(KEYS, 1, LAST, pause_s=0.02))
    assert await worker.ended() == -9
    again = await lab.start().ready()
    await feeding
    await lab.decided(KEYS, LAST)
    repeats = await lab.check(KEYS, LAST)
    if point == "before_effects":
        assert repeats == 0
    if point in {"between_state_and_offsets", "after"}:
        # The state tells that these are redeliveries: skipped in silence, nothing leaves twice.
        assert repeats == 0
        assert again.metric("records_redelivered_total") > 0
    if point in {"between_effects_and_state", "behind_effects_of_the_next"}:
        assert repeats > 0


async def test_kill_again_and_again_at_any_moment(lab: Lab) -> None:
    feeding = asyncio.create_task(lab.feed(KEYS, 1, 6 * LAST, pause_s=0.02))
    for _ in range(4):
        worker = await lab.start().ready()
        await worker.decides(KEYS)
        await worker.kill()
    await lab.start().ready()
    await feeding
    await lab.decided(KEYS, 6 * LAST)
    await lab.check(KEYS, 6 * LAST)


async def test_clean_stop_commits_everything_and_a_restart_goes_on(lab: Lab) -> None:
    worker = await lab.start().ready()
    await lab.feed(KEYS, 1, LAST)
    await lab.decided(KEYS, LAST)
    assert await worker.terminate() == 0
    again = await lab.start().ready()
    await lab.feed(KEYS, LAST + 1, 2 * LAST)
    await lab.decided(KEYS, 2 * LAST)
    assert await lab.check(KEYS, 2 * LAST) == 0
    assert again.metric("records_decided_total") == KEYS * LAST
    assert again.metric("records_redelivered_total") == 0
    assert again.metric('table_keys{table="runtime.state"}') == KEYS
