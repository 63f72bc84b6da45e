"""Records between the roles that decide and the role that sends: a request, its outcome, an operator's decision."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import orjson

from topics.records.json_record import JsonRecord, decode_record
from topics.values import named_value

REDRIVE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@named_value
class DeliveryRequest(JsonRecord):
    """A request that must leave. Its key on `deliveries.requests` is the lane (topics.records.keys.lane_key).

    - `id`: made from the causing event's id and an index, so deciding again gives the same id.
    - `entity`: the key on `orders.commands` to which the outcome goes.
    - `body`: the touchpoint's request members as on `orders.commands`, those of path and query included.
    - `lane`: (destination, order); a request beside the lane has a lane of its own.
    - `relay`: a caller waits, so the outcome must come by `deadline_ms` (epoch milliseconds).
    - `withdraw`: drop it unsent at the deadline, because the caller will ask again.
    - `sequence`: counts the requests of one order to one destination, from 1; a fact's is the fact's own.
    - `story`: when this incarnation of the order began, epoch milliseconds. The requests and facts of an order that was
      forgotten and came again count from 1 anew, in a later incarnation.
    - `redriven`: an operator sends it again, so it leaves room for others.
    - `reply`: of a request that belongs to no order, the partition of `replies` on which a gateway waits.
    """

    id: str
    destination: str
    shard: int
    channel: str
    touchpoint: str
    lane: str
    entity: str
    subject: str
    body: dict[str, Any] | None
    relay: bool = False
    deadline_ms: int | None = None
    withdraw: bool = False
    sequence: int = 0
    created_ms: int = 0
    story: int = 0
    redriven: bool = False
    reply: int | None = None


def decode_request(raw: bytes) -> DeliveryRequest:
    return DeliveryRequest(**orjson.loads(raw))


class OutcomeKind(StrEnum):
    DELIVERED = "delivered"
    """The far side took it (2xx, and no `hasError`)."""
    REFUSED = "refused"
    """A final refusal of the far side (a 400, for instance): a repeat would not help."""
    RETRYING = "retrying"
    """An attempt failed and another will come; for the order's list of attempts only."""
    EXPIRED = "expired"
    """Its relay deadline passed: withdrawn if never sent, given up otherwise."""
    DEAD = "dead"
    """Given up after the whole retry schedule; on `deliveries.dead`."""
    SUPERSEDED = "superseded"
    """Not sent: one before it in its lane was given up, and a newer one takes the place of both."""

    @property
    def final(self) -> bool:
        return self is not OutcomeKind.RETRYING


@named_value
class Attempt:
    """`at_ms`: when the request was sent, epoch milliseconds. `status` None: no answer, `error` is the reason."""

    number: int
    at_ms: int
    took_ms: float
    status: int | None
    error: str = ""


@named_value
class Outcome(JsonRecord):
    """Value of a DELIVERY_OUTCOME command. `attempt`: the latest attempt, None if the request was never sent."""

    request: str
    touchpoint: str
    kind: OutcomeKind
    status: int | None = None
    body: Any = None
    message: str = ""
    attempt: Attempt | None = None
    next_at_ms: int | None = None

    @property
    def reason(self) -> str:
        """Why the far side refused: its own words, or its status."""
        return self.message or f"HTTP {self.status}"


def decode_outcome(raw: bytes) -> Outcome:
    """Raises ValueError. Types are checked because the order's state keeps some of the members."""
    return decode_record(raw, Outcome)


class LaneAction(StrEnum):
    RETRY = "retry"
    SKIP = "skip"


@named_value
class LaneDecision(JsonRecord):
    """Value of a LANE_DECISION record on `deliveries.requests`, key and partition those of the lane."""

    lane: str
    request: str
    action: LaneAction


def decode_lane_decision(raw: bytes) -> LaneDecision:
    return decode_record(raw, LaneDecision)


@named_value
class Redrive(JsonRecord):
    """Value of a DELIVERY_REDRIVE record on `deliveries.requests`, key and partition those of the lane.

    `id`: the redrive's. `attempts`: how many the request had when it was given up, which tells this end of it from a
    later one. `previous` and `watermark`: the values in its earlier deliveries, repeated in the next one.
    """

    id: str
    request: DeliveryRequest
    attempts: int
    previous: int = 0
    watermark: int | None = None


def decode_redrive(raw: bytes) -> Redrive:
    """Raises ValueError, also for an id that no header can carry: it travels as `Sluice-Redrive`."""
    redrive = decode_record(raw, Redrive)
    if not REDRIVE_ID.fullmatch(redrive.id):
        raise ValueError("its id is not 1 to 64 letters, digits, - and _")
    return redrive


class Conclusion(StrEnum):
    DELIVERED = "delivered"
    """The far side took it after all."""
    SKIPPED = "skipped"
    """An operator let its lane go on without it."""
    NOT_TAKEN = "not-taken"
    """Delivery did not accept the redriven request; it is as dead as before."""

    @property
    def settles(self) -> bool:
        """Whether the request is not to be sent again."""
        return self is not Conclusion.NOT_TAKEN


@named_value
class Concluded(JsonRecord):
    """Value of a DELIVERY_CONCLUDED record. `attempts`: how many there were, `redrive`: the last that sent it."""

    request: str
    how: Conclusion
    attempts: int
    redrive: str = ""
    message: str = ""


def decode_concluded(raw: bytes) -> Concluded:
    return decode_record(raw, Concluded)
