"""A full snapshot of a million positions through the gateway: accepted, compared with what is known, and in the table.

In the first snapshot, all positions are new. The second is complete: most are unchanged, some changed, and absent ones
become 0. Timed from the first byte of the upload to the answer that it is applied, and to when delivery has queued
every change for the channel, which allows one request a minute. Void when the positions on Kafka are not the oracle's
at the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from bench.inventory.peers import channel, stage
from bench.processes import Started, VoidRunError, cpu_each, cpu_now, held, memory_mib, metric, places, running
from sluice.cli.stock.upload import upload
from topics.configuration.settings import Settings
from topics.records.keys import split
from topics.stock.positions import is_position

POSITIONS = 1_000_000
GOAL_S = 30.0
LOCATION = "WH-MILLION"
PATH = f"/api/inventory/snapshots/demo/{LOCATION}"
CHANGED_EVERY = 10
ABSENT_EVERY, ABSENT = 100, 7
"""The seventh of each hundred is absent, so that every kind of line occurs."""
QUEUED = 'stock_changes_total{channel="demo"}'
"""Metric of the changes that delivery has queued, updated every second."""
QUEUED_S_MAX = 120.0


def measure(kafka: str, directory: Path, _seconds: float) -> dict[str, Any]:
    """Measure both snapshots. The work does not depend on `--seconds`."""
    with ExitStack() as stack:
        far_side = stack.enter_context(channel())
        both = stack.enter_context(stage(kafka, directory, "snapshot", far_side.base, 1, window_s=60.0))
        settings = both.settings
        gateway = stack.enter_context(running("gateway", settings, directory, more=both.more))
        roles = {"gateway": gateway, "inventory": both.inventory, "delivery": both.delivery}
        snapshots = {
            "new": _run(roles, directory, first(), complete=False),
            "mixed": _run(roles, directory, second(), complete=True),
        }
        memory = {name: round(memory_mib(one.process.pid, peak=True)) for name, one in roles.items()}
    wrong = asyncio.run(_different(settings))
    slowest = max(run["queued_s"] for run in snapshots.values())
    return {
        "offered_per_s": None,
        "achieved_per_s": round(POSITIONS / slowest),
        "positions": POSITIONS,
        "snapshots": snapshots,
        "cpu": {name: run["cpu"] for name, run in snapshots.items()},
        "memory_mib": memory,
        "goal_s": GOAL_S,
        "void": f"{wrong} positions on Kafka are not the oracle's" if wrong else None,
        "met": not wrong and slowest <= GOAL_S,
    }


def described(found: Mapping[str, Any]) -> str:
    parts = []
    for name, run in found["snapshots"].items():
        shares = ", ".join(f"{role} {share:.0%}" for role, share in run["cpu_share"].items())
        changes = f"{run['changed']:,} changed, {run['zeroed']:,} set to 0"
        took = f"applied in {run['seconds']:.1f} s, queued in {run['queued_s']:.1f} s"
        parts.append(f"{name}: {changes}, {took} (of a core: {shares})")
    return f"{'; '.join(parts)} (goal {found['goal_s']:.0f} s)"


def first() -> Iterator[tuple[str, int]]:
    for number in range(POSITIONS):
        yield f"SKU-{number:07d}", number % 50


def second() -> Iterator[tuple[str, int]]:
    for number in range(POSITIONS):
        if number % ABSENT_EVERY != ABSENT:
            yield f"SKU-{number:07d}", (number % 50) + (number % CHANGED_EVERY == 1)


def _run(
    roles: Mapping[str, Started], directory: Path, lines: Iterator[tuple[str, int]], *, complete: bool
) -> dict[str, Any]:
    file = directory / "snapshot.ndjson"
    with file.open("wb") as out:
        for sku, quantity in lines:
            out.write(b'{"channelSkuCode":"%b","quantity":%d}\n' % (sku.encode(), quantity))
    url = f"http://127.0.0.1:{roles['gateway'].admin_port}"
    before = cpu_now()
    queued = _queued(roles["delivery"])
    began = time.monotonic()
    with file.open("rb") as content:
        blocks = iter(lambda: content.read(256 << 10), b"")
        sent: list[float] = []
        status, document = upload(
            url, f"{PATH}?complete={orjson.dumps(complete).decode()}", _timed(blocks, sent), "application/x-ndjson"
        )
    seconds = time.monotonic() - began
    if status != 200:
        raise VoidRunError(f"the snapshot was not applied within the answer's time: {document}")
    _until_queued(roles["delivery"], queued + document["changed"] + document["zeroed"])
    queued_s = time.monotonic() - began
    after = cpu_now()
    return {
        "seconds": round(seconds, 2),
        "queued_s": round(queued_s, 2),
        "sent_s": round(sent[-1] - began, 2),
        **{name: document[name] for name in ("received", "changed", "unchanged", "zeroed")},
        "cpu": cpu_each("position", POSITIONS, before, after),
        "cpu_share": {name: round((after[name] - before[name]) / queued_s, 2) for name in roles},
    }


def _until_queued(delivery: Started, changes: float) -> None:
    deadline = time.monotonic() + QUEUED_S_MAX
    while (queued := _queued(delivery)) < changes:
        if time.monotonic() > deadline:
            raise VoidRunError(f"void: delivery has queued {queued:,.0f} changes of {changes:,.0f}")
        time.sleep(0.2)


def _queued(delivery: Started) -> float:
    try:
        return metric(delivery, QUEUED)
    except VoidRunError:
        return 0.0  # it does not know the location yet


def _timed(blocks: Iterator[bytes], sent: list[float]) -> Iterator[bytes]:
    yield from blocks
    sent.append(time.monotonic())


async def _different(settings: Settings) -> int:
    """Count the positions on Kafka that are not as the second snapshot leaves them."""
    wanted = dict.fromkeys((sku for sku, _ in first()), 0)
    wanted.update(second())
    partitions = places(settings, "inventory.positions")
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[str, int] = {}
    try:
        left = await held(consumer, partitions)
        consumer.assign(partitions)
        while left:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                left -= len(records)
                for record in records:
                    if record.value is not None and is_position(record.key):
                        found[split(record.key)[2]] = orjson.loads(record.value)["quantity"]
    finally:
        await consumer.stop()
    return len(wanted.items() ^ found.items())
