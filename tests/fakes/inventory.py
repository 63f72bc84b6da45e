"""The inventory role without a broker: a table that remembers what each value was made from, and records to decide."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import orjson

from streams.inventory.role import InventoryRole
from streams.runtime.role import Effect, Record
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings
from topics.records.envelope import COMMAND, Envelope, Headers
from topics.records.keys import channel_destination, destination_partition, shard_of, stock_key
from topics.stock.packed_positions import WHOLE, PackedPositions, SkuNumbers
from topics.stock.position_map import Location, encode_plain, parts_of, quantity_of
from topics.stock.positions import is_position

PARTITIONS = 4


class OriginTable:
    """One partition of a table, as the runtime keeps it. `durable` is what a crash leaves."""

    def __init__(self) -> None:
        self.values: dict[bytes, tuple[bytes, int]] = {}
        self.durable: dict[bytes, tuple[bytes, int]] = {}
        self.offset = -1
        self.said: dict[int, int] = {}
        self.puts: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        found = self.values.get(key)
        return None if found is None else found[0]

    def put(self, key: bytes, value: bytes) -> None:
        self.values[key] = (value, self.offset)
        self.puts.append(key)

    def known(self, stock: str) -> PackedPositions:
        found = PackedPositions(SkuNumbers())
        for key, (value, origin) in self.values.items():
            parts = parts_of(key)
            if parts is not None and parts[0] == stock and is_position(key):
                quantity = quantity_of(value)
                is_plain = encode_plain(parts[1], quantity) == value
                found.put(parts[1], origin, quantity if is_plain else quantity | WHOLE)
        return found

    def put_quantities(self, stock: str, quantities: dict[str, int]) -> dict[str, int]:
        put = {}
        for sku, quantity in quantities.items():
            key = Location(stock).key(sku)
            if not self.is_made_from(key):
                self.put(key, encode_plain(sku, quantity))
                put[sku] = quantity
        return put

    def note_word(self, said_ms: int) -> None:
        self.said[self.offset] = said_ms

    def said_at(self, stock: str, sku: str) -> int | None:
        found = self.values.get(Location(stock).key(sku))
        return None if found is None else self.said.get(found[1])

    def delete(self, key: bytes) -> None:
        self.values.pop(key, None)

    def is_made_from(self, key: bytes) -> bool:
        found = self.values.get(key)
        return found is not None and self.offset <= found[1]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return iter([(key, value) for key, (value, _) in self.values.items()])

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted((key, value) for key, value in self.items() if key.startswith(prefix)))

    def __len__(self) -> int:
        return len(self.values)


def channels(shards: int = 1) -> Channels:
    return parse_channels(
        {
            "increff": {"url": "http://127.0.0.1:9"},
            "channels": {
                "demo": {
                    "credentials": {"username": "demo", "password": "demo-secret", "domain": "demo"},
                    "increff_credentials": {"username": "sluice", "password": "sluice-secret", "domain": "demo"},
                    "increff_headers": {"X-Api-Key": "demo-increff"},
                    "marketplace": {"url": "http://127.0.0.1:9", "shards": shards},
                }
            },
        },
        where="test",
    )


def role(shards: int = 1) -> InventoryRole:
    return InventoryRole(Settings(partitions=PARTITIONS), channels(shards))


def right_partition(location: str, shards: int = 1) -> int:
    shard = shard_of(stock_key("demo", location), shards)
    return destination_partition(channel_destination("demo"), shard, PARTITIONS)


def batch(location: str, quantities: dict[str, Any]) -> dict[str, Any]:
    items = [{"channelSkuCode": sku, "quantity": quantity} for sku, quantity in quantities.items()]
    return {"locationCode": location, "inventories": items}


def record(
    body: Any,
    *,
    offset: int = 0,
    partition: int | None = None,
    touchpoint: str = "location-wise-atp-inventory",
    source: str = "producer",
    channel: str = "demo",
    more: Headers = (),
) -> Record:
    """A record of inventory.updates, in the right partition of its location unless told otherwise."""
    location = body.get("locationCode", "L1") if isinstance(body, dict) else "L1"
    headers = Envelope(id=uuid.uuid4().hex, type=COMMAND + touchpoint, source=source, channel=channel).headers()
    return Record(
        partition=right_partition(str(location)) if partition is None else partition,
        offset=offset,
        timestamp_ms=1_700_000_000_000,
        key=stock_key(channel, str(location)),
        value=body if isinstance(body, bytes) else orjson.dumps(body),
        headers=(*headers, *more),
    )


def decide(inventory: InventoryRole, table: OriginTable, given: Record) -> list[Effect]:
    table.offset = given.offset
    return list(inventory.decide(given, {"inventory.positions": table}))
