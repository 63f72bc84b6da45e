"""CPU of the orders role per event: the records of the stories decided once more, and their changes handed to a
changelog that keeps nothing. Kafka's side of the role is not in it."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

from streams.order.role import OrdersRole
from streams.runtime.role import Poison, Record
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from tests.golden.stories import STORIES
from tests.golden.told import tell
from tests.golden.world import SETTINGS, World, channels, subscriptions
from tests.support.orders_log import PARTITIONS

ALL = "all"
GROUP = 100
"""Records between two writes of changes; under load a group of the runtime has some hundred."""


class NoLog:
    """A changelog that keeps nothing."""

    def append(self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        pass

    def extend(self, keys: Sequence[bytes], values: Sequence[bytes], headers: Sequence[list[tuple[str, bytes]]]) -> int:
        return sum(map(len, values))


def time_stories(rounds: int, prefixes: list[str]) -> dict[str, float]:
    """Microseconds of CPU per event, the least of the rounds: of each story, and of all events."""
    names = [name for name in STORIES if name.startswith(tuple(prefixes))]
    if not names:
        raise SystemExit(f"no story begins with {', '.join(prefixes)}; there are {', '.join(STORIES)}")
    worlds = {name: tell(name, watched=False)[0] for name in names}
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, world in worlds.items():
            seconds = _decide_again(_records(world))
            least[name] = min(seconds, least.get(name, seconds))
    counts = {name: len(_records(world)) for name, world in worlds.items()}
    found = {name: 1e6 * seconds / counts[name] for name, seconds in least.items()}
    return {**found, ALL: 1e6 * sum(least.values()) / sum(counts.values())}


def _records(world: World) -> list[Record]:
    return [
        Record(partition, offset, at_ms, key, value, headers)
        for partition, records in enumerate(world.records)
        for offset, (key, value, headers, at_ms) in enumerate(records)
    ]


def _decide_again(records: list[Record]) -> float:
    role = OrdersRole(SETTINGS, channels(), subscriptions=subscriptions())
    kinds = of_kinds(OrdersRole.table_kinds)
    states = [PartitionState(partition, OrdersRole.tables, kinds) for partition in range(PARTITIONS)]
    changelog = NoLog()
    for state in states:
        role.on_assigned(state.partition, state.tables)
    gc.collect()
    gc.disable()
    begun = time.process_time()
    for number, record in enumerate(records, 1):
        state = states[record.partition]
        state.offset = record.offset
        try:
            role.decide(record, state.tables)
        except Poison as poison:
            state.undo()
            role.set_aside(record, poison.code, poison.reason)
        else:
            for table in state.all:
                table.merge()
        if number % GROUP == 0:
            for table in (table for one in states for table in one.all):
                table.write_changes(changelog)
    took = time.process_time() - begun
    gc.enable()
    return took
