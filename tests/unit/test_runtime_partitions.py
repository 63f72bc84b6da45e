"""A background commit is told that its partition is lost only when it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from streams.runtime.limits import Tuning
from streams.runtime.role import Change, Effect, Record, Role, Tables
from streams.runtime.tables import PartitionState
from streams.runtime.worker import Worker
from topics.configuration import Settings


class Idle(Role):
    name = "idle"
    source = "orders.commands"
    tables = ("orders.state",)

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        return ()


async def test_a_rebalance_that_follows_at_once_does_not_look_like_a_lost_partition() -> None:
    """Opened and closed again before the waiter's turn: it waits on, for a partition that is still owned."""
    worker = Worker(Idle(), Settings(), Tuning())
    worker.app.loop = asyncio.get_running_loop()
    worker.partitions.assigned({0}, 1)
    worker.partitions.recovered([PartitionState(0, Idle.tables)])
    waiting = asyncio.create_task(worker.commit(0, [], [Change("orders.state", b"k", b"v")]))
    await asyncio.sleep(0)
    worker.partitions.open()
    worker.partitions.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
