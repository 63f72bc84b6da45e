"""The inventory role: stock coming in, from the gateway or straight from a producer, becomes positions.

The table's changelog is inventory.positions, in the partition of the destination's shard, so that the delivery role's
owner of that shard sees exactly the positions it has to send. A record in another partition is therefore sent on to
the right one; what would make a repeat of that harmful is in `_Origin`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from streams.inventory.positions import changes, location_of
from streams.runtime.role import Effect, Poison, Record, Role, Table, Tables
from topics.configuration import Channel, Channels, Settings
from topics.envelope import COMMAND, Envelope, EnvelopeError, Headers, parse
from topics.keys import channel_destination, destination_partition, join, shard_of, stock_key
from topics.models.base import problems
from topics.models.inventory import ConsolidatedAtp, LocationWiseAtp, is_consolidated_body, split_valid
from topics.positions import CONSOLIDATED, ORIGIN
from topics.touchpoints import TOUCHPOINTS, Entity

GATEWAY_SOURCE = "/gateway"
"""`ce_source` of records that were validated before they were stored."""
ORIGIN_HEADER = "sluice-origin"
"""Partition and offset from which a record was sent on, `<partition>/<offset>`."""

_TYPES = {COMMAND + touchpoint.name for touchpoint in TOUCHPOINTS if touchpoint.entity is Entity.STOCK}


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a record that was sent on came from.

    A crash between sending on and committing the source offset sends it on again, perhaps behind newer stock. So the
    target keeps, per origin partition and stock key, the newest origin offset it applied, and skips what is not newer.
    """

    partition: int
    offset: int

    def key(self, stock: bytes) -> bytes:
        return join(ORIGIN, str(self.partition), stock.decode())


class InventoryRole(Role):
    """Redelivery is recognised per SKU, because a record touches as many keys as it has SKUs."""

    name = "inventory"
    source = "inventory.updates"
    tables = ("inventory.positions",)
    one_key_per_record = False

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._partitions = settings.partitions
        self._channels = channels.channels

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        envelope, channel = self._sender(record)
        members = _members(record)
        items, failures = _split(members, envelope.source)
        location = location_of(members)
        if not is_consolidated_body(members) and location.startswith(CONSOLIDATED):
            raise Poison("bad_data", f"locationCode: may not begin with {CONSOLIDATED}")
        stock = stock_key(envelope.channel, location)
        origin = _origin(record.headers)
        target = self._partition_of(envelope.channel, channel, stock)
        if target != record.partition:
            return [_sent_on(record, stock, target, origin)]
        table = tables["inventory.positions"]
        if origin is None:
            _apply(table, envelope.channel, location, items)
        elif _is_newer(table, origin, stock):
            _apply(table, envelope.channel, location, items)
            # Last, so that it never becomes durable before the positions it stands for.
            table.put(origin.key(stock), b"%d" % origin.offset)
        return [_rejected(record, members, failures)] if failures else []

    def _sender(self, record: Record) -> tuple[Envelope, Channel]:
        try:
            envelope = parse(record.headers)
        except EnvelopeError as error:
            raise Poison("bad_envelope", str(error)) from error
        if envelope.type not in _TYPES:
            raise Poison("unknown_type", f"header ce_type is {envelope.type[:80]!r}, expected one of {sorted(_TYPES)}")
        channel = self._channels.get(envelope.channel)
        if channel is None:
            raise Poison("unknown_channel", f"header sluice-channel names no channel: {envelope.channel[:80]!r}")
        return envelope, channel

    def _partition_of(self, name: str, channel: Channel, stock: bytes) -> int:
        shard = shard_of(stock, channel.marketplace.shards)
        return destination_partition(channel_destination(name), shard, self._partitions)


def _members(record: Record) -> dict[str, Any]:
    try:
        members = orjson.loads(record.value)
    except orjson.JSONDecodeError as error:
        raise Poison("bad_json", f"value is not JSON: {error}") from error
    if not isinstance(members, dict):
        raise Poison("bad_data", "body: must be an object")
    return members


def _split(members: dict[str, Any], source: str) -> tuple[list[dict[str, Any]], list[Any]]:
    """The SKUs to apply and those to set aside. The gateway has validated its own records."""
    if source == GATEWAY_SOURCE:
        return members["inventories"], []
    try:
        items, failures = split_valid(members)
    except ValidationError as error:
        raise Poison("bad_data", "; ".join(problems(error))) from error
    if failures and not items:
        raise Poison("bad_data", _faults(members))
    return items, failures


def _faults(members: dict[str, Any]) -> str:
    try:
        (ConsolidatedAtp if is_consolidated_body(members) else LocationWiseAtp).model_validate(members)
    except ValidationError as error:
        return "; ".join(problems(error))
    return "no usable item"


def _apply(table: Table, channel: str, location: str, items: list[dict[str, Any]]) -> None:
    for change in changes(table.get, channel, location, items):
        # A position made from this record or a later one: Kafka's redelivery, which must not put old after new.
        if not table.is_made_from(change.key):
            table.put(change.key, change.value)


def _origin(headers: Headers) -> _Origin | None:
    raw = next((value for name, value in headers if name == ORIGIN_HEADER), None)
    if raw is None:
        return None
    try:
        partition, offset = raw.split(b"/")
        return _Origin(int(partition), int(offset))
    except ValueError as error:
        raise Poison("bad_envelope", f"header {ORIGIN_HEADER} is not <partition>/<offset>: {raw[:40]!r}") from error


def _is_newer(table: Table, origin: _Origin, stock: bytes) -> bool:
    known = table.get(origin.key(stock))
    return known is None or origin.offset > int(known)


def _sent_on(record: Record, stock: bytes, partition: int, origin: _Origin | None) -> Effect:
    if origin is not None:
        # Sending it on again could go round for ever, between workers whose configurations differ.
        raise Poison(
            "misrouted", f"sent on to partition {record.partition} but belongs to {partition}: channels differ?"
        )
    header = (ORIGIN_HEADER, b"%d/%d" % (record.partition, record.offset))
    return Effect("inventory.updates", stock, record.value, (*record.headers, header), partition)


def _rejected(record: Record, members: dict[str, Any], failures: list[Any]) -> Effect:
    """The original record with the reason why some of its SKUs were not applied; the others were."""
    reason = f"{len(failures)} SKUs not applied, the others were: {_faults(members)}"
    about = (
        ("sluice-rejected-code", b"bad_skus"),
        ("sluice-rejected-reason", reason.encode()),
        ("sluice-rejected-topic", b"inventory.updates"),
        ("sluice-rejected-partition", b"%d" % record.partition),
        ("sluice-rejected-offset", b"%d" % record.offset),
        ("sluice-rejected-role", b"inventory"),
        ("sluice-rejected-at-ms", b"%d" % record.timestamp_ms),
    )
    return Effect("commands.rejected", record.key, record.value, (*record.headers, *about))
