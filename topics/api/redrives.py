"""What /api/redrives is asked and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from topics.schema_base import CODE_MAX

ORDERS_MAX = 1_000
"""Order codes that one redrive names; more are named by destination and time."""


class RedriveAsked(BaseModel):
    """Which requests that were given up are sent again. Everything named has to hold; nothing named: all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    orders: tuple[str, ...] = Field(
        default=(), max_length=ORDERS_MAX, description="codes of orders, returns or manifests; empty: any"
    )
    channel: str | None = Field(default=None, max_length=CODE_MAX)
    destination: str | None = Field(
        default=None, max_length=CODE_MAX, description="`increff`, `channel:NAME` or `subscription:ID`"
    )
    since: datetime | None = Field(default=None, description="given up at this time or later")
    until: datetime | None = Field(default=None, description="given up before this time")
    reason: str | None = Field(
        default=None, max_length=200, description="an HTTP status, or a part of the error or of the far side's message"
    )
    dryRun: bool = Field(default=True, description="true: only count, and send nothing")


class RedriveGroup(BaseModel):
    """Requests that were given up, by where they go and why."""

    destination: str
    reason: str
    count: int


class RedriveDocument(BaseModel):
    """How a redrive fares. `found` requests are to be sent, `left` cannot be: their subscription is gone or disabled,
    or their caller no longer waits. `more`: there are more than one redrive takes; another one takes the rest. Of those
    `sent`, so many were `delivered`, are `deadAgain`, were `notTaken` in, or are still `onTheirWay`."""

    id: str
    state: Literal["searching", "sending", "stopping", "done", "stopped", "failed"]
    asked: RedriveAsked
    createdMs: int
    found: int
    left: int
    more: bool
    groups: list[RedriveGroup]
    sent: int
    delivered: int
    deadAgain: int
    notTaken: int
    onTheirWay: int
    message: str


class RedriveList(BaseModel):
    redrives: list[RedriveDocument]
