"""An order that waits, for each of the causes, as rows of the journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Integer, LargeBinary, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.ports import RoleLag
from journal.store.schema import make_months
from journal.tables.base import month_of
from journal.tables.deliveries import ATTEMPTS, DEAD_LETTERS, GATES, REQUESTS, WAITING
from journal.tables.operators import PAUSES
from journal.tables.orders import FACTS, ORDERS
from topics.kafka.groups import Behind
from topics.records.keys import partition_of

NOW_MS = 1_750_000_000_000
RECEIVED_MS = NOW_MS - 600_000
PARTITIONS = 8

Made = tuple[Table, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """`rows`: of the order `code`; `says`: a part of the sentence; `action`: the first one's name; `until_ms`: the end
    of the wait; `lag`: what Kafka says of the roles."""

    cause: str
    code: str
    rows: Sequence[Made]
    says: str
    action: str
    until_ms: int | None = None
    lag: RoleLag | None = None

    @property
    def key(self) -> str:
        return f"demo|{self.code}"


def order(code: str, state: str, **more: Any) -> list[Made]:
    """An order, and the fact that made it so."""
    key = f"demo|{code}"
    is_open = state not in ("REJECTED", "HANDED_OVER", "CANCELLED")
    row = {
        "order_key": key,
        "received_ms": RECEIVED_MS,
        "kind": "order",
        "channel": "demo",
        "code": code,
        "state": state,
        "state_since_ms": RECEIVED_MS + 1_000,
        "is_open": is_open,
        "location": "DXB-WH-01",
        "units": 2,
        "units_open": 2,
        "sequence": 1,
        "partition": partition_of(key.encode(), PARTITIONS),
    }
    return [(ORDERS, {**row, **more}), fact(code, 1, "order-created", 1_000, state=state)]


def fact(code: str, sequence: int, name: str, after_ms: int, *, state: str = "", **data: Any) -> Made:
    key = f"demo|{code}"
    return FACTS, {
        "order_key": key,
        "received_ms": RECEIVED_MS,
        "partition": partition_of(key.encode(), PARTITIONS),
        "record_offset": 1_000 + sequence,
        "sequence": sequence,
        "name": name,
        "at_ms": RECEIVED_MS + after_ms,
        "state": state,
        "event_id": f"{code}-{sequence}.f",
        "data": json.dumps({"sequence": sequence, **data}),
    }


def waiting(code: str, number: int = 0, *, destination: str = "increff", **more: Any) -> list[Made]:
    """A request of an order that waits, and the request itself."""
    key = f"demo|{code}"
    lane = f"{destination}|{key}"
    of_both = {
        "order_key": key,
        "received_ms": RECEIVED_MS,
        "request_id": f"{code}-r{number}",
        "channel": "demo",
        "subject": code,
        "destination": destination,
        "touchpoint": more.get("touchpoint", "create-outward-order"),
        "lane": lane,
        "sequence": number + 1,
        "created_ms": RECEIVED_MS + 900,
    }
    request = {**of_both, "written_ms": RECEIVED_MS + 1_100, "record_offset": 50 + number}
    row = {**of_both, "position": number + 1, "queued_ms": RECEIVED_MS + 1_200, "record_offset": 70 + number}
    return [(REQUESTS, request), (WAITING, {**row, **more})]


def attempt(code: str, number: int, at_ms: int, *, status: int | None = None, error: str = "", **more: Any) -> Made:
    row = {
        "order_key": f"demo|{code}",
        "received_ms": RECEIVED_MS,
        "event_id": f"{code}-r0/{number}",
        "request_id": f"{code}-r0",
        "number": number,
        "channel": "demo",
        "destination": "increff",
        "touchpoint": "create-outward-order",
        "lane": f"increff|demo|{code}",
        "result": "retry",
        "far_side": "http",
        "at_ms": at_ms,
        "took_us": 20_000,
        "status": status,
        "error": error,
        "record_offset": 90 + number,
    }
    return ATTEMPTS, {**row, **more}


def letter(code: str, kind: str, **more: Any) -> Made:
    row = {
        "request_id": f"{code}-r0",
        "received_ms": RECEIVED_MS,
        "order_key": f"demo|{code}",
        "channel": "demo",
        "subject": code,
        "destination": "increff",
        "touchpoint": "create-outward-order",
        "lane": f"increff|demo|{code}",
        "kind": kind,
        "died_ms": NOW_MS - 60_000,
        "attempts": 3,
        "status": 400,
        "record_offset": 5,
    }
    return DEAD_LETTERS, {**row, **more}


def _behind(code: str) -> RoleLag:
    partition = partition_of(f"demo|{code}".encode(), PARTITIONS)
    behind = Behind("orders.commands", partition, 10, 0, 17, NOW_MS - 30_000)
    return RoleLag(orders={partition: behind}, journal_since_ms=None)


CASES: tuple[Case, ...] = (
    Case(
        "role-behind",
        "O-behind",
        order("O-behind", "SUBMITTED"),
        "The orders role is behind: 7 commands of partition",
        "look-at-roles",
        lag=_behind("O-behind"),
    ),
    Case("role-behind", "O-nowhere", [], "7 commands of partition", "look-at-roles", lag=_behind("O-nowhere")),
    Case(
        "early",
        "O-early",
        [
            *order("O-early", "EXPECTED"),
            fact("O-early", 2, "event-parked", 2_000, event="acknowledge", eventId="ev-1", untilMs=NOW_MS + 5_000),
        ],
        "before its Create. It is kept until",
        "ask",
        until_ms=NOW_MS + 5_000,
    ),
    Case(
        "on-hold",
        "O-hold",
        [*order("O-hold", "HELD"), fact("O-hold", 2, "order-held", 2_000, state="HELD", onHold=True)],
        "The marketplace put the order on hold at",
        "ask",
    ),
    Case(
        "budget",
        "O-budget",
        [*order("O-budget", "RECEIVED"), *waiting("O-budget")],
        "create-outward-order waits for its turn at Increff",
        "wait",
    ),
    Case(
        "quiet",
        "O-quiet",
        [
            *order("O-quiet", "RECEIVED"),
            *waiting("O-quiet", destination="channel:demo", shard=1),
            (GATES, {"destination": "channel:demo", "scope": "1", "opens_ms": NOW_MS + 9_000, "record_offset": 3}),
        ],
        "asked for quiet until",
        "wait",
        until_ms=NOW_MS + 9_000,
    ),
    Case(
        "down",
        "O-down",
        [
            *order("O-down", "RECEIVED"),
            *waiting("O-down", destination="channel:far", attempts=1, next_ms=NOW_MS + 1_000),
            *(
                attempt(
                    f"O-down{number}" if number else "O-down",
                    1,
                    NOW_MS - 40_000 + number,
                    destination="channel:far",
                    error="connection refused",
                )
                for number in range(5)
            ),
        ],
        "is down since",
        "look-at-destination",
    ),
    Case(
        "back-off",
        "O-back-off",
        [
            *order("O-back-off", "RECEIVED"),
            *waiting("O-back-off", attempts=2, next_ms=NOW_MS + 20_000, last_ms=NOW_MS - 4_000, last_status=503),
            attempt("O-back-off", 1, NOW_MS - 9_000, status=503),
            attempt("O-back-off", 2, NOW_MS - 4_000, status=503),
        ],
        "is tried again at",
        "wait",
        until_ms=NOW_MS + 20_000,
    ),
    Case(
        "given-up",
        "O-held-lane",
        [
            *order("O-held-lane", "RECEIVED"),
            *waiting("O-held-lane", attempts=3, is_held=True, last_status=503),
            letter("O-held-lane", "dead", status=503, holds_lane=True),
        ],
        "It holds its lane: what comes behind it waits.",
        "retry",
    ),
    Case(
        "given-up",
        "O-let-go",
        [*order("O-let-go", "RECEIVED"), letter("O-let-go", "dead", status=503)],
        "Its lane went on without it.",
        "redrive",
    ),
    Case(
        "paused",
        "O-paused",
        [
            *order("O-paused", "RECEIVED"),
            *waiting("O-paused", destination="channel:paused"),
            (
                PAUSES,
                {
                    "destination": "channel:paused",
                    "since_ms": NOW_MS - 30_000,
                    "until_ms": NOW_MS + 60_000,
                    "actor": "alice",
                    "reason": "their weekend",
                },
            ),
        ],
        "alice paused the marketplace of paused at",
        "resume",
        until_ms=NOW_MS + 60_000,
    ),
    Case(
        "refused",
        "O-refused",
        [*order("O-refused", "REJECTED"), letter("O-refused", "refused", message="unknown SKU X")],
        "refused create-outward-order",
        "resubmit",
    ),
    Case(
        "far-side",
        "O-far",
        order("O-far", "SUBMITTED", due_ms=NOW_MS + 3_600_000),
        "It is Increff's turn to acknowledge the order at DXB-WH-01",
        "ask",
        until_ms=NOW_MS + 3_600_000,
    ),
)
"""Behind an earlier request: see BEHIND, whose first wait is that of the request before it."""
BEHIND = Case(
    "behind-request",
    "O-lane",
    [
        *order("O-lane", "RECEIVED"),
        *waiting("O-lane", 0, attempts=1, next_ms=NOW_MS + 20_000, last_status=503),
        *waiting("O-lane", 1, touchpoint="cancel-outward-order"),
    ],
    "cancel-outward-order waits behind create-outward-order of its lane.",
    "wait",
    until_ms=NOW_MS + 20_000,
)


async def put_rows(engine: AsyncEngine, rows: Sequence[Made]) -> None:
    """Write rows; members that they lack are empty."""
    months = {month_of(row["received_ms"]) for _table, row in rows if "received_ms" in row}
    async with engine.begin() as connection:
        await make_months(connection, [month for month in months if month is not None])
    async with engine.begin() as connection:
        for table, row in rows:
            await connection.execute(insert(table), {**_empty(table), **row})


def _empty(table: Table) -> dict[str, Any]:
    return {column.name: None if column.nullable else _nothing(column.type) for column in table.columns}


def _nothing(kind: Any) -> Any:
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, Integer):
        return 0
    return b"" if isinstance(kind, LargeBinary) else ""
