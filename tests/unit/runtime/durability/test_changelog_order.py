"""What tells a redelivery becomes durable last, so a crash half-way through a group's state never hides lost state."""

from __future__ import annotations

import pytest

from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.tables.partition_table import MakeTable, PartitionState
from tests.fakes.runtime import TABLE_KINDS, fake_commit, fake_publisher
from tests.support.eventually import eventually


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_a_key_put_again_leaves_after_what_was_put_before_it(kind: MakeTable) -> None:
    """A lane's header is put after each of its entries: in the changelog it must come after the last one."""
    state = PartitionState(0, ["outbox"], kind)
    (table,) = state.all
    for offset, entry in ((1, b"c|l|1"), (2, b"c|l|2")):
        state.offset = offset
        table.put(b"header", b"early")
        table.put(entry, b"{}")
        table.put(b"header", b"%d" % offset)
        table.merge()
    assert list(table.dirty.items()) == [(b"c|l|1", b"{}"), (b"c|l|2", b"{}"), (b"header", b"2")]


async def test_the_first_table_is_sent_when_the_others_are_durable() -> None:
    """A recorded answer is durable before the order's state says that its record was decided."""
    publisher, producer = fake_publisher("orders", "answers")
    failures: list[BaseException] = []
    commit = fake_commit(publisher, OffsetLedger(), failures.append)
    commit.start()
    state = PartitionState(0, ["orders", "answers"])
    state.offset = 1
    for table in state.all:
        table.put(b"k", b"v")
        table.merge()
    producer.open.clear()
    commit.add_state(state)
    waiter = commit.add_waiter()
    await eventually(lambda: producer.asked == ["t.answers.v1"], 5, what="the other table is sent, alone")
    producer.open.set()
    await waiter
    assert [record.topic for record in producer.log] == ["t.answers.v1", "t.orders.v1"]
    assert not failures
    await commit.stop()
