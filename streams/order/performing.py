"""From effects as values to records: topic, key, partition, headers."""

from __future__ import annotations

import orjson

from streams.order.effects import PublishFact, ReplyTo, RequestDelivery, SendCommand
from streams.order.model import Entity
from streams.runtime.role import Effect
from topics.configuration import Channels, Settings
from topics.deliveries import DeliveryRequest
from topics.envelope import DELIVERY_REQUEST, FACT, ORDERS_SOURCE, REPLY, stamped
from topics.keys import INCREFF, destination_partition, join, lane_key, shard_of
from topics.verdicts import Address, Reply


class Performer:
    """Knows the destinations' shards and the number of partitions."""

    __slots__ = ("_channels", "_homes", "_partitions")

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._partitions = settings.partitions
        self._channels = channels
        self._homes: dict[tuple[str, int], int] = {}
        """Partition of each destination's shard: as many as are configured."""

    def perform(
        self,
        effect: PublishFact | RequestDelivery | ReplyTo | SendCommand,
        entity: Entity | None,
        channel: str,
        now: int,
    ) -> Effect:
        """The record of one effect. `now` is the decided record's time."""
        if isinstance(effect, ReplyTo):
            return reply_record(effect.reply, effect.address, channel, now)
        if isinstance(effect, SendCommand):
            headers = _headers(effect.id, effect.type, channel, effect.subject, now)
            return Effect("orders.commands", effect.key, orjson.dumps(effect.body), headers)
        if entity is None:
            raise ValueError(f"{type(effect).__name__} without an entity")
        if isinstance(effect, PublishFact):
            headers = _headers(effect.id, FACT + effect.name, channel, entity.code, now)
            return Effect("orders.events", entity.key, orjson.dumps(effect.data), headers)
        return self._request(effect, entity, now)

    def _request(self, effect: RequestDelivery, entity: Entity, now: int) -> Effect:
        key = entity.key
        shard = shard_of(key, self._shards(effect.destination, entity.channel))
        own = join(effect.destination, key.decode(), effect.id)
        lane = own if effect.beside else lane_key(effect.destination, key)
        request = DeliveryRequest(
            id=effect.id,
            destination=effect.destination,
            shard=shard,
            channel=entity.channel,
            touchpoint=effect.touchpoint,
            lane=lane.decode(),
            entity=key.decode(),
            subject=entity.code,
            body=effect.body,
            relay=effect.relay,
            deadline_ms=effect.deadline_ms,
            withdraw=effect.withdraw,
            sequence=effect.sequence,
            created_ms=now,
        )
        headers = _headers(effect.id, DELIVERY_REQUEST, entity.channel, entity.code, now)
        return Effect("deliveries.requests", lane, request.encode(), headers, self._home(effect.destination, shard))

    def _shards(self, destination: str, channel: str) -> int:
        if destination == INCREFF:
            return self._channels.increff.shards
        return self._channels.channels[channel].marketplace.shards

    def _home(self, destination: str, shard: int) -> int:
        home = self._homes.get((destination, shard))
        if home is None:
            home = destination_partition(destination, shard, self._partitions)
            self._homes[destination, shard] = home
        return home


def reply_record(reply: Reply, address: Address, channel: str, now: int) -> Effect:
    """The record that tells whoever waits: a gateway on its partition, a direct producer on its reply topic."""
    headers = _headers(reply.event, REPLY, channel, "", now)
    key, value = reply.event.encode(), reply.encode()
    if isinstance(address, str):
        return Effect(address, key, value, headers)
    return Effect("replies", key, value, headers, address)


def _headers(id_: str, type_: str, channel: str, subject: str, now: int) -> tuple[tuple[str, bytes], ...]:
    return stamped(id_, type_, ORDERS_SOURCE, channel, subject, now)
