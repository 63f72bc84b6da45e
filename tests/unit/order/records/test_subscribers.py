"""Each fact of an order is requested for each subscriber that wants it: once, in the facts' order, and the same when it
is decided again. Without subscribers nothing more leaves."""

from __future__ import annotations

import orjson

from streams.order.model.effects import PublishFact
from streams.order.records.encode import EffectEncoder
from streams.order.storage.changes import read
from tests.support.orders import CHANNEL, CODE, acknowledgement_body, create_body
from tests.support.orders_log import PARTITIONS, Logs, make_settings
from tests.support.subscriptions import A, B, index, subscription
from topics.records.deliveries import DeliveryRequest, OutcomeKind, decode_request
from topics.records.keys import (
    destination_partition,
    lane_key,
    order_key,
    partition_of,
    shard_of,
    subscription_destination,
)
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import Deleted

KEY = order_key(CHANNEL, CODE)
HOME = partition_of(KEY, PARTITIONS)


def told(logs: Logs, subscription_id: str) -> list[DeliveryRequest]:
    destination = subscription_destination(subscription_id)
    return [request for request in logs.requests() if request.destination == destination]


def story(subscriptions: SubscriptionIndex) -> Logs:
    logs = Logs(subscriptions=subscriptions)
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    for request in list(logs.requests()):
        if request.touchpoint != "fact":
            logs.answer(request, OutcomeKind.DELIVERED)
    logs.call("acknowledgement", acknowledgement_body(), "ack")
    logs.run()
    return logs


def test_every_fact_is_requested_in_order_with_its_sequence_and_body() -> None:
    logs = story(index(subscription()))
    facts = logs.values("orders.events")
    requests = told(logs, A)
    assert [request.sequence for request in requests] == [fact["sequence"] for fact in facts] == [1, 2, 3]
    assert [request.members and request.members["data"] for request in requests] == facts
    assert [request.members and request.members["type"] for request in requests] == [
        "order-created",
        "order-submitted",
        "order-acknowledged",
    ]


def test_requests_wait_in_the_lane_of_their_order_where_the_shard_lives() -> None:
    logs = story(index(subscription(shards=4)))
    destination, shard = subscription_destination(A), shard_of(KEY, 4)
    effects = [effect for effect in logs.effects if decode_request_of(effect.topic, effect.value) == A]
    assert {effect.key for effect in effects} == {lane_key(destination, KEY)}
    assert {effect.partition for effect in effects} == {destination_partition(destination, shard, PARTITIONS)}


def test_all_requests_and_facts_of_an_order_are_of_one_story() -> None:
    """By a later one delivery tells that sequences begin again. What an order had before its Create is of its story."""
    logs = Logs(subscriptions=index(subscription()))
    logs.call("acknowledgement", acknowledgement_body(), "early")
    logs.run()
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    requests = logs.requests()
    [story] = {request.story for request in requests}
    assert story > 0
    assert {request.touchpoint for request in requests} == {"fact", "create-outward-order", "acknowledgement"}
    assert [request.sequence for request in told(logs, A)][:2] == [1, 2]


def decode_request_of(topic: str, value: bytes) -> str:
    if topic != "deliveries.requests":
        return ""
    return decode_request(value).destination.removeprefix("subscription:")


def test_each_subscriber_gets_what_it_asked_for() -> None:
    logs = story(index(subscription(A, types=["*-acknowledged"]), subscription(B, channels=["elsewhere"])))
    assert [request.sequence for request in told(logs, A)] == [3]
    assert told(logs, B) == []


def test_facts_of_a_channel_that_is_not_configured_any_more_are_requested_of_nobody() -> None:
    logs = story(index(subscription()))
    fact = PublishFact("later", "order-updated", logs.values("orders.events")[0])
    order = next(read(raw) for _, raw in logs.states[HOME].all[0].items())
    for channels, number in ((logs.channels, 2), (logs.channels.model_copy(update={"channels": {}}), 1)):
        encoder = EffectEncoder(make_settings(), channels, logs.subscriptions)
        assert len(encoder.encode_effects([fact], order, CHANNEL, 1)) == number


def test_without_subscribers_the_same_leaves_as_before() -> None:
    gone = index(subscription())
    gone.apply(A.encode(), Deleted(id=A, deleted_ms=9).encode())
    assert [effect.topic for effect in story(gone).effects] == [
        effect.topic for effect in story(SubscriptionIndex()).effects
    ]


def test_a_crash_makes_the_same_requests_again() -> None:
    """Killed between the effects and the state: all of it is decided again."""
    logs = Logs(subscriptions=index(subscription()))
    logs.call("create-outward-order", create_body(), "create")
    logs.crash_after_effects(HOME)
    logs.run()
    sent = [effect.value for effect in logs.effects if effect.topic == "deliveries.requests"]
    requests = [raw for raw in map(orjson.loads, sent) if raw["touchpoint"] == "fact"]
    assert len(requests) == 2
    assert requests[0] == requests[1]
