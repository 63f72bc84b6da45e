"""Subscriptions are destinations that come, change and go while requests wait: nothing for one that lives is lost or
sent out of order, nothing for one that is gone is sent, and one that is disabled is left alone until enabled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from streams.delivery import tasks
from streams.delivery.dispatch.dispatcher import Dispatcher
from streams.delivery.outbox import intake
from streams.delivery.outbox.records import OutboxEntry
from streams.delivery.ports import Answer, Call, Withheld
from tests.fakes.delivery import START_MS, Played, channels_for, ok
from tests.support.subscriptions import A, B, fact_request, index, subscription
from tests.unit.delivery.subscribers.playing import DAY_MS, follow_status, learn, started, waiting
from topics.records.deliveries import body_of
from topics.subscriptions.index import SubscriptionIndex, backlog_key
from topics.subscriptions.model import Deleted, Status


async def test_facts_reach_their_subscriber_in_order_and_no_order_is_told() -> None:
    worker = await started(subscription())
    requests = [fact_request("O-1", sequence) for sequence in (1, 2, 5)]
    worker.give(*requests)
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == [request.id for request in requests]
    assert [arrival.call.read_members() for arrival in worker.sender.arrivals] == [
        request.members for request in requests
    ]
    assert worker.outcomes() == []
    assert waiting(worker) == 0


async def test_an_order_that_came_again_under_its_code_begins_again_and_is_not_taken_for_a_repeat() -> None:
    """Its last fact tells that it was forgotten; what comes next counts from 1."""
    worker = await started(subscription())
    old, forgotten = fact_request("O-1", 8), fact_request("O-1", 9)
    again = [fact_request("O-1", n, id=f"msg_again{n}", story=START_MS + 1) for n in (2, 3)]
    worker.give(old, forgotten, *again, old, forgotten, *again)
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == [old.id, forgotten.id, "msg_again2", "msg_again3"]
    assert [arrival.call.previous_sequence for arrival in worker.sender.arrivals] == [0, 8, 0, 2]


async def test_a_request_that_comes_before_its_subscription_is_known_waits_for_it() -> None:
    worker = await started()
    requests = [fact_request("O-1", 1), fact_request("O-1", 2)]
    worker.give(*requests)
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == []
    worker = await worker.restart()
    learn(worker, subscription())
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == [request.id for request in requests]


async def test_a_deleted_subscription_gets_nothing_of_what_waited_or_comes() -> None:
    worker = await started(subscription(), subscription(B))
    worker.sender.far = lambda _call, _before: Answer(status=503)
    worker.give(fact_request("O-1", 1), fact_request("O-1", 2), fact_request("O-2", 1, B))
    await worker.clock.run_for(100)
    worker.subscriptions.apply(A.encode(), Deleted(id=A, deleted_ms=1).encode())
    worker.give(fact_request("O-3", 1))
    await worker.clock.settle()
    sent = len(worker.sender.arrivals)
    worker.sender.far = ok
    await worker.clock.run_for(DAY_MS // 24)
    assert {arrival.call.destination for arrival in worker.sender.arrivals[sent:]} == {f"subscription:{B}"}
    assert waiting(worker) == 0


async def test_what_waited_for_a_subscription_that_was_deleted_meanwhile_is_dropped_at_the_next_start() -> None:
    worker = await started()
    worker.give(*(fact_request("O-1", sequence) for sequence in range(1, 6)))
    await worker.clock.settle()
    worker.subscriptions.apply(A.encode(), Deleted(id=A, deleted_ms=1).encode())
    worker = await worker.restart()
    await worker.clock.run_for(1_000)
    assert waiting(worker) == 0
    assert worker.sender.ids() == []


async def test_disabled_by_an_operator_it_is_sent_nothing_and_keeps_what_waits_and_what_was_requested_before() -> None:
    worker = await started(subscription())
    worker.sender.far = lambda _call, _before: Answer(status=500)
    first, second = fact_request("O-1", 1), fact_request("O-1", 2)
    worker.give(first, second)
    await worker.clock.run_for(100)
    learn(worker, subscription(enabled=False, revision=2))
    await worker.clock.run_for(1_000)
    worker.sender.far = ok
    sent = len(worker.sender.arrivals)
    third = fact_request("O-1", 3)
    worker.give(third)
    await worker.clock.run_for(DAY_MS)
    assert worker.sender.ids()[sent:] == []
    learn(worker, subscription(revision=3))
    await worker.clock.run_for(DAY_MS)
    assert worker.sender.ids()[sent:] == [first.id, second.id, third.id]


async def test_a_fact_that_comes_before_its_subscription_is_known_to_be_active_waits_for_that() -> None:
    """Orders may have learned of a verification or an `enable` first; what was dropped here would be a gap untold."""
    worker = await started(subscription(verified_ms=None))
    worker.give(fact_request("O-1", 1))
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == []
    learn(worker, subscription(revision=2))
    worker.give(fact_request("O-1", 2))
    await worker.clock.run_for(1_000)
    told = [(one.call.sequence, one.call.previous_sequence, one.call.watermark) for one in worker.sender.arrivals]
    assert told == [(1, 0, 0), (2, 1, 1)]


async def test_other_settings_apply_to_what_waits_and_nothing_is_sent_by_two() -> None:
    worker = await started(subscription(concurrency=1))
    worker.sender.takes_ms = lambda _call: 1_000
    requests = [fact_request(f"O-{number}", 1) for number in range(8)]
    worker.give(*requests)
    await worker.clock.run_for(1_500)
    learn(worker, subscription(concurrency=4, revision=2))
    await worker.clock.run_for(10_000)
    assert sorted(worker.sender.ids()) == sorted(request.id for request in requests)
    assert worker.sender.in_air_max == 4


async def test_a_stop_while_settings_change_lets_what_is_in_the_air_end_and_begins_nothing() -> None:
    worker = await started(subscription(concurrency=1))
    worker.sender.takes_ms = lambda _call: 1_000
    worker.give(fact_request("O-1", 1), fact_request("O-2", 1))
    await worker.clock.run_for(500)
    learn(worker, subscription(concurrency=4, revision=2))
    stopping = asyncio.create_task(worker.role.stop())
    await worker.clock.run_for(60_000)
    assert stopping.done()
    assert (len(worker.sender.arrivals), waiting(worker)) == (1, 1)


@pytest.mark.parametrize("change", [{"description": "moved"}, {"types": ["order-*"]}])
async def test_a_change_that_no_runner_cares_about_interrupts_nothing(change: dict[str, Any]) -> None:
    worker = await started(subscription())
    worker.sender.takes_ms = lambda _call: 1_000
    worker.give(fact_request("O-1", 1))
    await worker.clock.run_for(500)
    learn(worker, subscription(revision=2, **change))
    await worker.clock.run_for(5_000)
    assert len(worker.sender.arrivals) == 1


async def test_what_cannot_be_sent_from_here_waits_and_is_not_the_endpoints_failure() -> None:
    worker = await started(subscription(retry_for_s=3_600))
    facts = follow_status(worker)

    def far(_call: Call, _before: int) -> Answer:
        raise Withheld("a secret cannot be read here")

    worker.sender.far = far
    requests = [fact_request(f"O-{number}", 1) for number in range(8)]
    worker.give(*requests)
    await worker.clock.run_for(6 * DAY_MS)
    labels = {"destination": f"subscription:{A}", "shard": "0"}
    assert REGISTRY.get_sample_value("sluice_delivery_withheld", labels) == 1
    assert facts() == []
    assert {effect.key for effect in worker.durable.effects} == {backlog_key(A, 0)}, "only that they wait"
    assert waiting(worker) == len(requests)
    worker.sender.far = ok
    sent = len(worker.sender.arrivals)
    learn(worker, subscription(retry_for_s=3_600, revision=2))
    await worker.clock.run_for(1_000)
    assert sorted(worker.sender.ids()[sent:]) == sorted(request.id for request in requests)
    assert {arrival.call.attempt for arrival in worker.sender.arrivals[sent:]} == {1}
    assert REGISTRY.get_sample_value("sluice_delivery_withheld", labels) is None
    assert worker.crashes == []


async def test_while_its_record_cannot_be_read_nothing_is_sent_and_nothing_is_given_up() -> None:
    worker = await started(subscription(retry_for_s=3_600))
    worker.give(fact_request("O-0", 1))
    await worker.clock.run_for(100)
    with pytest.raises(ValueError, match="a subscription cannot be read"):
        worker.subscriptions.apply(A.encode(), b'{"id": "of a newer version"}')
    assert REGISTRY.get_sample_value("sluice_delivery_unreadable_subscriptions") == 1
    requests = [fact_request("O-1", sequence) for sequence in (1, 2, 3)]
    worker.give(*requests)
    await worker.clock.run_for(DAY_MS)
    assert len(worker.sender.arrivals) == 1
    learn(worker, subscription(retry_for_s=3_600, revision=2))
    await worker.clock.run_for(1_000)
    assert worker.sender.ids()[1:] == [request.id for request in requests]
    assert REGISTRY.get_sample_value("sluice_delivery_unreadable_subscriptions") == 0


async def test_a_subscription_that_is_deleted_leaves_nothing_behind_but_that_it_was() -> None:
    name = "sub_left000000000000"  # of no other test: the metrics are the process's
    worker = await started(subscription(name))
    follow = follow_status(worker)
    worker.sender.far = lambda _call, _before: Answer(status=410)
    worker.give(fact_request("O-1", 1, name))
    await worker.clock.run_for(1_000)
    follow()
    destination = f"subscription:{name}"

    def of_it() -> list[str]:
        samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
        return [sample.name for sample in samples if sample.labels.get("destination") == destination]

    assert of_it() != []
    worker.subscriptions.apply(name.encode(), Deleted(id=name, deleted_ms=1).encode())
    await worker.clock.run_for(1_000)
    assert of_it() == []
    assert destination not in worker.breakers
    assert all(destination not in partition._destinations for partition in worker.role._partitions.values())
    assert destination not in worker.role._gates._gates
    worker.subscriptions.apply_status(name.encode(), Status(revision=1, disabled_ms=1, reason="gone").encode())
    assert (worker.subscriptions.health(name), worker.subscriptions._statuses) == ({}, {})


async def test_a_subscriber_that_fails_does_not_hold_up_another() -> None:
    worker = await started(subscription(), subscription(B))

    def far(call: Call, _before: int) -> Answer:
        return Answer(status=500 if call.destination.endswith(A) else 200)

    worker.sender.far = far
    worker.give(fact_request("O-1", 1), fact_request("O-1", 1, B))
    await worker.clock.run_for(100)
    assert fact_request("O-1", 1, B).id in worker.sender.ids()
    assert waiting(worker) == 1


def test_an_index_without_subscriptions_is_quiet() -> None:
    assert SubscriptionIndex().matching("order-created", {"channel": "demo"}) == ()


async def test_a_fact_that_was_set_aside_is_a_gap_that_later_ones_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await Played(channels_for(), subscriptions=index(subscription())).start()
    large = fact_request("O-1", 2)
    body = body_of({**(large.members or {}), "text": "x" * 5_000})
    monkeypatch.setattr(intake, "ENTRY_BYTES_MAX", 4_000)
    worker.give(fact_request("O-1", 1), replace(large, body=body), fact_request("O-1", 3))
    worker.give(fact_request("O-2", 1, channel="gone"), fact_request("O-2", 2))
    await worker.clock.run_for(1_000)
    calls = [arrival.call for arrival in worker.sender.arrivals]
    assert [poison.code for poison in worker.poisoned] == ["too_large", "UNKNOWN_CHANNEL"]
    told = [(call.entity, call.sequence, call.previous_sequence, call.watermark) for call in calls]
    assert sorted(told) == [("demo|O-1", 1, 0, 0), ("demo|O-1", 3, 2, 1), ("demo|O-2", 2, 1, 0)]


async def test_a_backlog_is_given_to_a_renewed_runner_a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have their turns meanwhile, and what comes meanwhile keeps its place."""
    monkeypatch.setattr(tasks, "SLICE", 3 * (tasks.ROW + tasks.REQUEST))
    worker = await Played(channels_for(), subscriptions=index(subscription())).start()
    worker.sender.far = lambda _call, _before: Answer(status=503)
    worker.give(*(fact_request(f"O-{n}", 1) for n in range(30)))
    await worker.clock.run_for(100)
    worker.sender.far = ok
    before = len(worker.sender.arrivals)
    given: list[int] = []
    enqueue = Dispatcher.enqueue

    def counted(dispatcher: Dispatcher, entry: OutboxEntry) -> None:
        given[-1] += 1
        enqueue(dispatcher, entry)

    monkeypatch.setattr(Dispatcher, "enqueue", counted)
    learn(worker, subscription(revision=2, concurrency=2))
    for turn in range(100):
        given.append(0)
        await asyncio.sleep(0)
        if turn == 8:
            worker.give(*(fact_request(f"O-{n}", 2) for n in (0, 29, 30)))
    assert sum(given) == 33
    assert max(given) <= 2 * 3, "the last ones, and what was taken meanwhile"
    await worker.clock.run_for(3_600_000)
    calls = [arrival.call for arrival in worker.sender.arrivals[before:]]
    assert len(calls) == 33
    for code in ("O-0", "O-29"):
        assert [call.sequence for call in calls if call.entity == f"demo|{code}"] == [1, 2]
    assert worker.crashes == []
