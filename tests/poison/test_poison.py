"""A share of the run of `make poison`: a whole Sluice lives among records that nobody should send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack
from tests.poison.run import Run, consumed

SEED = 13
RECORDS, BATCH = 300, 10


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "data")
    stack.start()
    yield stack
    stack.close()


async def test_a_whole_sluice_lives_among_records_that_nobody_should_send(stack: Stack) -> None:
    report = await Run(stack, SEED, BATCH).poison(RECORDS)
    assert set(report.sent) == {topic.name for topic in consumed()}
    assert not report.ended
    assert report.orders >= 3


def test_every_topic_that_is_read_is_poisoned() -> None:
    names = {topic.name for topic in consumed()}
    assert {"orders.commands", "inventory.updates", "deliveries.requests", "replies", "skips", "orders.state"} <= names
    assert "orders.events" in names, "delivery's bodies and the gateway's pages come from it"
