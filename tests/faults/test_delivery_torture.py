"""A share of `make torture`: whatever the receiver does and whoever is killed, nothing inverts, is lost or hurried."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.dev.torture.faults import Fault
from sluice.dev.torture.report import render
from tests.support.kafka import Kafka
from tests.torture.load import Load
from tests.torture.run import Run, torture
from topics.configuration.settings import Settings


@pytest.mark.timeout(300)
async def test_a_small_run_is_scored_clean(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    settings = Settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=4)
    run = Run(load=Load(deliveries=2_000, orders=200, concurrency=8), seed=8, kills=(0.3, 0.6), grow=0.45)
    found = await torture(run, settings, tmp_path)
    assert not found.wrong, render(found)
    assert found.acknowledged == run.load.deliveries
    assert found.repeats <= run.repeats_max, render(found)
    assert len(found.met) > 10, "the receiver misbehaved in many ways"
    assert found.met[Fault.THROTTLE_SECONDS] + found.met[Fault.THROTTLE_DATE], "and asked for quiet"
