"""Orders, returns and manifests: one row each, their facts, and the ids by which they are found."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Index, Table
from sqlalchemy import text as condition

from journal.tables.base import (
    METADATA,
    MONTHLY,
    flag,
    index_of_retention,
    number,
    order_columns,
    proof_columns,
    small,
    text,
)

IS_OPEN: Final = condition("is_open")
"""The condition of orders to which something is still to happen, as an index has it."""
IS_PACKED: Final = condition("name = 'shipment-packed'")
"""The condition of facts that tell how fast locations pack, as an index has it."""
IS_ON_HOLD: Final = condition("is_open AND on_hold")
"""The condition of orders that the marketplace has put on hold, as an index has it."""
CAME_EARLY: Final = condition("name = 'event-parked'")
"""The condition of facts that tell of an event that came early, as an index has it."""

ORDERS = Table(
    "orders",
    METADATA,
    *order_columns(),
    text("kind", "`order`, `return` or `manifest`"),
    text("channel", "The channel"),
    text("code", "orderCode, returnOrderCode or manifestId"),
    text("state", "The state after its last fact"),
    number("state_since_ms", "When it came into that state"),
    flag("is_open", "Whether something is still to happen: not handed over, cancelled, rejected or completed"),
    flag("is_forgotten", "Whether Sluice keeps no state of it any more"),
    number("sequence", "The sequence of its last fact"),
    text("last_fact", "The name of its last fact"),
    number("last_fact_ms", "When its last fact was decided"),
    text("location", "Its location; null: a split order, or none is known", nullable=True),
    number("due_ms", "Its `dispatchByTime`; null: none is known", nullable=True),
    text("order_type", "As in its Create", nullable=True),
    text("payment_method", "As in its Create", nullable=True),
    text("forward_code", "The forward order of a return", nullable=True),
    small("line_count", "Lines of an order; null: none are known, as of a return", nullable=True),
    number("units", "Units ordered, or expected back, in the lines that its last fact lists", nullable=True),
    number("units_open", "Those neither packed nor cancelled; of a return, those not inspected", nullable=True),
    number("units_packed", "Those packed; of a return, those that passed", nullable=True),
    number("units_cancelled", "Those cancelled by either side; of a return, those that will not come", nullable=True),
    text("stuck_step", "The step in which it waits longer than its channel allows; empty or null: none", nullable=True),
    number("stuck_since_ms", "Since when it waits there, while `stuck_step` says so", nullable=True),
    flag("on_hold", "Whether the marketplace has put it on hold; null: no fact said so", nullable=True),
    *proof_columns(),
    Index(None, "received_ms", "order_key"),
    Index(None, "channel", "state", "received_ms"),
    Index(None, "state", "state_since_ms"),
    Index(None, "due_ms", postgresql_where=IS_OPEN, sqlite_where=IS_OPEN),
    Index(None, "location", "state", "received_ms"),
    Index("orders_on_hold", "received_ms", "order_key", postgresql_where=IS_ON_HOLD, sqlite_where=IS_ON_HOLD),
    comment="One row for each order, return and manifest, as its facts on `orders.events` say. A code that is used "
    "again after its order was forgotten has another row. The proof is that of its last fact",
    **MONTHLY,
)

FACTS = Table(
    "facts",
    METADATA,
    *order_columns(),
    small("partition", "Partition of the record, and of the command that caused it", primary_key=True),
    number("record_offset", "Offset of the record", primary_key=True),
    number("sequence", "Counts the facts of the key, from 1"),
    text("name", "The fact's name, as in docs/analytics.md"),
    number("at_ms", "When it was decided"),
    text("state", "The state after it; empty: the fact says none"),
    text("event_id", "`ce_id`; before `.f` it is the id of the command that caused it"),
    number("epoch", "The owner that wrote it, by `sluice-made-by`"),
    number("command_offset", "Offset on `orders.commands` of the command that caused it; its partition is `partition`"),
    text("data", "The fact: JSON, as in schemas/facts"),
    index_of_retention(),
    Index(None, "at_ms", postgresql_where=IS_PACKED, sqlite_where=IS_PACKED),
    Index("facts_early", "at_ms", "order_key", postgresql_where=CAME_EARLY, sqlite_where=CAME_EARLY),
    comment="Each fact on `orders.events` that counts",
    **MONTHLY,
)

IDS = Table(
    "ids",
    METADATA,
    text("id", "A code or number that somebody may search for", primary_key=True),
    text(
        "kind",
        "`order`, `return`, `manifest`, `shipment`, `awb`, `invoice`, `manifest-code`; `forward`: the forward order of "
        "a return; `event`: the id of a command, with which those of its facts and requests begin; `delivery`: of a "
        "request to a subscriber",
        primary_key=True,
    ),
    text("order_key", "The order, return or manifest that it leads to", primary_key=True),
    number("received_ms", "As in `orders`", primary_key=True),
    Index(None, "received_ms"),
    Index("ids_beginning", "id", postgresql_ops={"id": "text_pattern_ops"}).ddl_if(dialect="postgresql"),
    comment="What a search finds: any id, and where it leads. From facts and requests",
)
