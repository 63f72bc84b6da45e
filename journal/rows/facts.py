"""Facts on orders.events: rows of `facts`, the change of their order's row, and the ids that they name."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, ClassVar, Final

import msgspec

from journal.rows.batch import Batch, Row
from journal.rows.keeper import Keeper
from journal.rows.reader import KafkaRecord, PartitionReader, text_of
from journal.tables.orders import FACTS
from topics.records.envelope import FACT
from topics.records.reading import Found, SeenFacts, made_by
from topics.schema_base import time_of

ORDER_ENDS: Final = frozenset({"REJECTED", "HANDED_OVER", "DELIVERED", "CANCELLED"})
"""States in which an order waits for nothing any more."""
RETURN_ENDS: Final = frozenset({"REJECTED", "CANCELLED", "REFUSED", "COMPLETED"})
_MANIFEST_STATES: Final = {"manifest-created": "MANIFESTED", "manifest-refused": "REFUSED"}
CREATED, FORGOTTEN, STUCK, UNSTUCK = "order-created", "order-forgotten", "order-stuck", "order-unstuck"
HOLD_CROSSED: Final = "hold-crossed"
"""Increff may have the hold, and goes on all the same."""
RECENT_MAX: Final = 20_000
"""Ids of a partition that were added lately, so that the next facts of their orders need not add them again."""
_Id = tuple[str, str, str, int]

Int = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Line(msgspec.Struct):
    ordered: Int = 0
    open: Int = 0
    packed: Int = 0
    cancelled: Int = 0


class _Units(msgspec.Struct):
    expected: Int = 0
    cancelled: Int = 0
    passed: Int = 0
    failed: Int = 0


class _Fact(msgspec.Struct):
    """The members that rows are made of; the row keeps the whole fact beside them."""

    sequence: Int
    channel: str
    atMs: Int  # noqa: N815 - members of facts
    sinceCreatedMs: Int  # noqa: N815
    orderCode: str | None = None  # noqa: N815
    returnOrderCode: str | None = None  # noqa: N815
    forwardOrderCode: str | None = None  # noqa: N815
    manifestId: str | None = None  # noqa: N815
    state: str | None = None
    locationCode: str | None = None  # noqa: N815
    lines: list[_Line] | None = None
    lineCount: Int | None = None  # noqa: N815
    quantities: _Units | None = None
    dispatchByTime: str | None = None  # noqa: N815
    orderType: str | None = None  # noqa: N815
    paymentMethod: str | None = None  # noqa: N815
    onHold: bool | None = None  # noqa: N815
    step: str | None = None
    sinceMs: Int | None = None  # noqa: N815
    shipmentId: Int | None = None  # noqa: N815
    shipmentCode: str | None = None  # noqa: N815
    awbNumber: str | None = None  # noqa: N815
    invoiceCode: str | None = None  # noqa: N815
    manifestCode: str | None = None  # noqa: N815


_FACTS = msgspec.json.Decoder(_Fact)


class FactRows(PartitionReader):
    """Reads one partition of orders.events."""

    TOPIC: ClassVar[str] = "orders.events"

    def __init__(self, partition: int, memory: dict[str, Any], keeper: Keeper, partitions: int) -> None:
        super().__init__(partition, memory, keeper, partitions)
        self._seen = SeenFacts(memory)
        self._recent: dict[_Id, None] = {}

    def remembered(self) -> dict[str, Any]:
        return self._seen.remembered()

    def take(self, record: KafkaRecord, batch: Batch) -> None:
        key, value = record.key, record.value
        made = made_by(record.headers)
        if key is None or value is None or made.offset < 0:
            self.not_ours(record)
            return
        fact = _FACTS.decode(value)
        order_key = key.decode()
        headers = dict(record.headers)
        if self._seen.judge_made(self.partition, key, fact.sequence, made) is not Found.NEW:
            return
        name = text_of(headers.get("ce_type")).removeprefix(FACT)
        event_id = text_of(headers.get("ce_id"))
        received_ms = fact.atMs - fact.sinceCreatedMs
        row = {
            "order_key": order_key,
            "received_ms": received_ms,
            "partition": self.partition,
            "record_offset": record.offset,
            "sequence": fact.sequence,
            "name": name,
            "at_ms": fact.atMs,
            "state": fact.state or "",
            "event_id": event_id,
            "epoch": made.epoch,
            "command_offset": made.offset,
            "data": value.decode(),
        }
        changed = _order_row(fact, name, row)
        batch.add(FACTS, row)
        if name == CREATED and fact.sequence > 1:
            _begin(batch, order_key, received_ms)
        place = order_key, received_ms
        present = batch.orders.get(place)
        batch.orders[place] = changed if present is None else merged(present, changed)
        self._add_ids(batch, fact, order_key, received_ms, changed["code"], changed["kind"], event_id)

    def _add_ids(
        self, batch: Batch, fact: _Fact, order_key: str, received_ms: int, code: str, kind: str, event_id: str
    ) -> None:
        of_manifest = kind == "manifest"
        for id_, of in (
            (code, kind),
            (fact.forwardOrderCode, "forward"),
            (event_of(event_id.rpartition(".f")[0]), "event"),
            (None if fact.shipmentId is None else str(fact.shipmentId), "shipment"),
            (fact.shipmentCode, "shipment"),
            (fact.awbNumber, "awb"),
            (fact.invoiceCode, "invoice"),
            (fact.manifestCode if of_manifest or fact.shipmentCode else None, "manifest-code"),
        ):
            if id_ and self._is_first((id_, of, order_key, received_ms)):
                batch.add_id(id_, of, order_key, received_ms)

    def _is_first(self, name: _Id) -> bool:
        recent = self._recent
        if name in recent:
            return False
        recent[name] = None
        if len(recent) > RECENT_MAX:
            del recent[next(iter(recent))]
        return True


def event_of(id_: str) -> str:
    """The event that an id was made from: of an outcome that of its request, of a request that of its command."""
    return id_.partition(".0:")[0].removesuffix(".0")


def _begin(batch: Batch, order_key: str, received_ms: int) -> None:
    """An order that was expected is created: its row of that time goes."""
    batch.begun.append({"begun_key": order_key, "begun_ms": received_ms})
    for place, row in list(batch.orders.items()):
        if place[0] == order_key and place[1] != received_ms and not row["is_forgotten"]:
            del batch.orders[place]


def _order_row(fact: _Fact, name: str, row: Row) -> Row:
    """The members of its order that a fact says; None: nothing. `has_moved`: the state changed in this batch."""
    if fact.returnOrderCode is not None:
        kind, code, ends = "return", fact.returnOrderCode, RETURN_ENDS
    elif fact.manifestId is not None:
        kind, code, ends = "manifest", fact.manifestId, frozenset(_MANIFEST_STATES.values())
    elif fact.orderCode is not None:
        kind, code, ends = "order", fact.orderCode, ORDER_ENDS
    else:
        raise ValueError("a fact without orderCode, returnOrderCode and manifestId")
    state = fact.state or _MANIFEST_STATES.get(name, "")
    units: tuple[int | None, ...] = (None, None, None, None)
    if fact.lines is not None:
        lines = fact.lines
        units = (
            sum([line.ordered for line in lines]),
            sum([line.open for line in lines]),
            sum([line.packed for line in lines]),
            sum([line.cancelled for line in lines]),
        )
    elif fact.quantities is not None:
        of = fact.quantities
        units = (of.expected + of.cancelled + of.passed + of.failed, of.expected, of.passed, of.cancelled)
    stuck = {STUCK: fact.step or "", UNSTUCK: ""}.get(name)
    return {
        "order_key": row["order_key"],
        "received_ms": row["received_ms"],
        "kind": kind,
        "channel": fact.channel,
        "code": code,
        "state": state,
        "state_since_ms": fact.atMs,
        "has_moved": False,
        "is_open": state not in ends and name != FORGOTTEN,
        "is_forgotten": name == FORGOTTEN,
        "sequence": fact.sequence,
        "last_fact": name,
        "last_fact_ms": fact.atMs,
        "location": fact.locationCode,
        "due_ms": None if fact.dispatchByTime is None else _time_ms(fact.dispatchByTime),
        "order_type": fact.orderType,
        "payment_method": fact.paymentMethod,
        "forward_code": fact.forwardOrderCode,
        "line_count": fact.lineCount,
        "units": units[0],
        "units_open": units[1],
        "units_packed": units[2],
        "units_cancelled": units[3],
        "stuck_step": stuck,
        "stuck_since_ms": fact.sinceMs if stuck else None,
        "on_hold": False if name == HOLD_CROSSED else fact.onHold,
        "partition": row["partition"],
        "record_offset": row["record_offset"],
    }


KEPT: Final = (
    "location",
    "due_ms",
    "order_type",
    "payment_method",
    "forward_code",
    "line_count",
    "units",
    "units_open",
    "units_packed",
    "units_cancelled",
    "stuck_step",
    "stuck_since_ms",
    "on_hold",
)
"""Columns of an order that a fact without them leaves as they are."""


def merged(present: Row, new: Row) -> Row:
    """An order's row after another fact; journal/store/statements.py says the same in SQL."""
    for name in KEPT:
        if new[name] is None:
            new[name] = present[name]
    if not new["state"]:
        new["state"] = present["state"]
    if new["state"] == present["state"]:
        new["state_since_ms"], new["has_moved"] = present["state_since_ms"], present["has_moved"]
    else:
        new["has_moved"] = True
    return new


def _time_ms(text: str) -> int | None:
    """Epoch milliseconds of a marketplace's time; one without an offset is in UTC. None: it is no time."""
    try:
        at = time_of(text)
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
