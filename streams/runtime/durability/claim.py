"""Claims: a new owner begins each changelog with a record of its own. It does what broker-side fencing would do:

- A record of an older epoch behind a claim counts nowhere: not at recovery, not for readers, not for the new owner,
  which writes overwritten keys again (late_writes.py). A record before the claim counts everywhere.
- Epochs are unique. The offset of a claim shows whether another worker wrote since the log was read. If so, the new
  owner reads that, and claims again when an epoch there is not older than its own.

The first table is claimed first. A former owner writes that one last, so all it finished there is whole in the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import TopicPartition

from streams.runtime.durability.changelog import ChangelogReader
from streams.runtime.durability.late_writes import Gaps
from streams.runtime.durability.publisher import Publisher, send_all
from streams.runtime.durability.rebuild import Rebuild
from streams.runtime.invariants import violated
from streams.runtime.limits import CLAIMS_MAX
from streams.runtime.tables.partition_table import NO_OFFSET, PartitionState
from topics.records.reading import MADE_BY, OWNER_KEY


class ContendedError(RuntimeError):
    """Other workers keep claiming a partition that the group gave to this one."""


@dataclass
class Takeover:
    """A partition that is being taken over, and its tables as far as their logs are read; the first table first."""

    state: PartitionState
    rebuilds: Sequence[Rebuild]

    def newest_epoch(self) -> int:
        return max(rebuild.epoch for rebuild in self.rebuilds)


class Claims:
    def __init__(
        self, publisher: Publisher, reader: ChangelogReader, lease: Callable[[], Awaitable[None]], worker: str
    ) -> None:
        self._publisher = publisher
        self._reader = reader
        self._lease = lease
        self._worker = worker
        self._epochs: dict[int, int] = {}
        """The last epoch of this process, by partition."""

    async def make(self, takeovers: Sequence[Takeover], epoch: int) -> None:
        """Claims all partitions, at `epoch` or above. Records up to the claims are applied to the tables.

        Raises ContendedError when other workers do not stop claiming.
        """
        open_ = list(takeovers)
        for _ in range(CLAIMS_MAX):
            for takeover in open_:
                takeover.state.epoch = max(epoch, takeover.newest_epoch() + 1)
                takeover.state.claim = orjson.dumps({"epoch": takeover.state.epoch, "worker": self._worker})
            for rebuilds in zip(*(takeover.rebuilds for takeover in open_), strict=True):
                await self._claim(rebuilds)
            open_ = [takeover for takeover in open_ if takeover.newest_epoch() >= takeover.state.epoch]
            if not open_:
                break
        else:
            raise ContendedError(
                f"after {CLAIMS_MAX} claims other workers still claim partitions"
                f" {sorted(each.state.partition for each in open_)}: do two groups write the same tables?"
            )
        for takeover in takeovers:
            state = takeover.state
            if state.epoch <= (before := self._epochs.get(state.partition, -1)):
                violated("epochs_grow", f"partition {state.partition} is claimed at {state.epoch}, and was at {before}")
            self._epochs[state.partition] = state.epoch
            for rebuild in takeover.rebuilds:
                rebuild.epoch = state.epoch

    async def _claim(self, rebuilds: Sequence[Rebuild]) -> None:
        """Claims one table of several partitions."""
        await self._lease()  # a worker that stood still here must not outbid its successor
        claims = []
        for rebuild in rebuilds:
            batches = self._publisher.batches(*rebuild.place)
            state = rebuild.table.state
            batches.append(OWNER_KEY, state.claim, [(MADE_BY, b"%d/%d" % (state.epoch, NO_OFFSET))])
            claims.append(batches)
        await send_all(claims)
        since_read = Gaps(self._reader)
        for rebuild, batches in zip(rebuilds, claims, strict=True):
            since_read.acknowledged(rebuild.table, batches)
        by_place = {rebuild.place: rebuild for rebuild in rebuilds}

        def apply(place: TopicPartition, records: Sequence[Any]) -> None:
            by_place[place].apply(records)

        await since_read.read(apply)
