"""A partition's stock is sent only when its positions have been read anew since it was taken over.

Between losing a partition and having it again, another owner may have sent something newer than what was read before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from streams.delivery.stock import sender as stock
from streams.delivery.stock.operations.stock_operations import StockOperations
from streams.delivery.stock.sender import StockSender
from streams.runtime.role import Table
from tests.fakes.delivery import PARTITIONS, Durable, ManualClock, channels_for
from tests.support.eventually import eventually
from tests.unit.delivery.stock.test_sending import DEMO, PARTITION, PlayedCaller
from topics.configuration.settings import Settings
from topics.records.keys import position_key
from topics.stock.controls import ControlIndex
from topics.stock.positions import encode_position


class PlayedView:
    """A view that reads when told to."""

    def __init__(
        self,
        _bootstrap: str,
        _topic: str,
        on_record: Callable[[int, bytes, bytes | None], None],
        on_dropped: Callable[[int], None],
    ) -> None:
        self.on_record = on_record
        self._on_dropped = on_dropped
        self._followed: frozenset[int] = frozenset()
        self._read: set[int] = set()
        self.history: list[frozenset[int]] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def wait(self) -> None: ...

    def unready(self) -> str | None:
        return None

    async def set_partitions(self, partitions: Iterable[int]) -> None:
        wanted = frozenset(partitions)
        for partition in self._followed - wanted:
            self._read.discard(partition)
            self._on_dropped(partition)
        self._followed = wanted
        self.history.append(wanted)

    def caught_up(self, partition: int) -> bool:
        return partition in self._read

    def read(self, partition: int, quantity: int) -> None:
        key = position_key("demo", "L1", "A")
        self.on_record(partition, key, encode_position({"channelSkuCode": "A", "quantity": quantity}))
        self._read.add(partition)


async def test_a_partition_that_comes_back_is_read_anew_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    views: list[PlayedView] = []

    def make_view(*given: object) -> PlayedView:
        views.append(PlayedView(*given))  # type: ignore[arg-type]
        return views[-1]

    monkeypatch.setattr(stock, "CompactedView", make_view)
    crashes: list[BaseException] = []
    channels = channels_for()
    operations = StockOperations(channels, ControlIndex())
    sender = StockSender(Settings(partitions=PARTITIONS), channels, crashed=crashes.append, operations=operations)
    [view] = views
    clock, durable = ManualClock(), Durable()
    caller = PlayedCaller(clock)
    tables: dict[str, Table] = dict(durable.of(PARTITION))
    await sender.start(durable, clock)
    sender.on_assigned(PARTITION, tables, {(DEMO, 0): caller})
    await eventually(lambda: view.history == [{PARTITION}])
    assert sender.ready() == f"stock positions of partitions [{PARTITION}] are being read"
    view.read(PARTITION, 1)
    await eventually(lambda: sender.ready() is None)
    await clock.run_for(100)
    assert len(caller.calls) == 1

    sender.on_revoked(PARTITION)
    sender.on_assigned(PARTITION, tables, {(DEMO, 0): caller})
    await eventually(lambda: view.history == [{PARTITION}, set(), {PARTITION}])
    await clock.run_for(1_000)
    assert sender.ready() is not None
    assert len(caller.calls) == 1
    view.read(PARTITION, 5)
    await eventually(lambda: sender.ready() is None)
    await clock.run_for(100)
    assert [call["inventories"][0]["quantity"] for call in caller.calls] == [1, 5]
    await sender.stop()
    assert crashes == []
