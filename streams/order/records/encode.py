"""Encodes effects as records: topic, key, partition, headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from msgspec import UNSET

from streams.order.model import effects
from streams.order.model.effects import NoteRefusal, PublishFact, RecordAnswer, ReplyTo, RequestDelivery, SendCommand
from streams.order.model.entity import Entity
from streams.runtime.role import Effect
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.records.deliveries import TAKES_PLACE_OF, DeliveryRequest, body_of
from topics.records.envelope import DELIVERY_REQUEST, FACT, ORDERS_SOURCE, REPLY, Headers, event_headers, role_headers
from topics.records.json_text import write
from topics.records.keys import INCREFF, destination_partition, join, lane_key, shard_of, subscription_destination
from topics.records.verdicts import Address, Reply
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import FACT as FACT_KIND
from topics.subscriptions.model import Subscription, delivered_body, delivery_id
from topics.traces.context import handed_on

SHARED_LINES_MIN = 20
"""Lines that are written once for all facts that share them: of fewer, writing costs less than keeping the text."""
_FOR_TABLES = (RecordAnswer, NoteRefusal)


class EffectEncoder:
    """Finds the lane and partition of each request, and the subscribers of each fact."""

    __slots__ = ("_channels", "_homes", "_lines", "_partitions", "_subscriptions")

    def __init__(self, settings: Settings, channels: Channels, subscriptions: SubscriptionIndex) -> None:
        self._partitions = settings.partitions
        self._channels = channels
        self._subscriptions = subscriptions
        self._homes: dict[tuple[str, int], int] = {}
        """Partition of each destination's shard: as many as are configured."""
        self._lines: tuple[list[Any], orjson.Fragment] = ([], orjson.Fragment(b"[]"))
        """The lines of the last fact that had many, and their text."""

    def encode_effects(
        self, wanted: Iterable[effects.Effect], entity: Entity | None, channel: str, now: int, traceparent: str = ""
    ) -> list[Effect]:
        """The records of a decision's effects, in their order. Two kinds are none: they go to tables. `traceparent`: of
        the decision, if it is traced."""
        records: list[Effect] = []
        for effect in wanted:
            if not isinstance(effect, _FOR_TABLES):
                records.append(self.encode_effect(effect, entity, channel, now, traceparent))
                if isinstance(effect, PublishFact) and entity is not None:
                    records += self._fan_out(effect, entity, now, traceparent)
        return records

    def encode_effect(
        self,
        effect: PublishFact | RequestDelivery | ReplyTo | SendCommand,
        entity: Entity | None,
        channel: str,
        now: int,
        traceparent: str = "",
    ) -> Effect:
        """The record of one effect. `now` is the decided record's time."""
        if isinstance(effect, ReplyTo):
            return reply_record(effect.reply, effect.address, channel, now)
        if isinstance(effect, SendCommand):
            headers = _headers(effect.id, effect.type, channel, effect.subject, now)
            return Effect("orders.commands", effect.key, write(effect.body), _traced(headers, traceparent))
        if entity is None:
            raise ValueError(f"{type(effect).__name__} without an entity")
        if isinstance(effect, PublishFact):
            headers = event_headers(effect.id, FACT + effect.name, ORDERS_SOURCE, channel, entity.code, now)
            return Effect("orders.events", entity.key, self._fact(effect.data), _traced(headers, traceparent))
        return self._request(effect, entity, now, traceparent)

    def _fact(self, data: dict[str, Any]) -> bytes:
        """The text of a fact. Facts of an order share its lines; long ones are written once for all of them."""
        lines = data.get("lines")
        if type(lines) is not list or len(lines) < SHARED_LINES_MIN:
            return write(data)
        if lines is not self._lines[0]:
            self._lines = (lines, orjson.Fragment(write(lines)))
        try:
            return write({**data, "lines": self._lines[1]})
        except TypeError:  # a whole number of more than 64 bits, beside which no part is taken as it is
            return write(data)

    def _fan_out(self, fact: PublishFact, entity: Entity, now: int, traceparent: str) -> list[Effect]:
        """A request for each subscriber that wants the fact, in lanes of their own, by its sequence.

        There are none for a channel that was taken out of the configuration: delivery would set them all aside.
        """
        if entity.channel not in self._channels.channels:
            return []
        return [
            self._fact_request(fact, subscription, entity, now, traceparent)
            for subscription in self._subscriptions.matching(fact.name, fact.data)
        ]

    def _fact_request(
        self, fact: PublishFact, subscription: Subscription, entity: Entity, now: int, traceparent: str
    ) -> Effect:
        destination = subscription_destination(subscription.id)
        shard = shard_of(entity.key, subscription.shards)
        lane = lane_key(destination, entity.key)
        request = DeliveryRequest(
            id=delivery_id(subscription.id, entity.key, fact.id),
            destination=destination,
            shard=shard,
            channel=entity.channel,
            touchpoint=FACT_KIND.name,
            lane=lane.decode(),
            entity=entity.key.decode(),
            subject=entity.code,
            body=body_of(delivered_body(fact.name, fact.data)),
            sequence=fact.data["sequence"],
            created_ms=now,
            story=entity.incarnation_ms,
            traceparent=traceparent or UNSET,
        )
        headers = _traced(_headers(request.id, DELIVERY_REQUEST, entity.channel, entity.code, now), traceparent)
        return Effect("deliveries.requests", lane, request.encode(), headers, self._home(destination, shard))

    def _request(self, effect: RequestDelivery, entity: Entity, now: int, traceparent: str) -> Effect:
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
            body=body_of(effect.body),
            relay=effect.relay,
            deadline_ms=effect.deadline_ms,
            withdraw=effect.withdraw,
            sequence=effect.sequence,
            created_ms=now,
            story=entity.incarnation_ms,
            hold=effect.hold,
            again=effect.again,
            traceparent=traceparent or UNSET,
        )
        headers = _traced(_headers(effect.id, DELIVERY_REQUEST, entity.channel, entity.code, now), traceparent)
        if effect.former:
            headers = (*headers, (TAKES_PLACE_OF, effect.former.encode()))
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
    """The record of a reply, on the partition of a gateway or on the reply topic of a direct producer."""
    key, value = reply.event.encode(), reply.encode()
    if isinstance(address, str):
        return Effect(address, key, value, event_headers(reply.event, REPLY, ORDERS_SOURCE, channel, "", now))
    return Effect("replies", key, value, _headers(reply.event, REPLY, channel, "", now), address)


def _headers(id_: str, type_: str, channel: str, subject: str, now: int) -> tuple[tuple[str, bytes], ...]:
    return role_headers(id_, type_, ORDERS_SOURCE, channel, subject, now)


def _traced(headers: Headers, traceparent: str) -> Headers:
    """Headers of a record that goes on with the trace of its decision."""
    return (*headers, *handed_on(traceparent)) if traceparent else headers
