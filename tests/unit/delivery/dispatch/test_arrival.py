"""A partition that comes is given to its owners a little in each turn of the event loop. Whatever happens meanwhile,
nothing is lost, sent out of order or sent twice by it, and nothing is sent before its dispatcher has everything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest

from streams.delivery import tasks
from streams.delivery.dispatch.dispatcher import Dispatcher
from streams.delivery.outbox.records import OUTBOX, OutboxEntry, decode_header
from streams.delivery.tasks import TimeSlicer
from streams.runtime.role import Change
from tests.fakes.delivery import PARTITIONS, START_MS, Durable, Played, channels_for, request_for
from tests.support.subscriptions import A, B, fact_request, index, subscription
from topics.records.keys import (
    INCREFF,
    destination_partition,
    entry_key,
    header_key,
    is_entry_key,
    subscription_destination,
)
from topics.subscriptions.model import Deleted, Subscription

BACKLOG = 30
ORDERS = [f"O-{n:02}" for n in range(BACKLOG)]


def home(name: str) -> int:
    return destination_partition(subscription_destination(name), 0, PARTITIONS)


HOME = home(A)


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def waiting(worker: Played) -> int:
    return sum(is_entry_key(key) for tables in worker.durable.tables.values() for key in tables[OUTBOX].values)


def learn(worker: Played, changed: Subscription) -> None:
    worker.subscriptions.apply(changed.id.encode(), changed.encode())


def sequences(worker: Played, code: str) -> list[int]:
    calls = [arrival.call for arrival in worker.sender.arrivals]
    return [call.sequence for call in calls if call.entity == f"demo|{code}"]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[OutboxEntry]:
    """What dispatchers are given, in order."""
    found: list[OutboxEntry] = []
    enqueue = Dispatcher.enqueue

    def noted(dispatcher: Dispatcher, entry: OutboxEntry) -> None:
        found.append(entry)
        enqueue(dispatcher, entry)

    monkeypatch.setattr(Dispatcher, "enqueue", noted)
    return found


async def arriving(monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry], name: str = A) -> Played:
    """A worker that is given a backlog of one fact of each order, and is amid it."""
    worker = await Played(channels_for(), subscriptions=index(subscription(name, enabled=False))).start()
    worker.give(*(fact_request(code, 1, name) for code in ORDERS))
    await worker.clock.run_for(100)
    learn(worker, subscription(name, revision=2))
    await worker.kill()
    monkeypatch.setattr(tasks, "SLICE", 3 * (tasks.ROW + tasks.REQUEST))
    worker = await worker.restart()
    given.clear()
    while len(given) < BACKLOG // 3:  # noqa: ASYNC110 - the moment in question lies between two turns of the loop
        await asyncio.sleep(0)
    assert len(given) < BACKLOG // 2
    assert worker.sender.arrivals == []
    assert f"[{home(name)}]" in str(worker.role.ready())
    return worker


async def test_others_have_their_turns_while_a_hundred_thousand_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    durable = Durable()
    outbox = durable.of(HOME)[OUTBOX]
    first = fact_request("O-0", 1)
    header = decode_header(None)
    raw = header.append(first, START_MS).encode()
    number = 100_000
    for n in range(number):
        lane = first.lane.replace("O-0", f"O-{n}")
        outbox.put(entry_key(lane, first.id), raw.replace(b"O-0", b"O-%d" % n))
    for n in range(number, 2 * number):  # those that are remembered, and of which nothing waits, take long, too
        outbox.put(header_key(first.lane.replace("O-0", f"O-{n}")), header.encode())
    in_turn = [0]

    def counted(_runner: Dispatcher, _entry: OutboxEntry) -> None:
        in_turn[-1] += 1

    monkeypatch.setattr(Dispatcher, "enqueue", counted)
    worker = await Played(channels_for(), durable=durable, subscriptions=index(subscription(enabled=False))).start()
    while worker.role.ready() is not None:
        await asyncio.sleep(0)
        in_turn.append(0)
    assert sum(in_turn) == number
    assert max(in_turn) <= 200
    assert len(in_turn) > number // 200 + number // tasks.SLICE


async def test_what_comes_and_leaves_meanwhile_keeps_its_place_and_is_sent_once_all_is_given(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    worker = await arriving(monkeypatch, given)
    passed, ahead = given[0].request, fact_request(ORDERS[-1], 1)
    changed = [fact_request(code, 2) for code in (ORDERS[0], ORDERS[-1], "new")]
    worker.give(*changed, *changed)
    for request in (passed, ahead):
        key = entry_key(request.lane, request.id)
        worker.durable.tables[HOME][OUTBOX].delete(key)
        worker.role.changed(HOME, [Change(OUTBOX, key, None)])
    while len(given) < BACKLOG:
        assert worker.sender.arrivals == []
        await asyncio.sleep(0)
    await worker.clock.run_for(10_000)
    told = {code: sequences(worker, code) for code in (*ORDERS, "new")}
    expected = {code: [1] for code in ORDERS} | {"new": [2]}
    expected |= {passed.subject: [], ORDERS[-1]: [2]}
    expected[ORDERS[0]] = [*expected[ORDERS[0]], 2]
    assert told == expected
    assert (waiting(worker), worker.crashes, worker.role.ready()) == (0, [], None)


async def test_what_comes_in_each_turn_does_not_keep_it_from_coming_to_its_end(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    worker = await arriving(monkeypatch, given)
    come = 0
    while worker.role.ready() is not None:
        worker.give(*(fact_request(f"P-{come + n}", 1) for n in range(6)))  # twice as much as is given
        come += 6
        assert come < 100 * BACKLOG
        await asyncio.sleep(0)
    await worker.clock.run_for(60_000)
    assert len(worker.sender.ids()) == len(set(worker.sender.ids())) == BACKLOG + come
    assert waiting(worker) == 0


async def test_a_partition_that_leaves_meanwhile_is_left_alone_and_its_next_owner_begins_anew(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    worker = await arriving(monkeypatch, given)
    before = len(given)
    worker.role.on_revoked(HOME)
    outbox = worker.durable.tables[HOME].pop(OUTBOX)
    monkeypatch.setattr(type(outbox), "get", None)  # a closed table is not looked into any more
    await worker.clock.run_for(1_000)
    assert (len(given), worker.sender.arrivals, worker.crashes, worker.role.ready()) == (before, [], [], None)
    monkeypatch.undo()
    worker.durable.tables[HOME][OUTBOX] = outbox
    worker.role.on_assigned(HOME, dict(worker.durable.of(HOME)))
    await worker.clock.run_for(10_000)
    assert sorted(worker.sender.ids()) == sorted(fact_request(code, 1).id for code in ORDERS)
    assert worker.crashes == []


@pytest.mark.parametrize("lost", [False, True])
async def test_a_stop_meanwhile_ends_it_and_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry], *, lost: bool
) -> None:
    worker = await arriving(monkeypatch, given)
    worker.durable.lost = lost
    stopping = asyncio.create_task(worker.role.stop())
    await worker.clock.run_for(1_000)
    assert stopping.done()
    await stopping
    assert len(given) < BACKLOG
    assert (worker.sender.arrivals, waiting(worker)) == ([], BACKLOG)
    again = await worker.restart()
    await again.clock.run_for(10_000)
    assert sorted(again.sender.ids()) == sorted(fact_request(code, 1).id for code in ORDERS)
    assert worker.crashes == again.crashes == []


async def test_other_settings_meanwhile_apply_from_the_first_request_on(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    worker = await arriving(monkeypatch, given)
    worker.sender.takes_ms = lambda _call: 1_000
    learn(worker, subscription(revision=3, concurrency=2))
    await turns(8)
    worker.give(fact_request(ORDERS[0], 2), fact_request("new", 1))
    learn(worker, subscription(revision=4, concurrency=3))
    await worker.clock.run_for(60_000)
    assert worker.sender.in_air_max == 3
    assert len(worker.sender.ids()) == len(set(worker.sender.ids())) == BACKLOG + 2
    assert sequences(worker, ORDERS[0]) == [1, 2]
    assert (waiting(worker), worker.crashes) == (0, [])


async def test_disabled_meanwhile_it_is_sent_nothing_until_it_is_enabled(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    worker = await arriving(monkeypatch, given)
    learn(worker, subscription(revision=3, enabled=False))
    await worker.clock.run_for(10_000)
    assert (worker.sender.arrivals, waiting(worker)) == ([], BACKLOG)
    learn(worker, subscription(revision=4))
    await worker.clock.run_for(10_000)
    assert len(worker.sender.ids()) == len(set(worker.sender.ids())) == BACKLOG


async def test_unreadable_meanwhile_it_is_sent_nothing_until_it_can_be_read(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    worker = await arriving(monkeypatch, given)
    with pytest.raises(ValueError, match="a subscription cannot be read"):
        worker.subscriptions.apply(A.encode(), b'{"id": "of a newer version"}')
    worker.give(fact_request("new", 1))
    await worker.clock.run_for(10_000)
    assert (worker.sender.arrivals, waiting(worker)) == ([], BACKLOG + 1)
    learn(worker, subscription(revision=4))
    await worker.clock.run_for(10_000)
    assert len(worker.sender.ids()) == len(set(worker.sender.ids())) == BACKLOG + 1


async def test_deleted_meanwhile_what_waits_is_dropped(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    worker = await arriving(monkeypatch, given)
    worker.subscriptions.apply(A.encode(), Deleted(id=A, deleted_ms=1).encode())
    worker.give(fact_request("new", 1))
    await worker.clock.run_for(10_000)
    assert (worker.sender.arrivals, waiting(worker), worker.crashes) == ([], 0, [])
    assert subscription_destination(A) not in worker.role._partitions[HOME]._destinations


async def test_a_subscription_that_becomes_known_meanwhile_is_sent_all_of_its_facts(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    """Those that were passed before it was known, too."""
    worker = await arriving(monkeypatch, given)
    requests = [fact_request(code, 1, B) for code in ORDERS]
    worker.give(*requests)
    await worker.kill()
    worker = await worker.restart()
    while not worker.role._partitions[home(B)]._context.unroutable:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    learn(worker, subscription(B))
    await worker.clock.run_for(10_000)
    sent = [arrival.call.delivery_id for arrival in worker.sender.arrivals if arrival.call.destination.endswith(B)]
    assert sorted(sent) == sorted(request.id for request in requests)
    assert waiting(worker) == 0


async def test_a_far_side_does_not_wait_for_the_backlog_of_a_subscriber(
    monkeypatch: pytest.MonkeyPatch, given: list[OutboxEntry]
) -> None:
    beside = destination_partition(INCREFF, 0, PARTITIONS)
    name = next(name for n in count() if home(name := f"sub_beside{n:010}") == beside)
    worker = await arriving(monkeypatch, given, name)
    worker.give(request_for("create-outward-order", "A", "create"))
    while worker.sender.ids() != ["create"]:
        assert f"[{beside}]" in str(worker.role.ready())
        await asyncio.sleep(0)
    await worker.clock.run_for(10_000)
    assert len(worker.sender.ids()) == 1 + BACKLOG


async def test_the_short_does_not_wait_for_the_long() -> None:
    line = TimeSlicer()
    done: list[str] = []

    def work(steps: int, name: str) -> Iterator[int]:
        for _ in range(steps):
            yield tasks.SLICE
        done.append(name)

    await asyncio.gather(line.run(work(20, "long")), line.run(work(2, "short")), line.run(work(0, "none")))
    assert done == ["none", "short", "long"]
