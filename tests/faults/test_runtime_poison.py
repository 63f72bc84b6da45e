"""Records that cannot be decided are set aside with their reason, bytes untouched; their neighbours go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.poison import wire
from tests.support.poison.wire import Raw
from tests.support.runtime.lab import PARTITIONS, Lab, headers
from tests.support.runtime.worker import SOURCE
from topics.kafka.catalogue import RECORD_BYTES_MAX
from topics.records.keys import partition_of
from topics.records.skips import SKIPS, Skip, skip_key

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


STRANGE_HEADERS: list[list[tuple[bytes, bytes | None]]] = [
    [(b"ce_subject", None)],
    [(b"\xff\xfe", b"1")],
    [(b"h", b"1"), (b"h", None), (b"h", b"\xff")],
    [(b"h" * 70_000, b"x" * 70_000)] * 30,
]


async def test_strange_headers_end_nothing(lab: Lab) -> None:
    """On records that are decided, and on such that are set aside and keep them."""
    worker = await lab.start().ready()
    await lab.feed(1, 1, 2)
    partition = partition_of(KEY, PARTITIONS)
    for seq, strange in enumerate(STRANGE_HEADERS, start=3):
        good = orjson.dumps({"id": f"0-{seq}", "seq": seq})
        for value in (b"not json", good):
            await wire.produce(lab.producer, lab.name(SOURCE), partition, [Raw(KEY, value, strange)])
    await lab.feed(1, 7, 8)
    await lab.decided(1, 8)
    await lab.check(1, 8)
    assert worker.process.poll() is None
    rejected = await lab.rejected(len(STRANGE_HEADERS))
    for record, strange in zip(rejected, STRANGE_HEADERS, strict=True):
        kept = [(name.decode(errors="backslashreplace"), content) for name, content in strange]
        assert (record.key, record.value, list(record.headers[: len(kept)])) == (KEY, b"not json", kept)


async def test_any_number_of_bad_records_in_a_row_stops_nothing(lab: Lab) -> None:
    worker = await lab.start(FAILED_MAX="20").ready()
    bad = [lab.producer.send(lab.name(SOURCE), b"not json", key=KEY) for _ in range(2_000)]
    await asyncio.gather(*[await sent for sent in bad])
    await lab.feed(1, 1, 2)
    await lab.decided(1, 2)
    assert len(await lab.rejected(2_000)) == 2_000
    assert worker.process.poll() is None


async def fail(lab: Lab, key: bytes, times: int) -> None:
    for number in range(times):
        await send(lab, orjson.dumps({"id": "x", "seq": 1 + number, "raise": True}), key)


async def test_a_partition_whose_decisions_fail_waits_and_the_others_go_on(lab: Lab) -> None:
    worker = await lab.start(FAILED_MAX="5", PAUSE_RETRY_S="1").ready()
    await lab.feed(16, 1, 1)
    await lab.decided(16, 1)
    partition = partition_of(KEY, PARTITIONS)
    (committed,) = [each.offset for each in await lab.read(SOURCE) if each.partition == partition][-1:]
    await fail(lab, KEY, 8)
    paused = f'sluice_runtime_partition_paused{{partition="{partition}"}} 1.0'
    await eventually(lambda: paused in worker.ask("/metrics")[1], what="the partition is paused")
    await lab.feed(16, 2, 3)
    others = [key for key in range(16) if partition_of(b"k%d" % key, PARTITIONS) != partition]

    async def others_are_decided() -> bool:
        states = await lab.states()
        return all(states[b"k%d" % key]["last"] == 3 for key in others)

    await eventually(others_are_decided, what="the other partitions go on")
    assert (await lab.states())[KEY]["last"] == 1
    assert len(await lab.rejected(4)) == 4
    at = committed + 5  # tried again each second, it stays where it is
    status, said = worker.ask("/ready")
    assert (status, f"{lab.name(SOURCE)}/{partition} is paused at offset {at}" in said) == (200, True)
    assert worker.ask("/live")[0] == 200
    assert f"sluice skip {lab.name(SOURCE)}/{partition}/{at}" in worker.log.read_text()
    assert f'lag_records{{partition="{partition}"}} 0' not in worker.ask("/metrics")[1]

    assert await worker.terminate() == 0
    worker = await lab.start().ready()  # as if the code were mended: the limit is far off
    await lab.decided(16, 3)
    assert len(await lab.rejected(8)) == 8
    assert "partition_paused{" not in worker.ask("/metrics")[1]
    await lab.check(16, 3)


async def test_a_paused_partition_goes_on_when_its_record_can_be_decided(lab: Lab) -> None:
    """The record is tried again by itself; nothing before or behind it is decided twice or left out."""
    mended = lab.directory / "mended"
    worker = await lab.start(FAILED_MAX="3", PAUSE_RETRY_S="0.2", RAISE_UNLESS=str(mended)).ready()
    await lab.feed(1, 1, 2)
    await lab.feed(1, 3, 6, name="raise")
    await lab.feed(1, 3, 400)
    await eventually(lambda: "partition_paused{" in worker.ask("/metrics")[1], what="the partition is paused")
    mended.touch()
    await lab.decided(2, 6)
    assert worker.process.poll() is None


async def test_a_paused_partition_goes_on_behind_a_record_that_is_skipped(lab: Lab) -> None:
    worker = await lab.start(FAILED_MAX="3", PAUSE_RETRY_S="600").ready()
    await lab.feed(1, 1, 2)
    await fail(lab, KEY, 3)
    await lab.feed(1, 3, 4)
    await eventually(lambda: "partition_paused{" in worker.ask("/metrics")[1], what="the partition is paused")
    key = skip_key(SOURCE, partition_of(KEY, PARTITIONS), 4)
    skip = Skip(by="me", reason="too odd", atMs=1)
    await lab.producer.send_and_wait(lab.name(SKIPS), skip.encode(), key=key)
    await lab.decided(1, 4)
    await lab.check(1, 4)
    rejected = [headers(record) for record in await lab.rejected(3)]
    assert [each["sluice-rejected-code"] for each in rejected] == ["decision_failed", "decision_failed", "skipped"]
    assert rejected[2]["sluice-rejected-reason"] == "skipped by me: too odd"
    assert worker.process.poll() is None


async def test_an_effect_to_a_topic_that_is_not_there_sets_its_record_aside(lab: Lab) -> None:
    worker = await lab.start(OUT_TOPIC="runtime.nowhere").ready()
    await lab.feed(1, 1, 1)
    (record,) = await lab.rejected(1)
    assert f"topic {lab.name('runtime.nowhere')} does not exist" in headers(record)["sluice-rejected-reason"]
    assert worker.process.poll() is None
