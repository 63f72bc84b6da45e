"""Effects of a decision, as values. `streams.order.records` makes records of them, or entries of tables."""

from __future__ import annotations

from typing import Any

from topics.records.verdicts import Address, Reply, Verdict
from topics.values import Value


class PublishFact(Value, frozen=True):
    """A fact on orders.events. `data` carries no personal data."""

    id: str
    name: str
    data: dict[str, Any]


class RequestDelivery(Value, frozen=True):
    """A request to a far side. `beside`: it has a lane of its own, and does not queue in the order's. `hold`: it puts
    the order on hold or releases it. `former`: the request that the far side refused, and that this one repeats.
    `again`: an earlier request for the same may have been carried out."""

    id: str
    destination: str
    touchpoint: str
    body: dict[str, Any]
    sequence: int
    beside: bool = False
    relay: bool = False
    deadline_ms: int | None = None
    withdraw: bool = False
    hold: bool = False
    former: str = ""
    again: bool = False


class ReplyTo(Value, frozen=True):
    """A verdict for the caller that waits for it."""

    address: Address
    reply: Reply


class SendCommand(Value, frozen=True):
    """A command to another entity, by its key."""

    id: str
    type: str
    key: bytes
    subject: str
    body: dict[str, Any]


class RecordAnswer(Value, frozen=True):
    """A successful answer of the far side, kept so that a repeat gets the same."""

    key: bytes
    status: int | None
    body: Any


class NoteRefusal(Value, frozen=True):
    """A call of the entity was refused: its history shows it. `event`: the call's id; `status`: the far side's."""

    touchpoint: str
    event: str
    address: Address | None
    verdict: Verdict
    message: str
    status: int | None = None


Effect = PublishFact | RequestDelivery | ReplyTo | SendCommand | RecordAnswer | NoteRefusal
