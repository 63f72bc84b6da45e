"""The stock of the worker's benchmarks: a million positions of a channel with eight shards, and updates of them.

Each location's stock comes once, then batches of 200 SKUs of which 40 % differ from the quantity before. The expected
end is computed in advance.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from bench.processes import places
from topics.configuration.settings import Settings
from topics.records.envelope import COMMAND, GATEWAY_SOURCE, Envelope, Headers
from topics.records.keys import channel_destination, destination_partition, shard_of, stock_key
from topics.schema_base import SKUS_MAX

CHANNEL = "demo"
SHARDS = 8
PARTITIONS = 8
LOCATIONS = 40
SKUS = 25_000
CHANGED = 0.4
QUANTITIES = 100
SEED = 3
BATCH_BYTES = 900_000
CHANNELS_TOML = f"""
[increff]
url = "http://127.0.0.1:9"

[channels.{CHANNEL}]
credentials = {{ username = "demo", password = "demo-secret", domain = "demo" }}
increff_credentials = {{ username = "sluice", password = "sluice-secret", domain = "demo" }}
increff_headers = {{ X-Api-Key = "demo-increff" }}

[channels.{CHANNEL}.marketplace]
url = "http://127.0.0.1:9"
shards = {SHARDS}
"""
_TYPE = f"{COMMAND}location-wise-atp-inventory"

Rows = Iterable[tuple[int, bytes, bytes, list[tuple[str, bytes]]]]
"""Partition, key, value and headers."""


@dataclass(frozen=True, slots=True)
class Update:
    """One record of inventory.updates."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class UpdateSet:
    """`first`: every position once. `mix`: the measured updates, of whose positions `changed` differ from before."""

    first: list[Update]
    mix: list[Update]
    changed: int
    last: dict[tuple[str, str], int] = field(repr=False)
    """The last quantity of each location and SKU."""

    @property
    def positions(self) -> int:
        return len(self.mix) * SKUS_MAX


def channels_file(directory: Path) -> Path:
    """Write a channels.toml: the demo channel with as many shards as partitions."""
    path = directory / "bench-channels.toml"
    path.write_text(CHANNELS_TOML, encoding="utf-8")
    return path


def location(number: int) -> str:
    return f"WH-{number:04d}"


def sku(number: int) -> str:
    return f"SKU-{number:07d}"


@cache
def partition_of_location(name: str) -> int:
    shard = shard_of(stock_key(CHANNEL, name), SHARDS)
    return destination_partition(channel_destination(CHANNEL), shard, PARTITIONS)


def make(mixed: int, locations: int = LOCATIONS, skus: int = SKUS) -> UpdateSet:
    """Return the updates, with `mixed` positions in the mix."""
    chance = random.Random(SEED)
    last = {(location(at), sku(n)): chance.randrange(QUANTITIES) for at in range(locations) for n in range(skus)}
    first = [
        _update(number * skus + begin, location(number), last, range(begin, min(begin + SKUS_MAX, skus)))
        for number in range(locations)
        for begin in range(0, skus, SKUS_MAX)
    ]
    mix = []
    changed = 0
    for number in range(mixed // SKUS_MAX):
        at = location(chance.randrange(locations))
        chosen = chance.sample(range(skus), SKUS_MAX)
        for n in chosen:
            if chance.random() < CHANGED:
                name = (at, sku(n))
                last[name] = (last[name] + 1 + chance.randrange(QUANTITIES - 1)) % QUANTITIES
                changed += 1
        mix.append(_update(len(first) * SKUS_MAX + number, at, last, chosen))
    return UpdateSet(first, mix, changed, last)


def _update(number: int, at: str, last: dict[tuple[str, str], int], numbers: Iterable[int]) -> Update:
    items = [{"channelSkuCode": (code := sku(n)), "quantity": last[at, code]} for n in numbers]
    value = orjson.dumps({"locationCode": at, "inventories": items})
    envelope = Envelope(
        id=f"bench-{number}",
        type=_TYPE,
        source=GATEWAY_SOURCE,
        channel=CHANNEL,
        subject=at,
        time_ms=1_764_000_000_000 + number,
    )
    return Update(partition_of_location(at), stock_key(CHANNEL, at), value, envelope.headers())


async def fill(settings: Settings, topic: str, rows: Rows) -> int:
    """Produce records at full speed, each partition in its order; return how many."""
    targets = places(settings, topic)
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
    )
    await producer.start()
    count = 0
    try:
        builders = [producer.create_batch() for _ in targets]

        async def send(partition: int) -> None:
            await producer.send_batch(builders[partition], targets[partition].topic, partition=partition)
            builders[partition] = producer.create_batch()

        for partition, key, value, headers in rows:
            if builders[partition].append(timestamp=None, key=key, value=value, headers=headers) is None:
                await send(partition)
                builders[partition].append(timestamp=None, key=key, value=value, headers=headers)
            count += 1
        for partition in range(len(targets)):
            if builders[partition].record_count():
                await send(partition)
        await producer.flush()
    finally:
        await producer.stop()
    return count


def rows_of(updates: Sequence[Update]) -> Iterator[tuple[int, bytes, bytes, list[tuple[str, bytes]]]]:
    for update in updates:
        yield update.partition, update.key, update.value, list(update.headers)
