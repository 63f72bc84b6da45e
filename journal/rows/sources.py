"""The topics that the journal follows, and who reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from journal.rows.attempts import AttemptRows
from journal.rows.dead_letters import DeadLetterRows
from journal.rows.facts import FactRows
from journal.rows.incidents import RefusedCallRows, RejectedRows, StockEventRows
from journal.rows.operators import OperatorRows, PauseRows, SkipRows
from journal.rows.reader import PartitionReader
from journal.rows.requests import RequestRows
from journal.rows.waiting import GateRows, WaitingRows

_READERS: Final[tuple[type[PartitionReader], ...]] = (
    FactRows,
    RequestRows,
    AttemptRows,
    WaitingRows,
    GateRows,
    DeadLetterRows,
    RejectedRows,
    RefusedCallRows,
    StockEventRows,
    OperatorRows,
    PauseRows,
    SkipRows,
)
SOURCES: Final[Mapping[str, type[PartitionReader]]] = {reader.TOPIC: reader for reader in _READERS}
"""By the name of the topic in the catalogue."""
