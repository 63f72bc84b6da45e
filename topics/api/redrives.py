"""Requests and documents of /api/redrives."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from topics.schema_base import CODE_MAX

ORDERS_MAX = 1_000
"""Order codes that one redrive may name. To choose more, name a destination and times."""


class RedriveAsked(BaseModel):
    """The choice of requests to send again, of those that were given up. A request has to fit every member that is
    given, and at least one has to be."""

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
    failure: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="an HTTP status, or a part of the error or the far side's message",
    )


class RedriveGroup(BaseModel):
    """Chosen requests with one destination and one reason."""

    destination: str
    reason: str
    count: int


class RedriveDocument(BaseModel):
    """The state of a redrive. `found` requests are to be sent. `left` cannot be sent, because their subscription is
    removed or disabled, or their caller no longer waits. `more`: there are more than one redrive sends; another one
    sends the rest. Of those `sent`, some were `delivered`, some are `deadAgain`, some were `notTaken` by delivery, and
    some are still `onTheirWay`."""

    id: str
    state: Literal["searching", "sending", "stopping", "done", "stopped", "failed", "refused"]
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
    """The last redrives of a gateway, the newest first."""

    redrives: list[RedriveDocument]
