"""The partitions of a worker: those it owns, those that are recovered, and when they may be written.

A rebalance closes all of them, even those that stay: until the new assignment is known and recovered, nothing may be
decided or committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from streams.runtime.role import Role
from streams.runtime.tables.partition_table import PartitionState


class Partitions:
    """Calls the role's `on_assigned` and `on_revoked`."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self.owned: dict[int, PartitionState] = {}
        self._assigned: set[int] = set()
        self._open = asyncio.Event()
        self.generation = 0

    def get(self, partition: int) -> PartitionState | None:
        """The state of an owned, recovered partition; None while closed."""
        return self.owned.get(partition) if self._open.is_set() else None

    def close(self) -> None:
        self._open.clear()

    async def opened(self) -> None:
        await self._open.wait()

    def is_open(self) -> bool:
        return self._open.is_set()

    def assigned(self, partitions: set[int], generation: int) -> None:
        """Drops partitions that left; those that stay keep their state, which was drained to the log before.

        They keep it only from one generation to the next: in a generation that this worker missed, another may have
        owned a partition and written it.
        """
        self.close()
        stays = partitions if generation == self.generation + 1 else set()
        self.generation = generation
        self._assigned = partitions
        for partition in sorted(set(self.owned) - stays):
            state = self.owned.pop(partition)
            self._role.on_revoked(partition)
            state.close()
        for state in self.owned.values():
            state.reopened()

    def missing(self) -> list[int]:
        """Assigned partitions whose tables are not here yet."""
        return sorted(self._assigned - set(self.owned))

    def recovered(self, states: Iterable[PartitionState]) -> None:
        for state in states:
            self.owned[state.partition] = state
            self._role.on_assigned(state.partition, state.tables)

    def open(self) -> None:
        """Allows deciding records and committing changes from here on."""
        self._open.set()
