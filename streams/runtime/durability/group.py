"""A group: the effects and the state of decisions that become durable together, as they are gathered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from streams.runtime.durability.publisher import Batches, UnknownTopicError
from streams.runtime.limits import GROUP_BYTES_MAX, GROUP_RECORDS_MAX
from streams.runtime.role import GONE, Effect
from streams.runtime.tables.partition_table import PartitionState, PartitionTable
from topics.records.reading import MADE_BY
from topics.traces.context import TraceContext


class Group:
    """Effects and state by topic partition, and the chunks and waiters that they make durable."""

    __slots__ = ("audited", "bytes", "chunks", "effects", "marks", "records", "state", "tables", "traces", "waiters")

    def __init__(self) -> None:
        self.effects: dict[tuple[str, int | None], Batches] = {}
        self.state: dict[tuple[str, int], Batches] = {}
        self.marks: dict[tuple[str, int], Batches] = {}
        """State of the first tables: once it is durable, a redelivery of its records is skipped."""
        self.tables: dict[tuple[str, int], PartitionTable] = {}
        """The table that `state` or `marks` of a topic partition belongs to."""
        self.audited: list[PartitionState] = []
        self.chunks: list[tuple[int, int]] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.traces: list[TraceContext] = []
        """Decisions of the group that are recorded as spans."""
        self.records = 0
        self.bytes = 0

    def add_effects(
        self, effects: Sequence[Effect], made_by: bytes, open_batches: Callable[[Effect], Batches | None]
    ) -> None:
        """Adds a record's effects. `made_by`: the header of that name. `open_batches`: makes the batches of an effect
        whose topic or partition has none yet; None: the effect is left out.

        Raises what `open_batches` raises, before any of them is added.
        """
        find, header = self.effects.get, (MADE_BY, made_by)
        try:
            # By the effect's own names first: this is the hottest look-up of the runtime.
            places = [find((effect.topic, effect.partition)) or open_batches(effect) for effect in effects]
        except UnknownTopicError:
            self.effects = {place: batches for place, batches in self.effects.items() if not batches.is_empty()}
            raise
        for effect, batches in zip(effects, places):  # noqa: B905 - one for each, and faster
            if batches is None:
                continue
            key, value = effect.key, effect.value
            batches.append(None if key is GONE else key, None if value is GONE else value, [*effect.headers, header])
            self.records += 1
            self.bytes += len(value)

    def is_empty(self) -> bool:
        return not (self.chunks or self.waiters or self.effects or self.state or self.marks or self.audited)

    def is_full(self) -> bool:
        return self.records >= GROUP_RECORDS_MAX or self.bytes >= GROUP_BYTES_MAX
