"""Requests and documents of resubmissions: refused deliveries that an operator has decided anew and sent again."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from topics.api.redrives import ORDERS_MAX
from topics.schema_base import CODE_MAX

Outcome = Literal["sent", "would be sent", "sent before", "not possible", "late"]
"""Outcomes of a delivery: in a preview `would be sent` where the action says `sent`."""


class RefusedOfOrder(BaseModel):
    """The choice of refused deliveries of one order or return."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    touchpoint: str | None = Field(
        default=None, min_length=1, max_length=CODE_MAX, description="only deliveries of this call"
    )
    deliveries: tuple[str, ...] = Field(default=(), max_length=50, description="only these, by id; empty: all")


class RefusedOfMany(BaseModel):
    """The choice of refused deliveries of many orders and returns. A delivery has to fit every member that is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    channel: str = Field(max_length=CODE_MAX)
    orders: tuple[str, ...] = Field(
        default=(), max_length=ORDERS_MAX, description="codes of orders or returns; empty: any"
    )
    touchpoint: str | None = Field(
        default=None, min_length=1, max_length=CODE_MAX, description="only deliveries of this call"
    )
    refusal: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="an HTTP status, or a part of the far side's message",
    )
    since: datetime | None = Field(default=None, description="refused at this time or later")
    until: datetime | None = Field(default=None, description="refused before this time")


class ResubmittedDocument(BaseModel):
    """One refused delivery. `outcome`: `sent before` (another one has taken its place), `not possible` (`message` says
    why), `late` (there was no verdict in time; a repeat is safe). `newId`: the delivery that takes its place. `state`:
    what became of that, with `wait`; `message` says why it was not delivered."""

    code: str
    id: str
    touchpoint: str
    destination: str
    refusedAtMs: int | None
    refusal: str
    outcome: Outcome
    message: str = ""
    newId: str | None = None
    state: str | None = None


class OrderResubmission(BaseModel):
    """The outcomes of the refused deliveries of one order or return."""

    code: str
    channel: str
    deliveries: list[ResubmittedDocument]


class RefusedGroup(BaseModel):
    """Chosen deliveries of one call that were refused for one reason. `codes`: some of their orders or returns."""

    touchpoint: str
    refusal: str
    count: int
    codes: list[str] = Field(default_factory=list)


class ResubmissionDocument(BaseModel):
    """The state of a resubmission of many. `found` deliveries fit; `possible` of them were sent. The
    others were `sentBefore`, are `notPossible` (`examples` say why) or `late`. Of those sent, some were `delivered`,
    some `refusedAgain`, some are still `onTheirWay`. `more`: there are more than one resubmission sends."""

    id: str
    state: Literal["searching", "sending", "stopping", "done", "stopped", "failed", "refused"]
    asked: RefusedOfMany
    createdMs: int
    found: int
    more: bool
    groups: list[RefusedGroup]
    possible: int
    sentBefore: int
    notPossible: int
    late: int
    delivered: int
    refusedAgain: int
    onTheirWay: int
    examples: list[ResubmittedDocument]
    message: str


class ResubmissionList(BaseModel):
    """The last resubmissions of a gateway, the newest first."""

    resubmissions: list[ResubmissionDocument]
