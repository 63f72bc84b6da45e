"""A subscription is disabled by 410 or by failing for too long, once, and goes on when it is enabled again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from prometheus_client import REGISTRY

from streams.delivery.ports import Answer
from streams.runtime.role import Change, Effect
from tests.fakes.delivery import Durable, Played, channels_for, ok
from tests.support.facts import check_fact_records
from tests.support.subscriptions import A, fact_request, index, subscription
from tests.unit.delivery.subscribers.playing import DAY_MS, follow_status, learn, started, waiting
from topics.records.facts.catalogue import check


async def test_410_disables_at_once_and_a_new_revision_goes_on_with_the_same_request() -> None:
    worker = await started(subscription())
    facts = follow_status(worker)
    worker.sender.far = lambda _call, _before: Answer(status=410)
    first = fact_request("O-1", 1)
    worker.give(first, fact_request("O-1", 2))
    await worker.clock.run_for(1_000)
    [fact] = facts()
    check("subscription-disabled", fact)
    check_fact_records([effect for effect in worker.durable.effects if effect.topic == "subscriptions.events"])
    assert (fact["subscription"], fact["revision"], fact["reason"]) == (A, 1, "gone")
    assert not worker.subscriptions.is_active(A)
    assert REGISTRY.get_sample_value("sluice_delivery_disabled_subscriptions") == 1
    await worker.clock.run_for(DAY_MS)
    assert worker.sender.ids() == [first.id]
    worker = await worker.restart()
    await worker.clock.run_for(DAY_MS)
    assert worker.sender.ids() == [first.id], "a restart does not forget it"
    worker.sender.far = ok
    learn(worker, subscription(revision=2))
    await worker.clock.run_for(DAY_MS)
    assert REGISTRY.get_sample_value("sluice_delivery_disabled_subscriptions") == 0
    assert worker.sender.ids() == [first.id, first.id, fact_request("O-1", 2).id]
    assert worker.sender.arrivals[1].call.attempt == 2


async def test_410_of_an_endpoint_that_was_replaced_meanwhile_does_not_disable_the_new_one() -> None:
    worker = await started(subscription(url="https://old.example/"))
    facts = follow_status(worker)
    worker.sender.takes_ms = lambda _call: 1_000
    worker.sender.far = lambda _call, before: Answer(status=200 if before else 410)
    worker.give(fact_request("O-1", 1))
    await worker.clock.run_for(500)
    learn(worker, subscription(url="https://new.example/", revision=2))
    await worker.clock.run_for(DAY_MS)
    assert facts() == []
    assert [arrival.call.attempt for arrival in worker.sender.arrivals] == [1, 2]
    assert waiting(worker) == 0


class Late(Durable):
    """What is published is read by all at once, while the commit is still under way."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = asyncio.Event()

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        published = list(effects)
        await super().commit(partition, published, changes)
        if any(effect.topic == "subscriptions.status" for effect in published):
            await self.ends.wait()


async def test_after_410_nothing_leaves_while_that_becomes_durable_and_enabling_it_meanwhile_counts() -> None:
    durable = Late()
    worker = await Played(channels_for(), subscriptions=index(subscription()), durable=durable).start()
    facts = follow_status(worker)
    worker.sender.far = lambda _call, _before: Answer(status=410)
    first, second = fact_request("O-1", 1), fact_request("O-2", 1)
    worker.give(first)
    await worker.clock.run_for(1_000)
    worker.give(second)
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == [first.id]
    assert [fact["reason"] for fact in facts()] == ["gone"]
    learn(worker, subscription(revision=2))
    worker.sender.far = ok
    durable.ends.set()
    await worker.clock.run_for(DAY_MS)
    assert sorted(worker.sender.ids()) == sorted([first.id, first.id, second.id])


async def test_failing_for_too_long_disables_once_and_over_restarts() -> None:
    worker = await started(subscription(retry_for_s=100 * 86_400))
    worker.sender.far = lambda _call, _before: Answer(status=None, error="ConnectionRefusedError")
    worker.give(fact_request("O-1", 1), fact_request("O-2", 1))
    facts = follow_status(worker)
    await worker.clock.run_for(4 * DAY_MS)
    assert facts() == []
    assert worker.subscriptions.health(A)[0].failing_since_ms is not None
    worker = await worker.restart()
    facts = follow_status(worker)
    await worker.clock.run_for(DAY_MS + 3_600_000)
    [fact] = facts()
    assert (fact["reason"], fact["failingSinceMs"]) == ("failing", worker.sender.arrivals[0].at_ms)


@pytest.mark.parametrize("restarted", [False, True])
async def test_once_enabled_again_it_has_its_days_anew(*, restarted: bool) -> None:
    worker = await started(subscription(retry_for_s=100 * 86_400, retry_max_s=7_200))
    worker.sender.far = lambda _call, _before: Answer(status=500)
    worker.give(fact_request("O-1", 1))
    facts = follow_status(worker)
    await worker.clock.run_for(5 * DAY_MS + DAY_MS // 2)
    assert [fact["revision"] for fact in facts()] == [1]
    if restarted:
        worker = await worker.restart()
        facts = follow_status(worker)
    learn(worker, subscription(retry_for_s=100 * 86_400, retry_max_s=7_200, revision=2))
    await worker.clock.run_for(4 * DAY_MS)
    assert [fact["revision"] for fact in facts()] == [1]
    await worker.clock.run_for(DAY_MS + DAY_MS // 2)
    assert [fact["revision"] for fact in facts()] == [1, 2]


async def test_one_success_in_between_is_enough_to_stay_enabled() -> None:
    worker = await started(subscription(retry_for_s=100 * 86_400))
    worker.sender.far = lambda call, _before: Answer(
        status=200 if call.read_members()["data"]["orderCode"] == "well" else 500
    )
    worker.give(fact_request("O-1", 1))
    facts = follow_status(worker)
    await worker.clock.run_for(3 * DAY_MS)
    worker.give(fact_request("well", 1))
    await worker.clock.run_for(4 * DAY_MS)
    assert facts() == []
