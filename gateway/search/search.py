"""Search Inventory: answered from the positions that are known here; Increff is asked about other SKUs.

Delivery asks Increff, because it owns the budget: one call for all unknown SKUs of a search, which leaves room for
orders as a redrive does. Whatever comes of that call, the search is answered in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.http.answers import KAFKA_RETRY_AFTER_S, Answer, Refused
from gateway.http.call import new_event_id
from gateway.ports import Clock, Outgoing, Overloaded, Producer, RecordTooLarge, Replies, Stock, Unavailable
from gateway.search import lookup
from gateway.search.negative_cache import NegativeCache, Sku
from topics.configuration.channels import Channel, Channels
from topics.configuration.settings import Settings
from topics.contract.definition import Touchpoint
from topics.records.deliveries import DeliveryRequest, body_of
from topics.records.envelope import DELIVERY_REQUEST, GATEWAY_SOURCE, role_headers
from topics.records.keys import INCREFF, destination_partition, join, shard_of
from topics.records.verdicts import Verdict

AGE_HEADER = "Sluice-Stock-Age-Ms"
"""How old the positions are that were searched, at most."""
UNASKED_HEADER = "Sluice-Search-Unasked"
"""How many SKUs are not known here and were not asked of Increff, or got no answer from it."""
ASKED_AT_ONCE = 8
"""Calls to Increff in flight from one gateway: more than it answers in time would only wait."""
LANE = "~search"
"""Takes the place of an order in the lane of such a call. Each call in flight has a lane of its own. Lanes are used
again, because delivery remembers a lane for a day."""


class Search:
    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        *,
        stock: Stock,
        producer: Producer,
        replies: Replies,
        now_ms: Clock,
    ) -> None:
        self._settings = settings
        self._shards = channels.increff.shards
        self._stock = stock
        self._producer = producer
        self._replies = replies
        self._now_ms = now_ms
        self._offers = lookup.Offers()
        self._negative_cache = NegativeCache()
        self._free = list(range(ASKED_AT_ONCE))
        """Lanes without a call in flight."""

    async def answer(self, touchpoint: Touchpoint, channel: Channel, members: Mapping[str, Any]) -> Answer:
        """The answer. Raises Refused when not all positions are known, or when they are too old."""
        age_ms = self._age_ms()
        find = lookup.at_location if touchpoint is lookup.BY_LOCATION else lookup.everywhere
        found = find(self._stock, self._offers, channel, members)
        unasked = 0
        unknown = self._unknown(channel, members, found)
        if unknown:
            asked = await self._ask(touchpoint, channel, {**members, "channelSkuCodes": unknown})
            unasked = len(unknown) if asked is None else 0
            found |= asked or {}
        headers = [(AGE_HEADER, str(age_ms))]
        if unasked:
            headers.append((UNASKED_HEADER, str(unasked)))
        return Answer(200, lookup.body_of(touchpoint.name, members, found), headers=tuple(headers))

    def _age_ms(self) -> int:
        current_ms = self._stock.current_ms()
        if current_ms is None:
            reason = self._stock.unready() or "positions are being read"
            raise Refused(503, "UNAVAILABLE", "Stock is not known yet", reason, KAFKA_RETRY_AFTER_S)
        age_ms = max(0, self._now_ms() - current_ms)
        if age_ms > self._settings.search_stale_max_s * 1000:
            reason = f"the newest positions are {age_ms} ms old: {self._stock.unready() or 'Kafka does not answer'}"
            raise Refused(503, "STALE", "Stock is too old to be searched", reason, KAFKA_RETRY_AFTER_S)
        return age_ms

    def _unknown(self, channel: Channel, members: Mapping[str, Any], found: lookup.Found) -> list[str]:
        """The SKUs that Increff should be asked about."""
        if not channel.stock.search_fallback:
            return []
        now_ms = self._now_ms()
        missing = [sku for sku in lookup.skus_of(members) if sku not in found]
        return [sku for sku in missing if not self._negative_cache.has(_name(channel, members, sku), now_ms)]

    async def _ask(self, touchpoint: Touchpoint, channel: Channel, members: Mapping[str, Any]) -> lookup.Found | None:
        """Quantities that Increff has; None: it was not asked, or gave no usable answer in time."""
        if not self._free or self._replies.unready() is not None:
            return None
        event, number = new_event_id(), self._free.pop()
        try:
            waiting = self._replies.expect(event, self._settings.search_deadline_s)
            try:
                await self._producer.produce(self._request(event, number, touchpoint, channel, members))
            except BaseException:
                self._replies.forget(event)
                raise
            reply = await waiting
        except (Unavailable, Overloaded, RecordTooLarge):
            return None
        finally:
            self._free.append(number)
        if reply is None or reply.verdict is not Verdict.ANSWERED or not isinstance(reply.body, dict):
            return None
        found = lookup.in_answer(touchpoint.name, reply.body, channel, self._offers.lookup(channel), members)
        missing = [_name(channel, members, sku) for sku in members["channelSkuCodes"] if sku not in found]
        self._negative_cache.add(missing, self._now_ms())
        return found

    def _request(
        self, event: str, number: int, touchpoint: Touchpoint, channel: Channel, members: Mapping[str, Any]
    ) -> Outgoing:
        """The request to delivery. It is withdrawn at its deadline, when the search no longer waits for it."""
        now_ms = self._now_ms()
        lane = join(INCREFF, LANE, str(self._replies.partition), str(number))
        shard = shard_of(lane, self._shards)
        request = DeliveryRequest(
            id=event,
            destination=INCREFF,
            shard=shard,
            channel=channel.name,
            touchpoint=touchpoint.name,
            lane=lane.decode(),
            entity="",
            subject="",
            body=body_of(members),
            relay=True,
            deadline_ms=now_ms + round(self._settings.search_deadline_s * 1000),
            withdraw=True,
            created_ms=now_ms,
            reply=self._replies.partition,
        )
        headers = role_headers(event, DELIVERY_REQUEST, GATEWAY_SOURCE, channel.name, "", now_ms)
        home = destination_partition(INCREFF, shard, self._settings.partitions)
        return Outgoing("deliveries.requests", lane, request.encode(), headers, home)


def _name(channel: Channel, members: Mapping[str, Any], sku: str) -> Sku:
    return channel.name, members.get("locationCode", ""), sku
