"""What has to arrive: facts of many orders for one subscriber, as the orders role requests them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topics.configuration.settings import Settings
from topics.records.deliveries import DeliveryRequest, body_of
from topics.records.envelope import DELIVERY_REQUEST, ORDERS_SOURCE, Envelope, Headers
from topics.records.keys import destination_partition, lane_key, order_key, shard_of, subscription_destination
from topics.subscriptions.model import FACT, SigningSecret, Subscription, delivered_body, delivery_id

CHANNEL = "demo"
SUBSCRIPTION = "sub_torture000000000"
SECRET_VARIABLE = "TORTURE_SECRET"
SECRET = "whsec_dG9ydHVyZS10b3J0dXJlLXRvcnR1cmUtdG9ydHVyZQ=="
CREATED_MS = 1_760_000_000_000
FACT_NAME = "order-acknowledged"


@dataclass(frozen=True, slots=True)
class Load:
    """`deliveries` of `orders` orders, in turn; the subscriber's shards are spread over partitions."""

    deliveries: int
    orders: int
    shards: int = 4
    concurrency: int = 32

    def subscription(self, url: str) -> Subscription:
        return Subscription(
            id=SUBSCRIPTION,
            url=url,
            secrets=(SigningSecret(reference=f"env:{SECRET_VARIABLE}", created_ms=CREATED_MS),),
            created_ms=CREATED_MS,
            verified_ms=CREATED_MS,
            shards=self.shards,
            concurrency=self.concurrency,
            timeout_s=2.0,
            retry_first_s=0.1,
            retry_max_s=1.0,
        )

    def sequences(self) -> Iterator[tuple[str, int]]:
        """(order, sequence), every order's in turn."""
        for number in range(self.deliveries):
            yield f"T-{number % self.orders}", number // self.orders + 1

    def expected(self) -> dict[str, set[int]]:
        """Lane, as the scorer names it -> what has to arrive."""
        found: dict[str, set[int]] = {}
        for order, sequence in self.sequences():
            found.setdefault(f"{CHANNEL}|{order}", set()).add(sequence)
        return found

    def records(self, settings: Settings) -> Iterator[tuple[int, bytes, bytes, Headers]]:
        """(partition, key, value, headers) on deliveries.requests."""
        destination = subscription_destination(SUBSCRIPTION)
        for order, sequence in self.sequences():
            entity = order_key(CHANNEL, order)
            shard = shard_of(entity, self.shards)
            lane = lane_key(destination, entity)
            fact = {"channel": CHANNEL, "orderCode": order, "sequence": sequence, "atMs": CREATED_MS + sequence}
            request = DeliveryRequest(
                id=delivery_id(SUBSCRIPTION, entity, f"{order}-{sequence}"),
                destination=destination,
                shard=shard,
                channel=CHANNEL,
                touchpoint=FACT.name,
                lane=lane.decode(),
                entity=entity.decode(),
                subject=order,
                body=body_of(delivered_body(FACT_NAME, fact)),
                sequence=sequence,
                created_ms=CREATED_MS,
            )
            envelope = Envelope(
                id=request.id,
                type=DELIVERY_REQUEST,
                source=ORDERS_SOURCE,
                channel=CHANNEL,
                subject=order,
                time_ms=CREATED_MS,
            )
            partition = destination_partition(destination, shard, settings.partitions)
            yield partition, lane, request.encode(), envelope.headers()
