"""The topics that the journal follows, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from journal.rows.attempts import AttemptRows
from journal.rows.dead_letters import DeadLetterRows
from journal.rows.facts import FactRows
from journal.rows.incidents import RefusedCallRows, RejectedRows, SkipRows, StockEventRows
from journal.rows.keeper import Keeper
from journal.rows.reader import PartitionReader
from journal.rows.requests import RequestRows
from journal.rows.waiting import GateRows, WaitingRows

Make = Callable[[int, dict[str, Any], Keeper, int], PartitionReader]
"""From partition, what was remembered of it, keeper, and the number of partitions of orders.commands."""

SOURCES: Final[Mapping[str, Make]] = {
    FactRows.TOPIC: lambda partition, memory, _keeper, _count: FactRows(partition, memory),
    RequestRows.TOPIC: RequestRows,
    AttemptRows.TOPIC: lambda partition, memory, _keeper, _count: AttemptRows(partition, memory),
    WaitingRows.TOPIC: lambda partition, memory, keeper, _count: WaitingRows(partition, memory, keeper),
    GateRows.TOPIC: lambda partition, memory, _keeper, _count: GateRows(partition, memory),
    DeadLetterRows.TOPIC: lambda partition, memory, keeper, _count: DeadLetterRows(partition, memory, keeper),
    RejectedRows.TOPIC: lambda partition, memory, keeper, _count: RejectedRows(partition, memory, keeper),
    RefusedCallRows.TOPIC: lambda partition, memory, keeper, _count: RefusedCallRows(partition, memory, keeper),
    StockEventRows.TOPIC: lambda partition, memory, _keeper, _count: StockEventRows(partition, memory),
    SkipRows.TOPIC: lambda partition, memory, _keeper, _count: SkipRows(partition, memory),
}
"""By the name of the topic in the catalogue."""
