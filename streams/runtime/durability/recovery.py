"""Recovery: rebuilds tables from their changelogs before a partition's first record is decided.

Faust recovers one event per record, some 15,000 a second; in chunks of records it is some 250,000.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from aiokafka import TopicPartition

from streams.runtime.durability.changelog import ChangelogReader
from streams.runtime.durability.claim import Claims, Takeover
from streams.runtime.durability.memory import give_back_freed_memory, without_collections
from streams.runtime.durability.rebalance_steps import CLAIM, READ, RebalanceSteps
from streams.runtime.durability.rebuild import Rebuild, recovered_offsets
from streams.runtime.durability.standby import Standby
from streams.runtime.invariants import violated
from streams.runtime.limits import RECOVERY_TRIM_RECORDS
from streams.runtime.metrics import Metrics
from streams.runtime.tables.partition_table import MakeTable, PartitionState

log = logging.getLogger(__name__)


class LogCutError(RuntimeError):
    """A changelog ends before what was read of it: it was cut, or is another one."""


class Recovery:
    """Makes this worker the owner of partitions: reads their changelogs and claims them."""

    def __init__(
        self,
        reader: ChangelogReader,
        claims: Claims,
        full_name: Callable[[str], str],
        names: Sequence[str],
        make_table: MakeTable,
        metrics: Metrics,
        progress: Callable[[], None],
        steps: RebalanceSteps,
    ) -> None:
        self._reader = reader
        self._claims = claims
        self._full_name = full_name
        self._names = tuple(names)
        self._make_table = make_table
        self._metrics = metrics
        self._progress = progress
        self._steps = steps

    def takeover(self, partition: int) -> Takeover:
        """A partition of which nothing is read yet."""
        state = PartitionState(partition, self._names, self._make_table)
        return Takeover(state, [Rebuild(table, self._full_name(table.name)) for table in state.all])

    async def recover(self, partitions: Sequence[int], epoch: int, standby: Standby) -> list[PartitionState]:
        """The state of each partition, exactly as its changelogs say up to the claim."""
        warm = {partition: one for partition in partitions if (one := standby.take(partition)) is not None}
        first = {place: offset for one in warm.values() for place, offset in one.positions.items()}
        takeovers = [warm[each].takeover if each in warm else self.takeover(each) for each in partitions]
        try:
            return await self._recover(takeovers, first, epoch)
        except LogCutError as error:
            log.warning("%s: all is read anew", error)
        return await self._recover([self.takeover(partition) for partition in partitions], {}, epoch)

    async def _recover(
        self, takeovers: Sequence[Takeover], first: Mapping[TopicPartition, int], epoch: int
    ) -> list[PartitionState]:
        """`first`: where to go on in changelogs of which a part was read."""
        try:
            with without_collections():
                await self._take_over(takeovers, first, epoch)
        except BaseException:
            for takeover in takeovers:  # the next rebalance may have cancelled this
                takeover.state.close()
            raise
        return [takeover.state for takeover in takeovers]

    async def _take_over(self, takeovers: Sequence[Takeover], first: Mapping[TopicPartition, int], epoch: int) -> None:
        started = time.monotonic()
        rebuilds = {rebuild.place: rebuild for takeover in takeovers for rebuild in takeover.rebuilds}
        records = 0

        def apply(place: TopicPartition, chunk: Sequence[Any]) -> None:
            nonlocal records
            rebuilds[place].apply(chunk)
            records += len(chunk)
            self._metrics.recovered.inc(len(chunk))
            self._progress()

        if rebuilds:
            for place, end in (await self._reader.read(rebuilds, apply, first=first)).items():
                if end < first.get(place, 0):
                    raise LogCutError(
                        f"{place.topic}/{place.partition} ends at {end}, and was read up to {first[place]}"
                    )
                rebuilds[place].table.log_end = end
            self._steps.reached(READ)
            await self._claims.make(takeovers, epoch)
            self._steps.reached(CLAIM)
        else:
            for takeover in takeovers:
                takeover.state.epoch = epoch
        for takeover in takeovers:
            state = takeover.state
            state.horizon, state.last_decided = recovered_offsets(takeover.rebuilds)
            for rebuild in takeover.rebuilds:
                rebuild.table.recovered()
                rebuild.report(self._metrics)
        if records >= RECOVERY_TRIM_RECORDS:
            give_back_freed_memory()
        took = time.monotonic() - started
        self._metrics.recovery_seconds.set(took)
        partitions = sorted(takeover.state.partition for takeover in takeovers)
        log.info("recovered %d records of partitions %s in %.2f s", records, partitions, took)


class SourceChecks:
    """Finds partitions whose state lacks its source, at the second look in a row: a leader that was just elected may
    report an older end for a moment."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._suspects: set[int] = set()

    def check(self, owned: Mapping[int, PartitionState], ends: Mapping[int, int]) -> None:
        lacking = {partition for partition, state in owned.items() if state.horizon >= ends.get(partition, inf)}
        for partition in lacking & self._suspects:
            check_source(self._source, owned[partition], ends[partition])
        self._suspects = lacking


def check_source(source: str, state: PartitionState, end: int) -> None:
    """Pair check: state was made from records that are there. If the source topic was made anew and its changelogs were
    not, records up to the old offsets would be skipped as redeliveries."""
    if state.horizon >= end:
        violated(
            "state_has_its_source",
            f"tables of {source}/{state.partition} were made from offset {state.horizon}, and the topic ends at {end}",
        )
