"""A claim draws a line: what is before it counts everywhere, what an older epoch writes behind it counts nowhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.runtime.durability.claim import Claims, ContendedError, Takeover
from streams.runtime.durability.rebuild import Rebuild
from streams.runtime.limits import CLAIMS_MAX
from streams.runtime.tables.partition_table import PartitionState
from tests.fakes.runtime import FakeChangelogReader, Written, fake_publisher
from topics.records.reading import MADE_BY, OWNER_KEY

FIRST, OTHER = "t.first.v1", "t.other.v1"


class Logs:
    """Two changelogs; `before_claim` lets others write between the reading of a log and the claim in it."""

    def __init__(self) -> None:
        publisher, producer = fake_publisher("first", "other")
        self.log = producer.log
        self.before_claim: list[Callable[[], None]] = []
        self.leases = 0
        self._reader = FakeChangelogReader(producer.log)
        self._claims = Claims(publisher, self._reader, self._lease, "orders-0")
        self._send = producer.send_batch
        producer.send_batch = self._others_first  # type: ignore[method-assign]

    async def _lease(self) -> None:
        self.leases += 1

    async def _others_first(self, batch: Any, topic: str, *, partition: int) -> Any:
        if self.before_claim:
            self.before_claim.pop(0)()
        return await self._send(batch, topic, partition=partition)

    def write(self, topic: str, epoch: int, key: bytes, value: bytes) -> None:
        self.log.append(Written(topic, 0, key, value, ((MADE_BY, b"%d/7" % epoch),)))

    async def take_over(self, epoch: int = 1) -> PartitionState:
        state = PartitionState(0, ["first", "other"])
        rebuilds = {
            TopicPartition(topic, 0): Rebuild(table, topic)
            for table, topic in zip(state.all, (FIRST, OTHER), strict=True)
        }

        def apply(place: TopicPartition, records: Sequence[Any]) -> None:
            rebuilds[place].apply(records)

        for place, end in (await self._reader.read(rebuilds, apply)).items():
            rebuilds[place].table.log_end = end
        await self._claims.make([Takeover(state, list(rebuilds.values()))], epoch)
        return state


async def test_an_epoch_is_above_all_in_the_logs_and_at_least_the_groups_generation() -> None:
    logs = Logs()
    assert (await logs.take_over(epoch=3)).epoch == 3
    assert (await logs.take_over(epoch=1)).epoch == 4, "a group that was made anew counts from 1"
    logs.write(OTHER, 9, b"k", b"v")
    state = await logs.take_over(epoch=1)
    assert state.epoch == 10
    assert [table.log_end for table in state.all] == [3, 4]


async def test_the_first_table_is_claimed_first_and_only_with_the_lease() -> None:
    """A former owner writes it last: what it finished there is whole in the others, read up to their own claims."""
    logs = Logs()
    await logs.take_over()
    assert [record.topic for record in logs.log] == [FIRST, OTHER]
    assert logs.leases == 2


async def test_what_is_written_before_the_claim_counts() -> None:
    logs = Logs()
    await logs.take_over()
    logs.before_claim = [lambda: logs.write(FIRST, 1, b"k", b"just in time")]
    state = await logs.take_over()
    assert state.epoch == 2
    assert state.tables["first"].get(b"k") == b"just in time"
    assert state.all[0].log_end == 3


@pytest.mark.parametrize("topic", [FIRST, OTHER])
async def test_who_finds_its_epoch_taken_claims_above_it(topic: str) -> None:
    """Two that take over at once never have one epoch: their records could not be told apart."""
    logs = Logs()
    others = [lambda: None] * [FIRST, OTHER].index(topic)
    logs.before_claim = [*others, lambda: logs.write(topic, 5, OWNER_KEY, b"another's")]
    state = await logs.take_over(epoch=5)
    assert state.epoch == 6
    last = {record.topic: record for record in logs.log}
    assert all(record.headers == ((MADE_BY, b"6/-1"),) for record in last.values())


async def test_who_is_outbid_again_and_again_gives_up() -> None:
    logs = Logs()

    def outbid() -> None:
        logs.write(FIRST, 100 + len(logs.log), OWNER_KEY, b"another's")

    logs.before_claim = [outbid] * (2 * CLAIMS_MAX)
    with pytest.raises(ContendedError):
        await logs.take_over()
