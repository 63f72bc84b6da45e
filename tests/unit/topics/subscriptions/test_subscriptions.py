"""A fact finds exactly the active subscriptions that want it, and what a subscription holds is shown to nobody."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.subscriptions import A, B, index, subscription
from topics.records.keys import channel_destination, subscription_destination, subscription_of
from topics.subscriptions.index import SubscriptionIndex, health_key
from topics.subscriptions.model import (
    Deleted,
    Health,
    SigningSecret,
    Status,
    Subscription,
    decode_subscription,
    delivered_body,
    delivery_id,
    matches,
)

FACT = {"sequence": 3, "channel": "demo", "atMs": 1_767_225_600_123, "sinceCreatedMs": 5, "locationCode": "AUH-1"}


def found(made: SubscriptionIndex, name: str = "order-packed", **change: object) -> list[str]:
    return [one.id for one in made.matching(name, {**FACT, **change})]


@pytest.mark.parametrize(
    ("pattern", "name", "wanted"),
    [
        ("*", "order-held", True),
        ("order-held", "order-held", True),
        ("order-*", "order-held", True),
        ("order-*", "return-created", False),
        ("*-refused", "pack-refused", True),
        ("*-refused", "pack-refused-again", False),
        ("order-held", "order-held-up", False),
    ],
)
def test_a_pattern_means_names(pattern: str, name: str, *, wanted: bool) -> None:
    assert matches(pattern, name) is wanted


def test_filters_by_type_channel_and_location_all_have_to_agree() -> None:
    made = index(
        subscription(A, types=["shipment-*"], channels=["demo"], locations=["AUH-1", "AUH-2"]), subscription(B)
    )
    assert found(made, "shipment-packed") == [A, B]
    assert found(made, "order-created") == [B]
    assert found(made, "shipment-packed", channel="other") == [B]
    assert found(made, "shipment-packed", locationCode="DXB") == [B]
    assert found(made, "shipment-packed", locationCode=None) == [B]
    assert found(made, "shipment-packed", locationCode=None, acknowledgedBy="AUH-2") == [A, B]


def test_only_who_is_verified_enabled_and_not_disabled_gets_facts() -> None:
    assert found(index(subscription(verified_ms=None))) == []
    assert found(index(subscription(enabled=False))) == []
    made = index(subscription())
    made.apply_status(A.encode(), Status(revision=1, disabled_ms=5, reason="gone").encode())
    assert found(made) == []
    assert made.disabled(A) is not None
    made.apply(A.encode(), subscription(revision=2).encode())
    assert made.disabled(A) is None
    assert found(made) == [A], "a new revision begins enabled"
    made.apply(A.encode(), Deleted(id=A, deleted_ms=9).encode())
    assert found(made) == []
    assert made.is_deleted(A)
    assert not made.is_deleted(B)


def test_a_status_may_be_read_before_its_subscription() -> None:
    made = SubscriptionIndex()
    made.apply_status(A.encode(), Status(revision=4, disabled_ms=5, reason="gone").encode())
    made.apply(A.encode(), subscription(revision=4).encode())
    assert not made.is_active(A)


def test_the_health_of_a_shard_is_not_the_status() -> None:
    made = index(subscription())
    made.apply_status(health_key(A, 1), Health(failing_since_ms=7).encode())
    assert made.health(A) == {1: Health(failing_since_ms=7)}
    assert made.is_active(A)


def test_what_was_deleted_never_comes_back() -> None:
    """A gateway that did not know yet may write a change after it."""
    made = index(subscription())
    made.apply(A.encode(), Deleted(id=A, deleted_ms=1).encode())
    made.apply(A.encode(), subscription(revision=2).encode())
    assert (made.get(A), made.is_deleted(A), made.is_active(A), found(made)) == (None, True, False, [])


def test_a_subscription_is_read_as_it_was_written_and_its_repr_shows_neither_url_nor_secret() -> None:
    one = subscription()
    assert decode_subscription(one.encode()) == one
    assert "hidden" not in repr(one)
    assert "c2VhbGVk" not in repr(one)


@pytest.mark.parametrize(
    "pace",
    [
        {"budget": {"requests": 5, "window_s": 1}},
        {"budget": [{"requests": 5, "window_s": 1}, {"shape": "quota", "requests": 100, "per": "day"}]},
        {"budget": [{"shape": "fixed-window", "requests": 5, "window_s": 60, "aligned": "clock", "offset_s": 3}]},
        {"budget": {"shape": "fixed-window", "requests": 5, "window_s": 60}},
        {"budget": {"shape": "token-bucket", "rate_per_s": 0.5, "burst": 4, "step": 2}},
        {"budget": {"shape": "cost-bucket", "capacity": 50, "restore_per_s": 5, "costs": {"fact": 3}}},
        {"retry_pauses_s": [5, 300, 1800]},
    ],
)
def test_every_pace_is_read_as_it_was_written(pace: dict[str, Any]) -> None:
    one = Subscription.model_validate({**subscription(A).model_dump(), **pace})
    assert decode_subscription(one.encode()) == one


def test_what_cannot_be_read_is_not_quoted() -> None:
    with pytest.raises(ValueError, match=r"secrets\.0\.created_ms") as caught:
        decode_subscription(b'{"id": "sub_aaaaaaaaaaaaaaaa", "secrets": [{"sealed": "c2VhbGVk"}], "created_ms": 1}')
    assert "c2VhbGVk" not in str(caught.value)


def test_a_type_that_only_a_newer_version_knows_does_not_make_a_subscription_unreadable() -> None:
    made = index(subscription(types=["order-teleported", "order-held"]))
    assert found(made, "order-held") == [A]


def test_many_subscriptions_are_read_in_time_that_grows_with_their_number() -> None:
    """Each is compared with a fact when one comes, not whenever another subscription is read."""
    made = SubscriptionIndex()
    asked: list[str] = []
    made.is_active = lambda name: bool(asked.append(name)) or True  # type: ignore[method-assign, func-returns-value]
    for number in range(50):
        one = subscription(f"sub_{number:016d}")
        made.apply(one.id.encode(), one.encode())
    assert len(found(made)) == len(found(made)) == 50
    assert len(asked) == 50


def test_a_replaced_secret_signs_until_its_time() -> None:
    old, new = SigningSecret(sealed="b2xk", created_ms=1, until_ms=50), SigningSecret(reference="env:NEW", created_ms=2)
    one = subscription(secrets=[new, old])
    assert one.live_secrets(49) == (new, old)
    assert one.live_secrets(50) == (new,)


def test_a_delivery_id_is_stable_and_fits_a_signature() -> None:
    made = delivery_id(A, b"demo|1", "gw.1|\n.f3")
    assert made == delivery_id(A, b"demo|1", "gw.1|\n.f3")
    assert len({made, delivery_id(B, b"demo|1", "gw.1|\n.f3"), delivery_id(A, b"demo|2", "gw.1|\n.f3")}) == 3
    assert made.replace("_", "").isalnum()


def test_the_body_says_what_happened_and_when() -> None:
    body = delivered_body("order-held", FACT)
    assert body == {"type": "order-held", "timestamp": "2026-01-01T00:00:00.123Z", "data": FACT}


def test_a_subscription_is_a_destination_and_no_channel_is_one() -> None:
    assert subscription_of(subscription_destination(A)) == A
    assert subscription_of(channel_destination("demo")) is None
