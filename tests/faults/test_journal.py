"""The journal is the topics, row for row, whatever step its processes die at, and also after one stood still.

SLUICE_TEST_JOURNAL_KILLS says how many times a process dies at each step (`make test`: once).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bench.journal.postgres import NoPostgresError, has_postgres, postgres
from tests.support.eventually import eventually
from tests.support.journal.crash_points.steps import STEPS
from tests.support.journal.lab import JournalLab
from tests.support.kafka import Kafka

KILLS = int(os.environ.get("SLUICE_TEST_JOURNAL_KILLS", "1"))
TAKEN_S = 40.0
"""Kafka gives the partitions of a process that stands still to another after its session."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/journal.db"
        return
    try:
        with postgres() as found:
            yield found
    except NoPostgresError as error:
        pytest.skip(str(error))


@pytest.fixture
async def lab(kafka: Kafka, prefix: str, tmp_path: Path, url: str) -> AsyncIterator[JournalLab]:
    lab = await JournalLab(kafka.bootstrap, prefix, tmp_path, url).open()
    yield lab
    await lab.close()


async def test_a_process_that_dies_at_any_step(lab: JournalLab) -> None:
    await lab.play(orders=30)
    process = lab.process("0")
    for step in STEPS * KILLS:
        lab.armed.write_text(f"{step} 1")
        await process.start()
        await lab.play(orders=10)
        assert await process.ended() == -signal.SIGKILL, process.log()
    await process.begin()
    await lab.until_read()
    assert await lab.found() == await lab.wanted()


@pytest.mark.parametrize("url", ["postgresql" if has_postgres() else "sqlite"], indirect=True)
async def test_a_process_that_stood_still_while_another_went_on(lab: JournalLab) -> None:
    former, other = lab.process("0"), lab.process("1")
    await asyncio.gather(former.begin(), other.begin())
    await lab.play(orders=20)
    await lab.until_read()
    former.send_signal(signal.SIGSTOP)
    await lab.play(orders=20)
    await eventually(lab.is_read, TAKEN_S, what="the other process takes all partitions over")
    former.send_signal(signal.SIGCONT)
    await lab.play(orders=20)
    await lab.until_read()
    assert await lab.found() == await lab.wanted()
