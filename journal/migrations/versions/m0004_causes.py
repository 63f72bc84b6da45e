"""Columns and indexes for lists of orders: holds, what waits for a person, what came early.

An order from before has no word on its hold until its next fact has one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("on_hold", sa.Boolean(), nullable=True))
    _partial("orders_on_hold", "orders", ["received_ms", "order_key"], "is_open AND on_hold")
    _partial("facts_early", "facts", ["at_ms", "order_key"], "name = 'event-parked'")
    of_letters = "concluded IS NULL AND touchpoint <> 'fact'"
    _partial("dead_letters_open", "dead_letters", ["kind", "died_ms", "order_key"], of_letters)
    op.drop_index("orders_location_state", "orders")
    op.create_index("orders_location_state_received_ms", "orders", ["location", "state", "received_ms"])
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ids_beginning", "ids", ["id"], postgresql_ops={"id": "text_pattern_ops"})


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)
