"""Subscriptions of tests."""

from __future__ import annotations

from topics.subscription_view import SubscriptionIndex
from topics.subscriptions import Subscription

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
