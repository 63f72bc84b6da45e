"""The tables of the journal as they were first made.

What is here stays as it is: journal/tables says what the tables are now, later migrations how they became so.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "text": sa.Text(),
    "bigint": sa.BigInteger(),
    "integer": sa.Integer(),
    "boolean": sa.Boolean(),
    "bytes": sa.LargeBinary(),
}


def _table(name: str, columns: str, key: tuple[str, ...], *, monthly: bool = False) -> None:
    """`columns`: each with its type; `?`: it may be null. `monthly`: PostgreSQL keeps a partition for each month, and
    one for times outside of them; SQLite deletes by an index instead."""
    made: list[sa.Column[Any]] = []
    for column in columns.split():
        called, _, kind = column.partition(":")
        made.append(sa.Column(called, _TYPES[kind.removesuffix("?")], nullable=kind.endswith("?")))
    partitioned: Any = {"postgresql_partition_by": "RANGE (received_ms)"} if monthly else {}
    op.create_table(name, *made, sa.PrimaryKeyConstraint(*key, name=f"{name}_pkey"), **partitioned)
    if monthly and op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE TABLE {name}_other PARTITION OF {name} DEFAULT")
    elif monthly and name != "orders":  # which has a longer index that begins so
        _index(f"{name}_received_ms", name, ["received_ms"])


def _index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)


_NAMES = (
    "orders",
    "facts",
    "requests",
    "attempts",
    "bodies",
    "ids",
    "waiting",
    "gates",
    "dead_letters",
    "rejected",
    "refused_calls",
    "stock_events",
    "actions",
    "offsets",
)


def upgrade() -> None:
    _orders()
    _deliveries()
    _others()


def downgrade() -> None:
    for name in _NAMES:
        op.drop_table(name)


def _orders() -> None:
    _table(
        "orders",
        (
            "order_key:text received_ms:bigint kind:text channel:text code:text state:text state_since_ms:bigint "
            "is_open:boolean is_forgotten:boolean sequence:bigint last_fact:text last_fact_ms:bigint "
            "location:text? due_ms:bigint? order_type:text? payment_method:text? forward_code:text? "
            "line_count:integer? units:bigint? units_open:bigint? units_packed:bigint? units_cancelled:bigint? "
            "stuck_step:text? stuck_since_ms:bigint? partition:integer record_offset:bigint"
        ),
        key=("order_key", "received_ms"),
        monthly=True,
    )
    _index("orders_channel_state_received_ms", "orders", ["channel", "state", "received_ms"])
    _index("orders_due_ms", "orders", ["due_ms"], where="is_open")
    _index("orders_location_state", "orders", ["location", "state"])
    _index("orders_received_ms_order_key", "orders", ["received_ms", "order_key"])
    _index("orders_state_state_since_ms", "orders", ["state", "state_since_ms"])
    _table(
        "facts",
        (
            "order_key:text received_ms:bigint partition:integer record_offset:bigint sequence:bigint name:text "
            "at_ms:bigint state:text event_id:text epoch:bigint command_offset:bigint data:text"
        ),
        key=("order_key", "received_ms", "partition", "record_offset"),
        monthly=True,
    )


def _deliveries() -> None:
    _table(
        "requests",
        (
            "order_key:text received_ms:bigint request_id:text channel:text subject:text destination:text "
            "shard:integer touchpoint:text lane:text sequence:bigint created_ms:bigint written_ms:bigint "
            "is_relay:boolean deadline_ms:bigint? is_hold:boolean is_again:boolean takes_place_of:text epoch:bigint "
            "command_offset:bigint body_bytes:integer partition:integer record_offset:bigint"
        ),
        key=("order_key", "received_ms", "request_id"),
        monthly=True,
    )
    _table(
        "attempts",
        (
            "order_key:text received_ms:bigint event_id:text request_id:text number:integer channel:text "
            "destination:text touchpoint:text lane:text sequence:bigint previous_sequence:bigint result:text "
            "far_side:text at_ms:bigint took_us:bigint status:integer? error:text partition:integer "
            "record_offset:bigint"
        ),
        key=("order_key", "received_ms", "event_id"),
        monthly=True,
    )
    _index("attempts_destination_at_ms", "attempts", ["destination", "at_ms"])
    _table(
        "bodies",
        ("order_key:text received_ms:bigint kind:text id:text form:text body:bytes bytes:integer"),
        key=("order_key", "received_ms", "kind", "id"),
        monthly=True,
    )
    _table(
        "ids",
        ("id:text kind:text order_key:text received_ms:bigint"),
        key=("id", "kind", "order_key", "received_ms"),
    )
    _index("ids_received_ms", "ids", ["received_ms"])
    _table(
        "waiting",
        (
            "lane:text request_id:text received_ms:bigint order_key:text channel:text subject:text "
            "destination:text shard:integer touchpoint:text sequence:bigint position:bigint created_ms:bigint "
            "queued_ms:bigint next_ms:bigint attempts:integer failures:integer first_ms:bigint failed_ms:bigint "
            "last_ms:bigint? last_status:integer? last_error:text message:text is_held:boolean "
            "is_redriven:boolean is_in_doubt:boolean is_relay:boolean is_hold:boolean deadline_ms:bigint? "
            "redrive:text partition:integer record_offset:bigint"
        ),
        key=("lane", "request_id"),
    )
    _index("waiting_destination_next_ms", "waiting", ["destination", "next_ms"])
    _index("waiting_destination_queued_ms", "waiting", ["destination", "queued_ms"])
    _index("waiting_order_key", "waiting", ["order_key"])
    _table(
        "gates",
        ("destination:text scope:text opens_ms:bigint partition:integer record_offset:bigint"),
        key=("destination", "scope"),
    )
    _table(
        "dead_letters",
        (
            "request_id:text received_ms:bigint order_key:text channel:text subject:text destination:text "
            "shard:integer touchpoint:text lane:text kind:text died_ms:bigint attempts:integer first_ms:bigint "
            "last_ms:bigint? status:integer? error:text message:text holds_lane:boolean concluded:text? "
            "concluded_ms:bigint? concluded_message:text redrive:text partition:integer record_offset:bigint"
        ),
        key=("request_id",),
    )
    _index("dead_letters_destination_touchpoint_died_ms", "dead_letters", ["destination", "touchpoint", "died_ms"])
    _index("dead_letters_died_ms", "dead_letters", ["died_ms"])
    _index("dead_letters_order_key", "dead_letters", ["order_key"])


def _others() -> None:
    _table(
        "rejected",
        (
            "source_topic:text source_partition:integer source_offset:bigint at_ms:bigint role:text code:text "
            "reason:text record_key:text channel:text event_id:text event_type:text subject:text bytes:integer "
            "partition:integer record_offset:bigint"
        ),
        key=("source_topic", "source_partition", "source_offset"),
    )
    _index("rejected_at_ms", "rejected", ["at_ms"])
    _index("rejected_code_at_ms", "rejected", ["code", "at_ms"])
    _index("rejected_record_key", "rejected", ["record_key"])
    _table(
        "refused_calls",
        (
            "order_key:text number:integer touchpoint:text code:text reason:text status:integer? calls:bigint "
            "first_ms:bigint last_ms:bigint event_id:text source:text address:text partition:integer "
            "record_offset:bigint"
        ),
        key=("order_key", "number"),
    )
    _index("refused_calls_last_ms", "refused_calls", ["last_ms"])
    _table(
        "stock_events",
        (
            "event_id:text at_ms:bigint name:text channel:text location:text sku:text data:text partition:integer "
            "record_offset:bigint"
        ),
        key=("event_id",),
    )
    _index("stock_events_at_ms", "stock_events", ["at_ms"])
    _index("stock_events_channel_location_at_ms", "stock_events", ["channel", "location", "at_ms"])
    _table(
        "actions",
        (
            "event_id:text topic:text at_ms:bigint action:text actor:text reason:text order_key:text target:text "
            "data:text partition:integer record_offset:bigint"
        ),
        key=("event_id", "topic"),
    )
    _index("actions_at_ms", "actions", ["at_ms"])
    _index("actions_order_key", "actions", ["order_key"])
    _table(
        "offsets",
        ("topic:text partition:integer next_offset:bigint claim:bigint memory:text record_ms:bigint"),
        key=("topic", "partition"),
    )
