"""The decide loop: a raising decision leaves nothing, redeliveries are skipped silently, a repeat is decided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from streams.runtime.decide import DecideLoop
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.limits import KEY_BYTES_MAX
from streams.runtime.metrics import Metrics
from streams.runtime.role import Change, Effect, Poison, Record, Role, Tables
from streams.runtime.stuck.paused import StuckError
from streams.runtime.tables.partition_table import PartitionState
from tests.fakes.runtime import FakeProducer, fake_commit, fake_publisher, raw_record


class Counting(Role):
    """The value is what to do: count, raise after a put, delete, or be poison."""

    name = "counting"
    source = "source"
    tables = ("state", "other")

    def __init__(self) -> None:
        self.seen: list[list[Change]] = []

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        n = int(tables["state"].get(record.key) or b"0") + 1
        if record.value == b"delete":
            tables["state"].delete(record.key)
            return ()
        tables["state"].put(record.key, b"%d" % n)
        assert tables["state"].get(record.key) == b"%d" % n, "a role reads its own puts"
        if record.value == b"raise":
            tables["other"].put(record.key, b"never")
            raise RuntimeError("after its puts")
        if record.value == b"poison":
            raise Poison("bad", "told so")
        return (effect for effect in [Effect("out", record.key, b"%d" % n)])

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:
        return [Effect("told", record.key, f"{code}: {reason.splitlines()[-1]}".encode())]

    def changed(self, partition: int, changes: list[Change]) -> None:
        assert partition == 0
        self.seen.append(changes)


class Loop:
    def __init__(self, limit: int = 100, role: Counting | None = None) -> None:
        publisher, self.producer = fake_publisher("out", "told", "state", "other", "commands.rejected")
        self.ledger = OffsetLedger()
        self.skips: dict[tuple[int, int], str] = {}
        self.metrics = Metrics("test")
        self.commit = fake_commit(publisher, self.ledger, self._fail, metrics=self.metrics)
        self.role = role or Counting()
        self.decide = DecideLoop(self.role, "t.source.v1", self.commit, self.metrics, limit, self.skips)
        self.state = PartitionState(0, self.role.tables)

    def _fail(self, error: BaseException) -> None:
        raise error

    async def chunk(self, *records: Any) -> FakeProducer:
        self.ledger.handed_out(0, records[-1].offset)
        try:
            self.decide.decide_chunk(self.state, records)
        finally:
            self.commit.start()
            await self.commit.drain()
            await self.commit.stop()
        return self.producer


async def test_chunk_is_decided_in_order_and_state_leaves_once_per_key() -> None:
    loop = Loop()
    producer = await loop.chunk(*(raw_record(offset, b"count") for offset in range(3)))
    assert [record.value for record in producer.topic("out")] == [b"1", b"2", b"3"]
    (state,) = producer.topic("state")
    assert (state.value, state.headers) == (b"3", (("sluice-made-by", b"0/2"),))
    assert loop.ledger.committable() == {0: 3}


@pytest.mark.parametrize(("bad", "code"), [(b"raise", b"decision_failed"), (b"poison", b"bad")])
async def test_a_record_that_cannot_be_decided_leaves_no_puts_and_its_neighbours_go_on(bad: bytes, code: bytes) -> None:
    loop = Loop()
    given = [raw_record(0, b"count"), raw_record(1, bad, headers=[("h", b"kept")]), raw_record(2, b"count")]
    producer = await loop.chunk(*given)
    assert [record.value for record in producer.topic("out")] == [b"1", b"2"]
    assert not producer.topic("other")
    (rejected,) = producer.topic("commands.rejected")
    assert (rejected.key, rejected.value, rejected.headers[0]) == (b"k", bad, ("h", b"kept"))
    assert dict(rejected.headers)["sluice-rejected-code"] == code
    assert dict(rejected.headers)["sluice-rejected-offset"] == b"1"
    assert loop.ledger.committable() == {0: 3}


async def test_redelivery_is_skipped_silently_and_a_repeat_is_decided() -> None:
    """After a crash the state says which offset it was made from; a caller's repeat is a new record."""
    loop = Loop()
    loop.state.all[0].set(b"k", b"5", 10)
    loop.state.horizon = 10
    producer = await loop.chunk(raw_record(9, b"count"), raw_record(10, b"count"))
    assert not producer.log
    assert loop.ledger.committable() == {0: 11}
    await loop.chunk(raw_record(11, b"count"))
    assert [record.value for record in producer.topic("out")] == [b"6"]


async def test_redelivery_of_what_was_deleted_is_skipped_until_the_offset_is_committed() -> None:
    loop = Loop()
    await loop.chunk(raw_record(0, b"count"), raw_record(1, b"delete"))
    assert [record.value for record in loop.producer.topic("state")] == [None]
    loop.state.reopened()
    loop.ledger.clear()
    await loop.chunk(raw_record(0, b"count"), raw_record(1, b"delete"))
    assert len(loop.producer.topic("out")) == 1
    loop.state.all[0].forget_deleted(2)
    assert loop.state.all[0].deleted == {}


async def test_the_role_learns_what_a_chunk_changed_in_order_before_it_is_durable() -> None:
    loop = Loop()
    await loop.chunk(raw_record(0, b"count"), raw_record(1, b"raise"), raw_record(2, b"delete"))
    assert loop.role.seen == [[Change("state", b"k", b"1"), Change("state", b"k", None)]]


async def test_decisions_that_fail_in_a_row_end_with_a_record_that_waits_and_what_came_before_is_handed_over() -> None:
    loop = Loop(limit=3)
    with pytest.raises(StuckError, match="after its puts") as stuck:
        await loop.chunk(raw_record(0, b"count"), *(raw_record(offset, b"raise") for offset in range(1, 6)))
    assert stuck.value.offset == 3
    assert len(loop.producer.topic("commands.rejected")) == 2
    assert (loop.state.last_decided, len(loop.producer.topic("out"))) == (2, 1)
    assert loop.ledger.committable() == {}  # the worker cuts the chunk
    loop.ledger.cut(0, 3, 2)
    loop.ledger.finished(0, 2)
    assert loop.ledger.committable() == {0: 3}
    loop.ledger.clear()
    with pytest.raises(StuckError):  # tried again, it waits at once
        await loop.chunk(raw_record(3, b"raise"))
    await loop.chunk(raw_record(3, b"count"), raw_record(4, b"raise"))
    assert len(loop.producer.topic("commands.rejected")) == 3, "one that is decided ends the row"


async def test_bad_records_never_count_however_many_there_are() -> None:
    loop = Loop(limit=3)
    await loop.chunk(*(raw_record(offset, b"poison") for offset in range(50)))
    assert len(loop.producer.topic("commands.rejected")) == 50
    with pytest.raises(StuckError):
        await loop.chunk(*(raw_record(50 + n, value) for n, value in enumerate([b"raise", b"poison"] * 3)))


async def test_an_effect_to_a_topic_that_is_not_there_sets_its_record_aside_and_no_other_effect_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Loop()
    effects = [Effect("out", b"k", b"1"), Effect("nowhere", b"k", b"2")]
    monkeypatch.setattr(loop.role, "decide", lambda *_: effects)
    await loop.chunk(raw_record(0, b"count"))
    (rejected,) = loop.producer.topic("commands.rejected")
    assert b"t.nowhere.v1 does not exist" in dict(rejected.headers)["sluice-rejected-reason"]
    assert loop.producer.topic("out") == []
    monkeypatch.setattr(loop.role, "decide", lambda *_: [Effect("out", b"k" * (KEY_BYTES_MAX + 1), b"1")])
    await loop.chunk(raw_record(1, b"count"))
    assert dict(loop.producer.topic("commands.rejected")[1].headers)["sluice-rejected-code"] == b"too_large"


async def test_what_a_role_cannot_say_about_a_record_that_is_set_aside_stays_unsaid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Loop()
    for fails in (RuntimeError("in set_aside"), None):
        monkeypatch.setattr(loop.role, "set_aside", lambda *_, fails=fails: _raise(fails) if fails else NOWHERE)
        await loop.chunk(raw_record(0 if fails else 1, b"poison"))
    assert len(loop.producer.topic("commands.rejected")) == 2


NOWHERE = [Effect("nowhere", b"k", b"1")]


def _raise(error: Exception) -> None:
    raise error


async def test_a_record_that_an_operator_skips_is_set_aside_undecided() -> None:
    loop = Loop()
    loop.skips[0, 1] = "skipped by me: too odd"
    await loop.chunk(*(raw_record(offset, b"count") for offset in range(3)))
    assert [record.value for record in loop.producer.topic("out")] == [b"1", b"2"]
    (rejected,) = loop.producer.topic("commands.rejected")
    about = dict(rejected.headers)
    assert (about["sluice-rejected-code"], about["sluice-rejected-offset"]) == (b"skipped", b"1")
    assert about["sluice-rejected-reason"] == b"skipped by me: too odd"
    assert [record.value for record in loop.producer.topic("told")] == [b"skipped: skipped by me: too odd"]


async def test_null_key_value_and_header_of_a_rejected_record_stay_null() -> None:
    loop = Loop()
    headers: Any = [("null", None), ("null", b"again"), ("\\xff", b"\xff")]
    raw = raw_record(0, None, headers=headers)
    object.__setattr__(raw, "key", None)
    loop.role.decide = lambda *_: _raise(Poison("bad", "null"))  # type: ignore[method-assign,assignment]
    await loop.chunk(raw)
    (rejected,) = loop.producer.topic("commands.rejected")
    assert rejected.key is None
    assert rejected.value is None
    assert list(rejected.headers[:3]) == headers


@pytest.mark.parametrize(
    ("bad", "told"), [(b"raise", b"decision_failed: RuntimeError: after its puts"), (b"poison", b"bad: told so")]
)
async def test_a_role_tells_those_who_wait_for_a_record_that_is_set_aside(bad: bytes, told: bytes) -> None:
    """Whatever the cause, its effects leave together with the rejection."""
    loop = Loop()
    producer = await loop.chunk(raw_record(0, bad))
    assert [record.value for record in producer.topic("told")] == [told]
    assert len(producer.topic("commands.rejected")) == 1


async def test_what_a_role_notes_of_a_record_that_is_set_aside_becomes_durable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Loop()
    noted = Change("other", b"k", b"noted")

    def note(record: Record, _code: str, _reason: str) -> Iterable[Effect]:
        loop.state.tables["other"].put(record.key, b"noted")
        return ()

    monkeypatch.setattr(loop.role, "set_aside", note)
    producer = await loop.chunk(raw_record(0, b"poison"))
    assert loop.role.seen == [[noted]]
    assert [record.value for record in producer.topic("other")] == [b"noted"]
