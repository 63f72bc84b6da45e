"""Reads from the facts of an order its lines, its shipments, when it was on hold, and which events came early."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from journal.story.rows import FactRow
from topics.records.json_text import JsonTextError, read
from topics.values import Value

_SHIPMENT_STATES = {"shipment-packed": "PACKED", "pack-refused": "OPEN_AGAIN", "pack-unanswered": "OPEN_AGAIN"}
_PARKED, _CLOSED = "event-parked", ("event-refused", "event-expired")
_HOLD_CROSSED = "hold-crossed"
REJECTING = ("order-rejected", "return-rejected", "return-refused", "manifest-refused")
"""Facts after which a person has to look at it."""


class Line(Value, frozen=True, kw_only=True):
    code: str
    sku: str
    ordered: int
    open: int
    packed: int
    cancelled: int


class Shipment(Value, frozen=True, kw_only=True):
    """`number`: Increff's; `code`: the marketplace's."""

    number: int | None
    code: str | None
    state: str
    location: str | None
    awb: str | None
    invoice: str | None
    since_ms: int


class Told(Value, frozen=True, kw_only=True):
    """A fact, and its members."""

    row: FactRow
    members: dict[str, Any]


class EarlyEvent(Value, frozen=True, kw_only=True):
    """An event that is kept. `event`: its kind."""

    row: FactRow
    event: str
    until_ms: int | None


def told(facts: Iterable[FactRow]) -> list[Told]:
    """The facts in their sequence. One that cannot be read has no members."""
    ordered = sorted(facts, key=lambda row: (row.sequence, row.partition, row.record_offset))
    return [Told(row=row, members=_members(row.data)) for row in ordered]


def _members(text: str) -> dict[str, Any]:
    try:
        members = read(text.encode())
    except JsonTextError:
        return {}
    return members if isinstance(members, dict) else {}


def last_of(facts: list[Told], *names: str) -> Told | None:
    """The last fact with one of these names."""
    return next((fact for fact in reversed(facts) if fact.row.name in names), None)


def lines_of(facts: list[Told]) -> tuple[Line, ...]:
    """As the last fact that lists them says."""
    for fact in reversed(facts):
        lines = fact.members.get("lines")
        if isinstance(lines, list) and lines:
            return tuple(_line(line) for line in lines if isinstance(line, dict))
    return ()


def _line(line: dict[str, Any]) -> Line:
    numbers = {name: _whole(line.get(name)) for name in ("ordered", "open", "packed", "cancelled")}
    return Line(code=str(line.get("orderItemCode", "")), sku=str(line.get("channelSkuCode", "")), **numbers)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def shipments_of(facts: list[Told]) -> tuple[Shipment, ...]:
    """Each shipment as its last fact leaves it."""
    found: dict[Any, Shipment] = {}
    for fact in facts:
        members = fact.members
        number, code = members.get("shipmentId"), members.get("shipmentCode")
        if (number is None and code is None) or ("items" not in members and fact.row.name != "shipment-adopted"):
            continue
        key = number if number is not None else code
        before = found.get(key)
        state = members.get("shipmentState") or _SHIPMENT_STATES.get(fact.row.name) or (before and before.state)
        found[key] = Shipment(
            number=number,
            code=code or (before.code if before else None),
            state=state or "PACKED",
            location=members.get("shipmentLocationCode") or (before.location if before else None),
            awb=members.get("awbNumber") or (before.awb if before else None),
            invoice=members.get("invoiceCode") or (before.invoice if before else None),
            since_ms=fact.row.at_ms,
        )
    return tuple(found.values())


def holds_of(facts: list[Told]) -> list[tuple[Told, int | None]]:
    """The facts that put the order on hold, each with when that ended; None: it has not."""
    found: list[tuple[Told, int | None]] = []
    begun: Told | None = None
    for fact in facts:
        says = False if fact.row.name == _HOLD_CROSSED else fact.members.get("onHold")
        if says is True and begun is None:
            begun = fact
        elif says is False and begun is not None:
            found.append((begun, fact.row.at_ms))
            begun = None
    if begun is not None:
        found.append((begun, None))
    return found


def is_held(facts: list[Told], state: str) -> bool:
    """Whether the marketplace has put the order on hold."""
    holds = holds_of(facts)
    return state == "HELD" or (bool(holds) and holds[-1][1] is None)


def early_events_of(facts: list[Told], now_ms: int) -> list[EarlyEvent]:
    """Events that came early and are still kept."""
    found: list[EarlyEvent] = []
    for place, fact in enumerate(facts):
        event = fact.members.get("eventId")
        if fact.row.name != _PARKED or not isinstance(event, str):
            continue
        until_ms = fact.members.get("untilMs")
        is_over = isinstance(until_ms, int) and until_ms <= now_ms
        later = facts[place + 1 :]
        is_decided = any(
            one.row.event_id.startswith(event) or (one.row.name in _CLOSED and one.members.get("eventId") == event)
            for one in later
        )
        if not is_over and not is_decided:
            kind = str(fact.members.get("event", "an event"))
            found.append(EarlyEvent(row=fact.row, event=kind, until_ms=until_ms if isinstance(until_ms, int) else None))
    return found
