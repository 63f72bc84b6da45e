"""Actions of operators from their own facts; apart from them, the requests that redrives sent; pauses of destinations.

Rows of before stay what they were: each is what a journal that begins anew makes of the same records.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXTS = {"channel": "", "before": "{}", "after": "{}", "outcome": "", "message": "", "result": ""}
_NAMES = {"lane-retry": "retry-delivery", "lane-skip": "skip-delivery", "skip": "skip-record"}
_INDEXES = {"actor": ["actor", "at_ms"], "action": ["action", "at_ms"], "target": ["target", "at_ms"]}


def upgrade() -> None:
    op.create_table(
        "redriven",
        _column("redrive"),
        _column("request_id"),
        _column("attempts", sa.Integer()),
        _column("at_ms", sa.BigInteger()),
        _column("order_key"),
        _column("lane"),
        _column("partition", sa.Integer()),
        _column("record_offset", sa.BigInteger()),
        sa.PrimaryKeyConstraint("redrive", "request_id", "attempts", name="redriven_pkey"),
    )
    op.create_index("redriven_at_ms", "redriven", ["at_ms"])
    op.create_index("redriven_order_key", "redriven", ["order_key"])
    op.create_table(
        "pauses",
        _column("destination"),
        _column("since_ms", sa.BigInteger()),
        sa.Column("until_ms", sa.BigInteger()),
        sa.Column("ended_ms", sa.BigInteger()),
        *(_column(name) for name in ("actor", "reason", "action_id", "ended_by")),
        _column("partition", sa.Integer()),
        _column("record_offset", sa.BigInteger()),
        sa.PrimaryKeyConstraint("destination", "since_ms", name="pauses_pkey"),
    )
    op.create_index("pauses_ended_ms", "pauses", ["ended_ms"])
    _change_actions()


def _change_actions() -> None:
    for name, value in _TEXTS.items():
        op.add_column("actions", sa.Column(name, sa.Text(), nullable=False, server_default=value))
    op.add_column("actions", sa.Column("shown", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("actions", sa.Column("ended_ms", sa.BigInteger(), nullable=True))
    redrive, attempts, lane = _members("redrive", "attempts", "lane")
    op.execute(
        "INSERT INTO redriven (redrive, request_id, attempts, at_ms, order_key, lane, partition, record_offset) "  # noqa: S608
        f"SELECT {redrive}, target, CAST({attempts} AS INTEGER), MIN(at_ms), MIN(order_key), MIN({lane}), "
        f"MIN(partition), MIN(record_offset) FROM actions WHERE action = 'redrive' "
        f"GROUP BY {redrive}, target, CAST({attempts} AS INTEGER)"
    )
    op.execute("DELETE FROM actions WHERE action = 'redrive'")
    op.execute("UPDATE actions SET after = data WHERE action = 'skip'")
    for before, now in _NAMES.items():
        op.execute(f"UPDATE actions SET action = '{now}' WHERE action = '{before}'")  # noqa: S608 - names from above
    op.drop_column("actions", "data")
    for name, columns in _INDEXES.items():
        op.create_index(f"actions_{name}_at_ms", "actions", columns)


def _members(*names: str) -> list[str]:
    """The expressions that take these members of `data`, in the words of the database."""
    if op.get_bind().dialect.name == "postgresql":
        return [f"(data::json ->> '{name}')" for name in names]
    return [f"json_extract(data, '$.{name}')" for name in names]


def _column(name: str, kind: sa.types.TypeEngine[Any] | None = None) -> sa.Column[Any]:
    return sa.Column(name, kind or sa.Text(), nullable=False)


def downgrade() -> None:
    raise NotImplementedError("the journal is made again from the topics: begin with an empty database")
