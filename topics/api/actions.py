"""The two steps of an operator's action: its preview, and the action that takes the preview's token."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from topics.records.models import REASON_CHARS_MAX

TOKEN_CHARS_MAX = 1 << 20
"""Longest token: it carries what was asked, which may name a thousand orders with codes of the largest length."""
SAMPLES_MAX = 10
"""Samples of a preview: enough to see whether what is meant is chosen."""


class Act(BaseModel):
    """The second step: carries out what a preview showed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    token: str = Field(min_length=1, max_length=TOKEN_CHARS_MAX, description="of the preview; it is taken once")
    reason: str = Field(
        min_length=1, max_length=REASON_CHARS_MAX, pattern=r"\S", description="why; the fact of the action says it"
    )


class PreviewGroup(BaseModel):
    """Things that an action is about, by what they have in common."""

    name: str
    count: int


class PreviewSample(BaseModel):
    """One of the things that an action is about. Members that it does not have are null."""

    id: str | None = None
    code: str | None = None
    channel: str | None = None
    destination: str | None = None
    touchpoint: str | None = None
    what: str = Field(default="", description="what is known of it, as its refusal or its state")


class PreviewDocument(BaseModel):
    """The first step: what an action would do. Nothing is done, and nothing is stored. `left`: things that fit and
    cannot be acted on. `more`: there are more than one action takes. `token` is null where there is nothing to do; else
    it is taken once, from the same operator, until `untilMs`, at any gateway with the same secret key."""

    action: str
    count: int
    groups: list[PreviewGroup]
    samples: list[PreviewSample] = Field(max_length=SAMPLES_MAX)
    left: int = 0
    more: bool = False
    farSide: str = Field(description="what the far side will see")
    before: dict[str, Any] = Field(description="the state now, of an action about one thing")
    after: dict[str, Any] = Field(description="the state that it asks for")
    token: str | None
    untilMs: int | None


class PauseAsked(BaseModel):
    """The end of a pause. Without one it lasts until an operator resumes the destination."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    untilMs: int | None = Field(default=None, ge=0, description="when it ends by itself, epoch milliseconds")


class PauseShown(BaseModel):
    """A pause of a destination."""

    sinceMs: int
    untilMs: int | None
    by: str
    reason: str


class DestinationControlDocument(BaseModel):
    """The state of a destination as operators asked for it. Every delivery worker follows it within a second."""

    destination: str
    state: Literal["paused", "open"]
    pause: PauseShown | None
