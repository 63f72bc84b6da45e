"""Records between the roles that decide and the role that sends: a request, its outcome, an operator's decision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from topics.records.envelope import ID_CHARS_MAX
from topics.records.json_record import JsonRecord, decode_by, decode_record
from topics.records.json_text import read, write
from topics.values import Value, quick_members

TAKES_PLACE_OF = "sluice-takes-place-of"
"""Header of a DELIVERY_REQUEST: id of the refused request that it repeats, which is then not to be sent again."""

REDRIVE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


NAMES_CHARS_MAX = 3_000
"""Characters of a request's id, lane, entity and subject together, and of each other text. They become keys and headers
of the records that report it, which have 16 KiB of room beside the value; codes of 255 characters need half of it."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
TimeMs = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Name = Annotated[str, msgspec.Meta(max_length=NAMES_CHARS_MAX)]


class _Members:
    """For the documents: the text of a body holds an object, or null."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return handler.generate_schema(dict[str, Any] | None)


class _Text:
    """For the documents: a text, or left out."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return handler.generate_schema(str | None)


Body = Annotated[msgspec.Raw, _Members()]
OptionalName = Annotated[Name | msgspec.UnsetType, _Text()]

NO_BODY = msgspec.Raw(b"null")
_OBJECT = ord("{")


def request_id(event: str) -> str:
    """An event of an order makes one request at a time, so the same event decided again makes the same request."""
    return f"{event}.0"


def event_of(request: str) -> str:
    """The event that made a request; see `request_id`."""
    return request.removesuffix(".0")


class DeliveryRequest(JsonRecord, frozen=True, kw_only=True):
    """A request that must leave. Its key on `deliveries.requests` is the lane (topics.records.keys.lane_key).

    - `id`: made from the causing event's id and an index, so deciding again gives the same id.
    - `entity`: the key on `orders.commands` to which the outcome goes.
    - `body`: the touchpoint's request members as on `orders.commands`, those of path and query included: the JSON text
      of an object, or `null`. It stays text, because most requests are only passed on: see `members`.
    - `lane`: (destination, order); a request beside the lane has a lane of its own.
    - `relay`: a caller waits, so the outcome must come by `deadline_ms` (epoch milliseconds).
    - `withdraw`: drop it unsent at the deadline, because the caller will ask again.
    - `sequence`: counts the requests of one order to one destination, from 1; a fact's is the fact's own.
    - `story`: when this incarnation of the order began, epoch milliseconds. The requests and facts of an order that was
      forgotten and came again count from 1 anew, in a later incarnation.
    - `redriven`: an operator sends it again, so it leaves room for others.
    - `hold`: it puts its order on hold or releases it, so it goes before creates.
    - `traceparent`: the decision that wants it, if that is traced (W3C Trace Context).
    - `again`: an earlier request for the same may have been carried out, although no success is known.
    - `reply`: of a request that belongs to no order, the partition of `replies` on which a gateway waits.
    """

    id: Name
    destination: Name
    shard: Number
    channel: Name
    touchpoint: Name
    lane: Name
    entity: Name
    subject: Name
    body: Body
    relay: bool = False
    deadline_ms: TimeMs | None = None
    withdraw: bool = False
    sequence: Number = 0
    created_ms: TimeMs = 0
    story: Number = 0
    redriven: bool = False
    reply: Number | None = None
    hold: bool = False
    again: bool = False
    traceparent: OptionalName = msgspec.UNSET

    @property
    def size(self) -> int:
        """Bytes of its body."""
        return len(self.body)

    @property
    def cause(self) -> str:
        """Its `traceparent`; empty without one."""
        return self.traceparent if isinstance(self.traceparent, str) else ""

    @property
    def members(self) -> dict[str, Any] | None:
        """The body's members, decoded anew each time. Raises ValueError for a text that only a foreign writer makes."""
        members: dict[str, Any] | None = read(bytes(self.body))
        return members


def body_of(members: Mapping[str, Any] | None) -> msgspec.Raw:
    """The body of a request with these members."""
    return msgspec.Raw(write(members))


_REQUESTS = msgspec.json.Decoder(DeliveryRequest)


def decode_request(raw: bytes) -> DeliveryRequest:
    """Raises ValueError naming the member that is missing or wrong. The body is looked at, not decoded."""
    request = decode_by(_REQUESTS, raw)
    _check(request, raw)
    return request


def _check(request: DeliveryRequest, raw: bytes) -> None:
    """Raises ValueError for what the types do not tell. `raw`: the record it was decoded from."""
    if memoryview(request.body)[0] != _OBJECT and request.body != NO_BODY:
        raise ValueError("expected an object or null - at `$.body`")
    if not 0 < len(request.id) <= ID_CHARS_MAX:
        raise ValueError(f"expected 1 to {ID_CHARS_MAX} characters - at `$.id`")
    if len(request.id) + len(request.lane) + len(request.entity) + len(request.subject) > NAMES_CHARS_MAX:
        raise ValueError(f"id, lane, entity and subject may have {NAMES_CHARS_MAX} characters together")
    if not raw.isascii():
        raw.decode()  # texts that are not decoded were not checked


@quick_members
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
    OVERTAKEN = "overtaken"
    """A relay behind it (`by`) is sent before it, because it is optional and keeps failing. It stays where it is."""
    SUPERSEDED = "superseded"
    """Not sent: one before it in its lane was given up, and a newer one takes the place of both."""

    @property
    def final(self) -> bool:
        return self not in (OutcomeKind.RETRYING, OutcomeKind.OVERTAKEN)


class Attempt(Value, frozen=True, kw_only=True):
    """`at_ms`: when the request was sent, epoch milliseconds. `status` None: no answer, `error` is the reason."""

    number: int
    at_ms: int
    took_ms: float
    status: int | None
    error: str = ""


class Outcome(JsonRecord, frozen=True, kw_only=True):
    """Value of a DELIVERY_OUTCOME command. `attempt`: the latest attempt, None if the request was never sent.

    `by` and `by_touchpoint`: the relay that overtook it, where it was overtaken.
    """

    request: str
    touchpoint: str
    kind: OutcomeKind
    status: int | None = None
    body: Any = None
    message: str = ""
    attempt: Attempt | None = None
    next_at_ms: int | None = None
    by: str = ""
    by_touchpoint: str = ""

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


class LaneDecision(JsonRecord, frozen=True, kw_only=True):
    """Value of a LANE_DECISION record on `deliveries.requests`, key and partition those of the lane. `by` and `reason`:
    the operator, and why; the end of a request that is skipped says them."""

    lane: str
    request: str
    action: LaneAction
    by: str = ""
    reason: str = ""
    action_id: str = ""
    """Its facts on `operators.events`; empty: a version before wrote none."""


def decode_lane_decision(raw: bytes) -> LaneDecision:
    return decode_record(raw, LaneDecision)


class Redrive(JsonRecord, frozen=True, kw_only=True):
    """Value of a DELIVERY_REDRIVE record on `deliveries.requests`, key and partition those of the lane.

    `id`: the redrive's. `attempts`: how many the request had when it was given up, which tells this end of it from a
    later one. `previous` and `watermark`: the values in its earlier deliveries, repeated in the next one.
    """

    id: str
    request: DeliveryRequest
    attempts: Number
    previous: Number = 0
    watermark: Number | None = None


_REDRIVES = msgspec.json.Decoder(Redrive)


def decode_redrive(raw: bytes) -> Redrive:
    """Raises ValueError, also for an id that no header can carry: it travels as `Sluice-Redrive`."""
    redrive = decode_by(_REDRIVES, raw)
    _check(redrive.request, raw)
    if not REDRIVE_ID.fullmatch(redrive.id):
        raise ValueError("its id is not 1 to 64 letters, digits, - and _")
    return redrive


class Conclusion(StrEnum):
    DELIVERED = "delivered"
    """The far side took it after all."""
    SKIPPED = "skipped"
    """An operator let its lane go on without it."""
    RESUBMITTED = "resubmitted"
    """Another request has taken its place."""
    NOT_TAKEN = "not-taken"
    """Delivery did not accept the redriven request; it is as dead as before."""

    @property
    def settles(self) -> bool:
        """Whether the request is not to be sent again."""
        return self is not Conclusion.NOT_TAKEN


class Concluded(JsonRecord, frozen=True, kw_only=True):
    """Value of a DELIVERY_CONCLUDED record. `attempts`: how many there were, `redrive`: the last that sent it."""

    request: str
    how: Conclusion
    attempts: int
    redrive: str = ""
    message: str = ""


def decode_concluded(raw: bytes) -> Concluded:
    return decode_record(raw, Concluded)
