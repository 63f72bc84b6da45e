"""Subscriptions of tests."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tests.fakes.delivery import START_MS
from topics.records.deliveries import DeliveryRequest, body_of
from topics.records.keys import lane_key, order_key, subscription_destination
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import FACT, Subscription, delivered_body, delivery_id

A, B = "sub_" + "a" * 16, "sub_" + "b" * 16


def subscription(name: str = A, **change: object) -> Subscription:
    """An active one that wants every fact."""
    made = {
        "id": name,
        "url": "https://receiver.example/hook?token=hidden",
        "secrets": [{"sealed": "c2VhbGVk", "created_ms": 1}],
        "created_ms": 1,
        "verified_ms": 2,
    }
    return Subscription.model_validate({**made, **change})


def index(*subscriptions: Subscription) -> SubscriptionIndex:
    made = SubscriptionIndex()
    for one in subscriptions:
        made.apply(one.id.encode(), one.encode())
    return made


def fact_request(code: str, sequence: int, of: str = A, **change: Any) -> DeliveryRequest:
    """As the orders role makes it of a fact."""
    destination, entity = subscription_destination(of), order_key("demo", code)
    fact = {"sequence": sequence, "channel": "demo", "atMs": START_MS, "sinceCreatedMs": 0, "orderCode": code}
    return replace(
        DeliveryRequest(
            id=delivery_id(of, entity, f"{code}.f{sequence}"),
            destination=destination,
            shard=0,
            channel="demo",
            touchpoint=FACT.name,
            lane=lane_key(destination, entity).decode(),
            entity=entity.decode(),
            subject=code,
            body=body_of(delivered_body("order-updated", fact)),
            sequence=sequence,
            created_ms=START_MS,
            story=START_MS,
        ),
        **change,
    )
