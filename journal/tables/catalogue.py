"""Every table of the journal."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Table

from journal.tables.deliveries import ATTEMPTS, BODIES, DEAD_LETTERS, GATES, REQUESTS, WAITING
from journal.tables.incidents import REFUSED_CALLS, REJECTED, STOCK_EVENTS
from journal.tables.offsets import OFFSETS
from journal.tables.operators import ACTIONS, PAUSES, REDRIVEN
from journal.tables.orders import FACTS, IDS, ORDERS

MONTHLY_TABLES: Final[tuple[Table, ...]] = (ORDERS, FACTS, REQUESTS, ATTEMPTS, BODIES)
"""Those whose rows lie in the partition of a month, in PostgreSQL."""
TABLES: Final[tuple[Table, ...]] = (
    *MONTHLY_TABLES,
    IDS,
    WAITING,
    GATES,
    DEAD_LETTERS,
    REJECTED,
    REFUSED_CALLS,
    STOCK_EVENTS,
    ACTIONS,
    REDRIVEN,
    PAUSES,
    OFFSETS,
)
