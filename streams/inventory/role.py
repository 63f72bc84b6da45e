"""The inventory role: stock from the gateway or straight from a producer becomes positions.

The changelog of its table is inventory.positions, in the partition of the destination's shard, so that the owner of
that shard in the delivery role sees exactly the positions that it has to send. A record in another partition is
therefore sent on to the right one (streams/inventory/reroute.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

from streams.inventory.apply import (
    StockLocation,
    apply_positions,
    apply_quantities,
    changed_positions,
)
from streams.inventory.batches import NO_BATCH, Batch, faults_of, location_of, members_of, read_quantities, split_items
from streams.inventory.metrics import STALE
from streams.inventory.reroute import Origin, decode_applied, origin_of
from streams.inventory.snapshots.handler import SnapshotHandler
from streams.inventory.snapshots.records import SNAPSHOT_TYPES, read_snapshot
from streams.inventory.word import is_late, older_than_known
from streams.positions.timed_positions import TimedPositions, TimedQuantities
from streams.runtime.rejected import rejection, sent_on
from streams.runtime.role import Effect, Poison, Record, Role, Table, Tables
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.contract.definition import Entity
from topics.contract.touchpoints import TOUCHPOINTS
from topics.kafka.catalogue import BY_NAME as TOPIC_BY_NAME
from topics.records.envelope import COMMAND, Envelope, EnvelopeError, iso_time, parse
from topics.records.keys import stock_key, stock_partition
from topics.records.shape import has_too_many_values
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.records.word import said_ms
from topics.stock.snapshots import SNAPSHOT_STEP

_TYPES = {COMMAND + touchpoint.name for touchpoint in TOUCHPOINTS if touchpoint.entity is Entity.STOCK} | SNAPSHOT_TYPES
POSITIONS = "inventory.positions"
SKUS_LISTED = 20
"""SKUs that the reason of a rejected record names."""
SKU_CHARS_LISTED = 80
"""Characters of each: with twenty of them, the faults still fit a reason."""
LOCATIONS_KEPT = 16_384
"""Locations whose partition is remembered, some 10 MB."""


class InventoryRole(Role):
    """Redelivery is recognised per SKU, because a record touches as many keys as it has SKUs."""

    name = "inventory"
    source = "inventory.updates"
    tables = (POSITIONS,)
    table_kinds = MappingProxyType({POSITIONS: TimedPositions})
    targets = ("inventory.changes", "inventory.events")
    one_key_per_record = False

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._partitions = settings.partitions
        self._values_max = settings.body_values_max
        self._channels = channels.channels
        self._source_name = TOPIC_BY_NAME[self.source].full_name(settings.topic_prefix)
        self._location = lru_cache(maxsize=LOCATIONS_KEPT)(self._find_location)
        self._snapshots = SnapshotHandler()

    def on_revoked(self, partition: int) -> None:
        self._snapshots.on_revoked(partition)

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        envelope = self._sender(record)
        if has_too_many_values(record.value, self._values_max):
            raise Poison("too_many_values", f"body: may have at most {self._values_max} values")
        if envelope.type in SNAPSHOT_TYPES:
            return self._decide_snapshot(record, envelope, cast("TimedQuantities", tables[POSITIONS]))
        plain = read_quantities(record.value)
        batch = NO_BATCH if plain is not None else split_items(members_of(record))
        location = self._location(envelope.channel, location_of(batch.members) if plain is None else plain.locationCode)
        origin = origin_of(record.headers)
        if location.partition != record.partition:
            return [_sent_on(record, envelope, location, origin)]
        table = cast("TimedQuantities", tables[POSITIONS])
        effects: list[Effect] = []
        if origin is None or _is_to_apply(table, record, origin.key(location.key), origin):
            said = said_ms(envelope.time_ms, record.timestamp_ms)
            stale: set[str] = set()
            if is_late(record, said):
                named = (_sku(item) for item in (batch.items if plain is None else plain.inventories))
                stale = older_than_known(table, location.stock, named, said)
            table.note_word(said)
            if plain is None:
                items = [item for item in batch.items if _sku(item) not in stale] if stale else batch.items
                effects += apply_positions(table, location, changed_positions(table.get, location, items), record)
                skus = (item["channelSkuCode"] for item in items)
            else:
                words = plain.inventories
                if stale:
                    words = [item for item in words if item.channelSkuCode not in stale]
                changed = table.known(location.stock).differing(words)
                effects += apply_quantities(table, location, changed, record)
                skus = (item.channelSkuCode for item in words)
            effects += self._snapshots.on_update(table, location, record, skus, said)
            if stale:
                effects.append(self._older(record, stale, said))
        if batch.failures:
            effects.append(self._rejected(record, batch))
        return effects

    def _decide_snapshot(self, record: Record, envelope: Envelope, table: TimedQuantities) -> Iterable[Effect]:
        given = read_snapshot(record, envelope)
        location = self._location(envelope.channel, given.location)
        if envelope.type == SNAPSHOT_STEP:
            return self._snapshots.on_record(table, location, record, given.action)  # of this partition's own positions
        origin = origin_of(record.headers)
        if location.partition != record.partition:
            return [_sent_on(record, envelope, location, origin)]
        effects: list[Effect] = []
        if origin is None or _is_to_apply(table, record, origin.key(location.key), origin):
            effects += self._snapshots.on_record(
                table, location, record, given.action, said_ms(envelope.time_ms, record.timestamp_ms)
            )
        if given.batch is not None and given.batch.failures:
            effects.append(self._rejected(record, given.batch))
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

    def _rejected(self, record: Record, batch: Batch) -> Effect:
        """The original record with the reason why some of its SKUs were not applied; the others were."""
        listed = ", ".join(name[:SKU_CHARS_LISTED] for name in batch.names[:SKUS_LISTED])
        reason = f"{len(batch.failures)} SKUs not applied, the others were: {listed}: {faults_of(batch.members)}"
        return rejection(record, role=self.name, topic=self._source_name, code="bad_skus", reason=reason)

    def _older(self, record: Record, skus: set[str], said: int) -> Effect:
        """The original record with the reason why some of its SKUs changed nothing: their positions are newer."""
        STALE.inc(len(skus))
        listed = ", ".join(sorted(skus)[:SKUS_LISTED])
        reason = (
            f"{len(skus)} SKUs not applied, the others were: this is the word of {iso_time(said)}, came at "
            f"{iso_time(record.timestamp_ms)}, and a newer one is known of {listed}"
        )
        return rejection(record, role=self.name, topic=self._source_name, code="older_word", reason=reason)

    def _find_location(self, channel: str, location: str) -> StockLocation:
        key = stock_key(channel, location)
        partition = stock_partition(channel, key, self._channels[channel].marketplace.shards, self._partitions)
        return StockLocation(channel, location, key, key.decode(), partition)


def _is_to_apply(table: Table, record: Record, key: bytes, origin: Origin) -> bool:
    """Whether a record that was sent on is newer than what came from its origin before; keeps what was decided.

    Raises Poison when this version cannot read what was decided before: old stock must not be put after new."""
    try:
        applied = decode_applied(table.get(key))
    except UnreadableError as error:
        UNREADABLE.note(POSITIONS, key, error, partition=record.partition)
        raise Poison("unreadable_state", f"how far {key!r} was applied cannot be read: {error}") from error
    if table.is_made_from(key):
        # Kafka's redelivery: decided as the first time. Each position says itself whether it is durable already.
        return record.offset not in applied.skipped
    if applied.is_newer(origin):
        table.put(key, applied.and_applied(origin).encode())
        return True
    table.put(key, applied.and_skipped(record.offset).encode())
    return False


def _sent_on(record: Record, envelope: Envelope, location: StockLocation, origin: Origin | None) -> Effect:
    if origin is not None:
        # Sending it on again could go on for ever, between workers with different configurations.
        raise Poison(
            "misrouted",
            f"sent on to partition {record.partition} but belongs to {location.partition}: channels differ?",
        )
    headers = sent_on(record, Origin(record.partition, record.offset).header())
    if not envelope.time_ms:
        headers = (*headers, ("ce_time", iso_time(record.timestamp_ms).encode()))
    return Effect("inventory.updates", location.key, record.value, headers, location.partition)


def _sku(item: Any) -> str:
    sku: str = item["channelSkuCode"] if isinstance(item, dict) else item.channelSkuCode
    return sku
