"""Facts of operators' actions on `operators.events`.

They have the operator's own words (`reason`), and else what facts have: codes, counts, places and times.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from topics.records.facts.base import EpochMs, Part, known

LANE_ACTIONS = ("retry-delivery", "skip-delivery")
STOCK_ACTIONS = ("pause-stock", "resume-stock", "resync-stock", "reconcile-stock")
DESTINATION_ACTIONS = ("pause-destination", "resume-destination")
ACTIONS = (
    "redrive",
    "resubmit",
    "resubmit-many",
    "skip-record",
    *LANE_ACTIONS,
    *DESTINATION_ACTIONS,
    *STOCK_ACTIONS,
)
"""The actions of today."""
OUTCOMES = ("done", "failed", "stopped", "refused")
"""The ends of an action. `refused`: nothing of it was done; `failed`, `stopped`: a part of it may have been."""


class OperatorFact(Part):
    """A fact of an operator's action, on `operators.events`. Both facts of an action have its id as their key."""

    id: str = Field(description="The id of the action")
    action: Annotated[str, known(ACTIONS)]
    by: str = Field(description="The operator: the name of the token, or of the login")
    atMs: EpochMs = Field(description="When it was written, epoch milliseconds")


class ActionBegun(OperatorFact):
    """An operator acts. It is written before anything of the action takes effect; of several with one id the first
    counts, and only that one is carried out."""

    reason: str = Field(description="Why, in the operator's words")
    target: str = Field(description="The subject: a destination, a delivery, channel|location, a record; empty: many")
    channel: str = Field(description="The channel; empty: none, or several")
    orderKey: str = Field(description="The order, return or manifest, as the key of its facts; empty: none, or several")
    shown: int = Field(ge=0, description="How many the preview showed; 0: it is about one thing")
    before: dict[str, Any] = Field(description="The state before, as far as it is known")
    after: dict[str, Any] = Field(description="The state that is asked for; of many, what chooses them")


class ActionEnded(OperatorFact):
    """The end of an action. Without one it is not known how far the action came: its gateway died, say."""

    outcome: Annotated[str, known(OUTCOMES)]
    message: str = Field(description="Why it did not come to its end; empty: it did")
    after: dict[str, Any] = Field(description="The state after it, or the counts of what came of many")
