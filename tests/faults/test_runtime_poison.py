"""Records that cannot be decided are set aside with their reason, bytes untouched; their neighbours go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from streams.runtime.worker import EXIT_FAILED
from tests.support.kafka import Kafka
from tests.support.runtime.lab import Lab, headers
from tests.support.runtime.worker import REJECTED, SOURCE
from topics.kafka.catalogue import RECORD_BYTES_MAX

KEY = b"k0"
"""One key, so that good and bad records are neighbours in one partition."""


@pytest.fixture
async def lab(kafka: Kafka, prefix: str, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = await Lab(kafka.bootstrap, prefix, tmp_path).open()
    yield lab
    await lab.close()


async def send(lab: Lab, value: bytes, key: bytes = KEY) -> None:
    await lab.producer.send_and_wait(lab.name(SOURCE), value, key=key, headers=[("ce_id", b"e-1")])


@pytest.mark.parametrize(
    ("bad", "code", "reason"),
    [
        pytest.param(b'{"id": broken', "bad_json", "", id="not-json"),
        pytest.param(
            orjson.dumps({"id": "x", "seq": 7, "raise": True}), "decision_failed", "told to raise", id="raise"
        ),
        pytest.param(
            orjson.dumps({"id": "x", "seq": 7, "effect_bytes": RECORD_BYTES_MAX}), "too_large", "would have", id="large"
        ),
    ],
)
async def test_bad_record_between_good_ones(lab: Lab, bad: bytes, code: str, reason: str) -> None:
    await lab.start().ready()
    await lab.feed(1, 1, 3)
    await send(lab, bad)
    await lab.feed(1, 4, 6)
    await lab.decided(1, 6)
    await lab.check(1, 6)  # exact: the puts of a decision that raised are gone
    (record,) = await lab.rejected(1)
    said = headers(record)
    assert (record.key, record.value, said["ce_id"]) == (KEY, bad, "e-1")
    assert said["sluice-rejected-code"] == code
    assert reason in said["sluice-rejected-reason"]
    assert said["sluice-rejected-topic"] == lab.name(SOURCE)
    assert said["sluice-rejected-offset"] == "3"
    assert said["sluice-rejected-role"] == "counting"


async def test_bad_record_too_large_to_carry_its_reason(lab: Lab) -> None:
    """It fits no topic together with its reason; it stays readable where the headers say."""
    bad = b"[" * (RECORD_BYTES_MAX - 2_000)
    await lab.start().ready()
    await send(lab, bad)
    await lab.feed(1, 1, 2)
    await lab.decided(1, 2)
    (record,) = await lab.rejected(1)
    said = headers(record)
    assert record.value == b""
    assert said["sluice-rejected-value-bytes"] == str(len(bad))
    assert (said["sluice-rejected-code"], said["sluice-rejected-offset"]) == ("bad_json", "0")


async def test_record_of_nearly_the_limit_passes(lab: Lab) -> None:
    await lab.start().ready()
    value = orjson.dumps({"id": "0-1", "seq": 1, "fill": "x" * (RECORD_BYTES_MAX - 4_000)})
    await send(lab, value)
    await lab.feed(1, 2, 2)
    await lab.decided(1, 2)
    await lab.check(1, 2)


async def test_role_that_rejects_everything_stops(lab: Lab) -> None:
    worker = await lab.start(REJECTED_MAX="20").ready()
    for _ in range(30):
        await send(lab, b"not json")
    assert await worker.ended() == EXIT_FAILED
    assert "20 records in a row were rejected" in worker.log.read_text()
    # How many of the 19 before the limit were durable when it ended is open: those that were not are read again.
    assert len(await lab.read(REJECTED)) < 20


async def test_effect_to_a_topic_that_is_not_there_ends_the_process(lab: Lab) -> None:
    worker = await lab.start(OUT_TOPIC="runtime.nowhere").ready()
    await lab.feed(1, 1, 1)
    assert await worker.ended() == EXIT_FAILED
    assert f"topic {lab.name('runtime.nowhere')} does not exist" in worker.log.read_text()
