"""The members that all facts have, and the types of members.

A fact reports what happened, after it was decided. It carries codes, quantities, places and times; never names,
addresses, texts of a customer, or a far side's message, which may quote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

KNOWN_VALUES = "x-known-values"
"""Lists the values of today. Such a member is a string, no enum: a reader must not fail on a value that is added."""


def known(values: Sequence[str]) -> Any:
    """Lists the values of today in the schema."""
    return Field(json_schema_extra={KNOWN_VALUES: list(values)})


Quantity = Annotated[int, Field(ge=0)]
EpochMs = Annotated[int, Field(ge=0, description="Milliseconds since 1970-01-01 UTC")]
DurationMs = Annotated[int, Field(description="Milliseconds; below 0 only where a producer's clock went back")]
Status = Annotated[int | None, Field(description="HTTP status of the far side's answer; null: there was none")]


class Part(BaseModel):
    """A fact or a part of one. Readers ignore members that they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Fact(Part):
    """The members of every fact."""

    sequence: int = Field(ge=1, description="Counts the facts of one key, from 1, without a gap")
    channel: str = Field(description="The channel of the order, return or manifest")
    atMs: EpochMs = Field(description="When it was decided: the time of the record that caused it, epoch milliseconds")
    sinceCreatedMs: DurationMs = Field(description="Milliseconds since the first event of the order, return, manifest")
