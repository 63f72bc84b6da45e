"""Records between the roles that decide and the role that sends: a request, its outcome, an operator's decision."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import msgspec
import orjson

from topics.values import named_value

REDRIVE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@named_value
class DeliveryRequest:
    """One request that must leave. Its key on `deliveries.requests` is the lane (topics.records.keys.lane_key).

    `id` is made from the causing event's id and an index, so deciding again gives the same id. `entity` is the key on
    `orders.commands` to which the outcome goes. `body` holds the touchpoint's request members as on `orders.commands`
    (path and query members included). A request beside the lane has a lane of its own. `relay`: a caller waits, so the
    outcome must come by `deadline_ms` (epoch milliseconds); `withdraw`: drop it unsent at the deadline, because the
    caller will ask again. `sequence` counts the requests of one order to one destination, from 1; a fact's is the
    fact's own. `story`: when what it belongs to began, epoch milliseconds; the requests and facts of an order that was
    forgotten and came again count from 1 anew, in a later story. `redriven`: an operator sends it again: it
    leaves room for others. `reply`: the partition of `replies` on which a gateway waits for what became of it, of a
    request that belongs to no order.
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

    def encode(self) -> bytes:
        return orjson.dumps(self)


def decode_request(raw: bytes) -> DeliveryRequest:
    return DeliveryRequest(**orjson.loads(raw))


class OutcomeKind(StrEnum):
    DELIVERED = "delivered"
    """The far side took it (2xx, and no `hasError`)."""
    REFUSED = "refused"
    """Terminal answer of the far side (a 400, for instance): a repeat would not help."""
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
    """`at_ms` is when the request was sent (epoch milliseconds); `status` None means no answer, `error` says why."""

    number: int
    at_ms: int
    took_ms: float
    status: int | None
    error: str = ""


@named_value
class Outcome:
    """What became of a request: value of a DELIVERY_OUTCOME command. `attempt`: the latest one, None if never sent."""

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

    def encode(self) -> bytes:
        return orjson.dumps(self)


def decode_outcome(raw: bytes) -> Outcome:
    """Raises ValueError naming the member that is missing or of another type: the order's state keeps some of them."""
    try:
        return msgspec.convert(orjson.loads(raw), Outcome)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


class LaneAction(StrEnum):
    RETRY = "retry"
    SKIP = "skip"


@named_value
class LaneDecision:
    """Value of a LANE_DECISION record on `deliveries.requests`, key and partition those of the lane."""

    lane: str
    request: str
    action: LaneAction

    def encode(self) -> bytes:
        return orjson.dumps(self)


def decode_lane_decision(raw: bytes) -> LaneDecision:
    data = orjson.loads(raw)
    return LaneDecision(lane=data["lane"], request=data["request"], action=LaneAction(data["action"]))


@named_value
class Redrive:
    """Value of a DELIVERY_REDRIVE record on `deliveries.requests`, key and partition those of the lane.

    `id`: the redrive's. `attempts`: how many the request had when it was given up, which tells this end of it from a
    later one. `previous` and `watermark`: what its deliveries said, so that they say the same again.
    """

    id: str
    request: DeliveryRequest
    attempts: int
    previous: int = 0
    watermark: int | None = None

    def encode(self) -> bytes:
        return orjson.dumps(self)


def decode_redrive(raw: bytes) -> Redrive:
    """Raises ValueError for an id that no header can carry: it travels as `Sluice-Redrive`."""
    data = orjson.loads(raw)
    if not REDRIVE_ID.fullmatch(data["id"]):
        raise ValueError("its id is not 1 to 64 letters, digits, - and _")
    return Redrive(request=DeliveryRequest(**data.pop("request")), **data)


class Conclusion(StrEnum):
    DELIVERED = "delivered"
    """It was taken after all."""
    SKIPPED = "skipped"
    """An operator let its lane go on without it."""
    NOT_TAKEN = "not-taken"
    """Delivery did not take the redriven request in; it is as dead as before."""

    @property
    def settles(self) -> bool:
        """Whether the request is not to be sent again."""
        return self is not Conclusion.NOT_TAKEN


@named_value
class Concluded:
    """Value of a DELIVERY_CONCLUDED record. `attempts`: how many there were, `redrive`: the last that sent it."""

    request: str
    how: Conclusion
    attempts: int
    redrive: str = ""
    message: str = ""

    def encode(self) -> bytes:
        return orjson.dumps(self)


def decode_concluded(raw: bytes) -> Concluded:
    data = orjson.loads(raw)
    return Concluded(how=Conclusion(data.pop("how")), **data)
