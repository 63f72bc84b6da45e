"""The inventory role: stock coming in, from the gateway or straight from a producer, becomes positions.

The table's changelog is inventory.positions, in the partition of the destination's shard, so that the delivery role's
owner of that shard sees exactly the positions it has to send. A record in another partition is therefore sent on to
the right one (streams/inventory/reroute.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import cast

from streams.inventory.apply import Place, apply_items, apply_plain
from streams.inventory.bodies import NOTHING_READ, Read, faults_of, members_of, split_items
from streams.inventory.positions import location_of, read_plain
from streams.inventory.reroute import Origin, decode_applied, origin_of
from streams.inventory.snapshots.handler import SnapshotDesk
from streams.inventory.snapshots.records import SNAPSHOT_TYPES, read_snapshot
from streams.positions.position_table import PositionTable, Quantities
from streams.runtime.rejected import rejection
from streams.runtime.role import Effect, Poison, Record, Role, Table, Tables
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.contract.definition import Entity
from topics.contract.touchpoints import TOUCHPOINTS
from topics.kafka.catalogue import BY_NAME as TOPIC_BY_NAME
from topics.records.envelope import COMMAND, Envelope, EnvelopeError, parse
from topics.records.keys import channel_destination, destination_partition, shard_of, stock_key
from topics.stock.snapshots import SNAPSHOT_STEP

_TYPES = {COMMAND + touchpoint.name for touchpoint in TOUCHPOINTS if touchpoint.entity is Entity.STOCK} | SNAPSHOT_TYPES
POSITIONS = "inventory.positions"
PLACES_KEPT = 16_384
"""Locations whose partition is remembered, some 10 MB."""


class InventoryRole(Role):
    """Redelivery is recognised per SKU, because a record touches as many keys as it has SKUs."""

    name = "inventory"
    source = "inventory.updates"
    tables = (POSITIONS,)
    table_kinds = MappingProxyType({POSITIONS: PositionTable})
    targets = ("inventory.changes", "inventory.events")
    one_key_per_record = False

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._partitions = settings.partitions
        self._channels = channels.channels
        self._source_name = TOPIC_BY_NAME[self.source].full_name(settings.topic_prefix)
        self._place = lru_cache(maxsize=PLACES_KEPT)(self._find_place)
        self._snapshots = SnapshotDesk()

    def on_revoked(self, partition: int) -> None:
        self._snapshots.forget(partition)

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        envelope = self._sender(record)
        if envelope.type in SNAPSHOT_TYPES:
            return self._decide_snapshot(record, envelope, cast("Quantities", tables[POSITIONS]))
        plain = read_plain(record.value)
        read = NOTHING_READ if plain is not None else split_items(members_of(record), envelope.source)
        place = self._place(envelope.channel, location_of(read.members) if plain is None else plain.locationCode)
        origin = origin_of(record.headers)
        if place.partition != record.partition:
            return [_sent_on(record, place, origin)]
        table = cast("Quantities", tables[POSITIONS])
        effects: list[Effect] = []
        if origin is None or _is_to_apply(table, record, origin.key(place.key), origin):
            if plain is None:
                effects += apply_items(table, place, read.items, record)
                skus = (item["channelSkuCode"] for item in read.items)
            else:
                effects += apply_plain(table, place, plain.inventories, record)
                skus = (item.channelSkuCode for item in plain.inventories)
            effects += self._snapshots.updated(table, place, record, skus)
        if read.failures:
            effects.append(self._rejected(record, read))
        return effects

    def _decide_snapshot(self, record: Record, envelope: Envelope, table: Quantities) -> Iterable[Effect]:
        given = read_snapshot(record, envelope)
        place = self._place(envelope.channel, given.location)
        if given.type == SNAPSHOT_STEP:
            return self._snapshots.take(table, place, record, given)  # of this partition's own positions
        origin = origin_of(record.headers)
        if place.partition != record.partition:
            return [_sent_on(record, place, origin)]
        effects: list[Effect] = []
        if origin is None or _is_to_apply(table, record, origin.key(place.key), origin):
            effects += self._snapshots.take(table, place, record, given)
        if given.read is not None and given.read.failures:
            effects.append(self._rejected(record, given.read))
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

    def _rejected(self, record: Record, read: Read) -> Effect:
        """The original record with the reason why some of its SKUs were not applied; the others were."""
        reason = f"{len(read.failures)} SKUs not applied, the others were: {faults_of(read.members)}"
        return rejection(record, role=self.name, topic=self._source_name, code="bad_skus", reason=reason)

    def _find_place(self, channel: str, location: str) -> Place:
        key = stock_key(channel, location)
        shard = shard_of(key, self._channels[channel].marketplace.shards)
        partition = destination_partition(channel_destination(channel), shard, self._partitions)
        return Place(channel, location, key, key.decode(), partition)


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
