"""Records between roles that no touchpoint has a model for: AsyncAPI shows them, the orders role checks its own."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from topics.records.envelope import ID_CHARS_MAX, INTEGER_MAX
from topics.schema_base import TEXT_MAX, Body, Code

REASON_CHARS_MAX = 500
"""Characters of an operator's reason: a sentence for those who read the order's history."""

REFUSED_ALIKE_MAX = 1 << 53
"""Most refused calls that one record counts: beyond it JSON readers lose digits."""


class ShipmentManifestedTold(Body):
    """From a manifest to each of its orders."""

    orderCode: Code
    shipmentCode: str
    awbNumber: str
    manifestCode: str | None
    manifestId: str
    transporter: str


class ReturnClaimed(Body):
    """From a return to its forward order. `held` and `wanted`: units by SKU; `version` counts the return's messages."""

    orderCode: Code
    returnOrderCode: Code
    version: int
    asked: bool
    held: dict[str, int]
    wanted: dict[str, int]


class ReturnDecided(Body):
    """The forward order's answer to the claim with this `version`. `reason`: why it is not admitted."""

    returnOrderCode: Code
    orderCode: Code
    version: int
    admitted: bool
    reason: str
    forwardKnown: bool


class ResubmitAsked(Body):
    """An operator has the refused request with this id sent again. One of `orderCode`, `returnOrderCode` and
    `manifestId` names what it is of. `body`: its members; `saidMs`: when it was first made, epoch milliseconds; `by`,
    `address` and `reason`: the operator, from where, and why; `dryRun`: only answer whether it would be sent."""

    orderCode: Code | None = None
    returnOrderCode: Code | None = None
    manifestId: Code | None = None
    request: str = Field(min_length=1, max_length=ID_CHARS_MAX)
    touchpoint: str
    body: dict[str, Any]
    saidMs: int = Field(ge=0)
    by: str = Field(max_length=TEXT_MAX)
    address: str = Field(max_length=TEXT_MAX)
    reason: str = Field(min_length=1, max_length=REASON_CHARS_MAX)
    dryRun: bool = False


class CallRefused(Body):
    """Calls that were refused before they became commands of their order or return (`subject`): `count` of them, alike,
    from the first to the last. `status` null: no call over HTTP; `reason`: as it was answered, without a value of a
    body; `eventId`: the last one's, as in the access log; `source`: the gateway, or the producer by its `ce_source`;
    `address`: the last caller's, empty if not known."""

    touchpoint: str
    subject: Code
    status: int | None = Field(ge=100, le=599)
    code: str
    reason: str
    count: int = Field(ge=1, le=REFUSED_ALIKE_MAX)
    firstAtMs: int = Field(ge=0, le=INTEGER_MAX)
    lastAtMs: int = Field(ge=0, le=INTEGER_MAX)
    eventId: str
    source: str
    address: str


class Ticked(Body):
    """Time has passed: entities that are due until `untilMs` (epoch milliseconds) are decided. With `untilKey`, those
    due at that very time only up to this key."""

    untilMs: int
    untilKey: str | None = None


class OrderAsked(Body):
    """The order or return that a query is about; the record's key names it as well."""

    orderCode: Code | None = None
    returnOrderCode: Code | None = None


class AttemptRecord(Body):
    """One attempt. `at_ms` is when it was sent (epoch milliseconds), `took_ms` how long; `status` null: no answer.

    A record of class `superseded` is no attempt: the request will not be sent, because one before it was given up and
    a newer one takes the place of both."""

    request: str
    touchpoint: str
    destination: str
    channel: str
    subject: str
    lane: str
    response_class: str = Field(alias="class", description="The meaning of the answer for the request")
    far_side: str
    story: int = Field(default=0, description="When the life of its order began, epoch milliseconds; 0: no order")
    sequence: int = Field(default=0, description="Its number among the order's requests to this destination; 0: none")
    previous_sequence: int = Field(default=0, description="That of the one before it; 0: none is known")
    number: int
    at_ms: int
    took_ms: float
    status: int | None
    error: str


class DeadRecord(Body):
    """A request that was given up: the whole request, its attempts and the far side's last words."""

    request: dict[str, Any]
    attempts: int
    first_ms: int
    last: dict[str, Any] | None
    message: str
    holds_lane: bool
    previous: int = 0
    watermark: int | None = None
