"""The inventory role: stock coming in, from the gateway or straight from a producer, becomes positions.

The table's changelog is inventory.positions, in the partition of the destination's shard, so that the delivery role's
owner of that shard sees exactly the positions it has to send. A record in another partition is therefore sent on to
the right one (streams/inventory/rerouting.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

import orjson
from pydantic import ValidationError

from streams.inventory.applying import Place, apply_items, apply_plain
from streams.inventory.positions import location_of, read_plain
from streams.inventory.rerouting import Origin, decode_applied, origin_of
from streams.positions.position_table import PositionTable, Quantities
from streams.runtime.rejected import rejection
from streams.runtime.role import Effect, Poison, Record, Role, Table, Tables
from topics.catalogue import BY_NAME as TOPIC_BY_NAME
from topics.configuration import Channels, Settings
from topics.envelope import COMMAND, GATEWAY_SOURCE, Envelope, EnvelopeError, parse
from topics.keys import channel_destination, destination_partition, shard_of, stock_key
from topics.models.base import problems
from topics.models.inventory import ConsolidatedAtp, LocationWiseAtp, is_consolidated_body, split_valid
from topics.nesting import NESTING_MAX, is_too_deep
from topics.touchpoints import TOUCHPOINTS, Entity

_TYPES = {COMMAND + touchpoint.name for touchpoint in TOUCHPOINTS if touchpoint.entity is Entity.STOCK}
POSITIONS = "inventory.positions"
PLACES_KEPT = 16_384
"""Locations whose partition is remembered, some 10 MB."""


class InventoryRole(Role):
    """Redelivery is recognised per SKU, because a record touches as many keys as it has SKUs."""

    name = "inventory"
    source = "inventory.updates"
    tables = (POSITIONS,)
    table_kinds = MappingProxyType({POSITIONS: PositionTable})
    targets = ("inventory.changes",)
    one_key_per_record = False

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._partitions = settings.partitions
        self._channels = channels.channels
        self._source_name = TOPIC_BY_NAME[self.source].full_name(settings.topic_prefix)
        self._place = lru_cache(maxsize=PLACES_KEPT)(self._find_place)

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        envelope = self._sender(record)
        plain = read_plain(record.value)
        members: dict[str, Any] = {}
        items: list[dict[str, Any]] = []
        failures: list[Any] = []
        if plain is None:
            members = _members(record)
            items, failures = _split(members, envelope.source)
        place = self._place(envelope.channel, location_of(members) if plain is None else plain.locationCode)
        origin = origin_of(record.headers)
        if place.partition != record.partition:
            return [_sent_on(record, place, origin)]
        table = cast("Quantities", tables[POSITIONS])
        effects: list[Effect] = []
        if origin is None or _is_to_apply(table, record, origin.key(place.key), origin):
            if plain is None:
                effects += apply_items(table, place, items, record)
            else:
                effects += apply_plain(table, place, plain.inventories, record)
        if failures:
            effects.append(self._rejected(record, members, failures))
        return effects

    def _sender(self, record: Record) -> Envelope:
        try:
            envelope = parse(record.headers)
        except EnvelopeError as error:
            raise Poison("bad_envelope", str(error)) from error
        if envelope.type not in _TYPES:
            raise Poison("unknown_type", f"header ce_type is {envelope.type[:80]!r}, expected one of {sorted(_TYPES)}")
        if envelope.channel not in self._channels:
            raise Poison("unknown_channel", f"header sluice-channel names no channel: {envelope.channel[:80]!r}")
        return envelope

    def _rejected(self, record: Record, members: dict[str, Any], failures: list[Any]) -> Effect:
        """The original record with the reason why some of its SKUs were not applied; the others were."""
        reason = f"{len(failures)} SKUs not applied, the others were: {_faults(members)}"
        return rejection(record, role=self.name, topic=self._source_name, code="bad_skus", reason=reason)

    def _find_place(self, channel: str, location: str) -> Place:
        key = stock_key(channel, location)
        shard = shard_of(key, self._channels[channel].marketplace.shards)
        partition = destination_partition(channel_destination(channel), shard, self._partitions)
        return Place(channel, location, key, key.decode(), partition)


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


def _sent_on(record: Record, place: Place, origin: Origin | None) -> Effect:
    if origin is not None:
        # Sending it on again could go round for ever, between workers whose configurations differ.
        raise Poison(
            "misrouted", f"sent on to partition {record.partition} but belongs to {place.partition}: channels differ?"
        )
    headers = (*record.headers, Origin(record.partition, record.offset).header())
    return Effect("inventory.updates", place.key, record.value, headers, place.partition)
