"""The inventory role: stock coming in, from the gateway or straight from a producer, becomes positions.

The table's changelog is inventory.positions, in the partition of the destination's shard, so that the delivery role's
owner of that shard sees exactly the positions it has to send. A record in another partition is therefore sent on to
the right one (streams/inventory/rerouting.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from pydantic import ValidationError

from streams.inventory.positions import changes, location_of
from streams.inventory.rerouting import Origin, decode_applied, origin_of
from streams.runtime.rejected import rejection
from streams.runtime.role import Effect, Poison, Record, Role, Table, Tables
from topics.catalogue import BY_NAME as TOPIC_BY_NAME
from topics.configuration import Channel, Channels, Settings
from topics.envelope import COMMAND, GATEWAY_SOURCE, Envelope, EnvelopeError, parse
from topics.keys import channel_destination, destination_partition, shard_of, stock_key
from topics.models.base import problems
from topics.models.inventory import ConsolidatedAtp, LocationWiseAtp, is_consolidated_body, split_valid
from topics.nesting import NESTING_MAX, is_too_deep
from topics.touchpoints import TOUCHPOINTS, Entity

_TYPES = {COMMAND + touchpoint.name for touchpoint in TOUCHPOINTS if touchpoint.entity is Entity.STOCK}


class InventoryRole(Role):
    """Redelivery is recognised per SKU, because a record touches as many keys as it has SKUs."""

    name = "inventory"
    source = "inventory.updates"
    tables = ("inventory.positions",)
    one_key_per_record = False

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._partitions = settings.partitions
        self._channels = channels.channels
        self._source_name = TOPIC_BY_NAME[self.source].full_name(settings.topic_prefix)

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        envelope, channel = self._sender(record)
        members = _members(record)
        items, failures = _split(members, envelope.source)
        location = location_of(members)
        stock = stock_key(envelope.channel, location)
        origin = origin_of(record.headers)
        target = self._partition_of(envelope.channel, channel, stock)
        if target != record.partition:
            return [_sent_on(record, stock, target, origin)]
        table = tables["inventory.positions"]
        if origin is None or _is_to_apply(table, record, origin.key(stock), origin):
            _apply(table, envelope.channel, location, items)
        return [self._rejected(record, members, failures)] if failures else []

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

    def _rejected(self, record: Record, members: dict[str, Any], failures: list[Any]) -> Effect:
        """The original record with the reason why some of its SKUs were not applied; the others were."""
        reason = f"{len(failures)} SKUs not applied, the others were: {_faults(members)}"
        return rejection(record, role=self.name, topic=self._source_name, code="bad_skus", reason=reason)

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
    if is_too_deep(record.value, members):
        raise Poison("too_deep", f"body: may nest at most {NESTING_MAX} levels deep")
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


def _is_to_apply(table: Table, record: Record, key: bytes, origin: Origin) -> bool:
    """Whether a record that was sent on is newer than what came from its origin before; notes what was decided."""
    applied = decode_applied(table.get(key))
    if table.is_made_from(key):
        # Kafka's redelivery: as it was decided the first time. What is durable of its positions already, each tells.
        return record.offset not in applied.skipped
    if applied.is_newer(origin):
        table.put(key, applied.and_applied(origin).encode())
        return True
    table.put(key, applied.and_skipped(record.offset).encode())
    return False


def _sent_on(record: Record, stock: bytes, partition: int, origin: Origin | None) -> Effect:
    if origin is not None:
        # Sending it on again could go round for ever, between workers whose configurations differ.
        raise Poison(
            "misrouted", f"sent on to partition {record.partition} but belongs to {partition}: channels differ?"
        )
    headers = (*record.headers, Origin(record.partition, record.offset).header())
    return Effect("inventory.updates", stock, record.value, headers, partition)
