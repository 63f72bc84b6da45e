"""A group's effects are acknowledged before its state is sent, its chunks finish last; a failure ends everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from prometheus_client import generate_latest

from streams.runtime.durability.group_commit import GroupCommit
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.durability.publisher import UnknownTopicError
from streams.runtime.limits import GROUP_RECORDS_MAX
from streams.runtime.role import Effect
from streams.runtime.tables.partition_table import PartitionState
from tests.fakes.runtime import FakeProducer, fake_commit, fake_publisher
from tests.support.eventually import eventually
from topics.records.reading import made_by


@dataclass
class Bench:
    commit: GroupCommit
    producer: FakeProducer
    ledger: OffsetLedger
    failures: list[BaseException] = field(default_factory=list)

    def chunk(self, offset: int, effects: int = 1) -> None:
        state = PartitionState(0, ["state"])
        state.offset = offset
        state.tables["state"].put(b"k", b"%d" % offset)
        state.all[0].merge()
        self.ledger.handed_out(0, offset)
        self.commit.add_effects([Effect("out", b"k", b"%d" % offset)] * effects, state.epoch, offset)
        self.commit.add_state(state)
        self.commit.add_chunk(0, offset)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    publisher, producer = fake_publisher("out", "state")
    ledger = OffsetLedger()
    failures: list[BaseException] = []
    commit = fake_commit(publisher, ledger, failures.append)
    commit.start()
    yield Bench(commit, producer, ledger, failures)
    await commit.stop()


async def test_effects_then_state_then_offset(bench: Bench) -> None:
    bench.chunk(7)
    await bench.commit.drain()
    assert [record.topic for record in bench.producer.log] == ["t.out.v1", "t.state.v1"]
    assert bench.producer.log[1].headers == (("sluice-made-by", b"0/7"),)
    assert bench.ledger.committable() == {0: 8}


async def test_nothing_counts_as_done_before_it_is_acknowledged(bench: Bench) -> None:
    bench.producer.open.clear()
    bench.chunk(1)
    waiter = bench.commit.add_waiter()
    drained = asyncio.create_task(bench.commit.drain())
    done, _ = await asyncio.wait([drained, waiter], timeout=0.2)
    assert not done
    assert bench.ledger.committable() == {}
    bench.producer.open.set()
    await drained
    await waiter
    assert bench.ledger.committable() == {0: 2}


async def test_a_prototype_outbox_swapped_half_way_loses_records_and_a_chunk_handed_over_whole_does_not(
    bench: Bench,
) -> None:
    """The outbox of the first prototype was swapped for sending while a handler awaited half-way through a chunk."""
    outbox: list[int] = []
    sent: list[int] = []

    async def handler() -> None:
        nonlocal outbox
        mine = outbox
        for record in range(4):
            mine.append(record)
            await asyncio.sleep(0)

    handling = asyncio.create_task(handler())
    await asyncio.sleep(0)
    sent, outbox = list(outbox), []
    await handling
    assert sorted(sent + outbox) != [0, 1, 2, 3]

    for offset in range(60):
        bench.chunk(offset)
        if offset % 3 == 0:
            await asyncio.sleep(0)  # groups are swapped in between, never inside
    await bench.commit.drain()
    assert [int(record.value or b"") for record in bench.producer.topic("out")] == list(range(60))
    assert bench.ledger.committable() == {0: 60}


async def test_while_one_group_is_in_flight_the_next_gathers(bench: Bench) -> None:
    bench.producer.open.clear()
    bench.chunk(1)
    await eventually(lambda: bool(bench.commit._in_flight))
    bench.chunk(2)
    bench.chunk(3)
    bench.producer.open.set()
    await bench.commit.drain()
    assert [int(record.value or b"") for record in bench.producer.topic("out")] == [1, 2, 3]
    assert [int(record.value or b"") for record in bench.producer.topic("state")] == [1, 2, 3]
    assert bench.producer.asked == ["t.out.v1", "t.out.v1", "t.state.v1", "t.state.v1"]


async def test_effects_leave_beside_the_state_of_the_group_before_and_their_own_state_behind_it(bench: Bench) -> None:
    state = bench.producer.held["t.state.v1"] = asyncio.Event()
    bench.chunk(1)
    await eventually(lambda: bench.producer.asked == ["t.out.v1", "t.state.v1"])
    bench.chunk(2)
    await eventually(lambda: len(bench.producer.topic("out")) == 2)
    bench.chunk(3)
    done, _ = await asyncio.wait([asyncio.create_task(bench.commit.drain())], timeout=0.1)
    assert not done
    assert bench.producer.asked == ["t.out.v1", "t.state.v1", "t.out.v1"], "no third group begins"
    assert bench.ledger.committable() == {}
    state.set()
    await bench.commit.drain()
    assert [int(record.value or b"") for record in bench.producer.topic("state")] == [1, 2, 3]
    assert bench.ledger.committable() == {0: 4}


async def test_a_full_group_makes_the_next_chunk_wait(bench: Bench) -> None:
    bench.producer.open.clear()
    bench.chunk(1)
    await eventually(lambda: bool(bench.commit._in_flight))
    bench.chunk(2, effects=GROUP_RECORDS_MAX)
    waiting = asyncio.create_task(bench.commit.room())
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    bench.producer.open.set()
    await waiting


@pytest.mark.parametrize("topic", ["t.out.v1", "t.state.v1"])
async def test_failed_publish_fails_the_worker_and_finishes_nothing(bench: Bench, topic: str) -> None:
    """Stock Faust logs a failed publish and commits the source offset."""
    bench.producer.refuse[topic] = RuntimeError("refused")
    bench.chunk(1)
    waiter = bench.commit.add_waiter()
    await eventually(lambda: bench.failures)
    assert str(bench.failures[0]) == "refused"
    assert bench.ledger.committable() == {}
    with pytest.raises(RuntimeError, match="could not be made durable"):
        await waiter
    if topic == "t.out.v1":
        assert not bench.producer.topic("state")


@pytest.mark.parametrize(("topic", "partition"), [("replies", 4), ("replies", -1), ("replies.gone", None)])
async def test_a_reply_without_an_address_is_left_out_and_the_partition_goes_on(
    topic: str, partition: int | None
) -> None:
    publisher, producer = fake_publisher("out", "state", "replies")
    ledger, failures = OffsetLedger(), list[BaseException]()
    commit = fake_commit(publisher, ledger, failures.append)
    commit.start()
    bench = Bench(commit, producer, ledger)
    commit.add_effects([Effect(topic, b"k", b"v", (), partition), Effect("replies", b"k", b"w", (), 3)], 0, 1)
    bench.chunk(1)
    await commit.drain()
    await commit.stop()
    assert [(record.topic, record.value) for record in producer.log][:2] == [("t.replies.v1", b"w"), ("t.out.v1", b"1")]
    assert (ledger.committable(), failures) == ({0: 2}, [])
    assert commit._metrics.unaddressed._value.get() == 1
    assert b"sluice_runtime_replies_unaddressed_total 1.0" in generate_latest(commit._metrics.registry)


async def test_another_effect_without_a_topic_is_no_reply_and_not_left_out() -> None:
    publisher, _producer = fake_publisher("out")
    commit = fake_commit(publisher, OffsetLedger(), lambda _: None)
    with pytest.raises(UnknownTopicError):
        commit.add_effects([Effect("orders.events", b"k", b"v")], 0, 1)


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_each_step_needs_the_lease(steps: int) -> None:
    """A worker that stood still between two steps writes nothing more; what it had begun is one step at most."""
    publisher, producer = fake_publisher("out", "state", "other")
    failures: list[BaseException] = []
    asked = 0

    async def lease() -> None:
        nonlocal asked
        asked += 1
        if asked > steps:
            raise TimeoutError("the partitions may be another's")

    commit = fake_commit(publisher, OffsetLedger(), failures.append, lease=lease)
    state = PartitionState(0, ["state", "other"])
    state.epoch, state.offset = 3, 7
    for table in state.all:
        table.put(b"k", b"v")
        table.merge()
    commit.add_effects([Effect("out", b"k", b"v", (("ce_id", b"1"),))], state.epoch, state.offset)
    commit.add_state(state)
    waiter = commit.add_waiter()
    commit.start()
    with pytest.raises(RuntimeError):
        await waiter
    await eventually(lambda: bool(failures), 5, what="the worker ends")
    # The first table comes last.
    assert [record.topic for record in producer.log] == ["t.out.v1", "t.other.v1"][:steps]
    await commit.stop()


async def test_an_effect_says_under_which_epoch_and_from_which_record_it_was_made(bench: Bench) -> None:
    bench.commit.add_effects([Effect("out", b"k", b"v", (("ce_id", b"1"), ("sluice-made-by", b"9/9")))], 3, 7)
    await bench.commit.add_waiter()
    (record,) = bench.producer.topic("out")
    assert record.headers == (("ce_id", b"1"), ("sluice-made-by", b"9/9"), ("sluice-made-by", b"3/7"))
    assert made_by(record.headers) == (3, 7), "what it came with is another role's"
