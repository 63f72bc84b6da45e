"""Refused calls: the note for the history of their order or return, and how long the refusal of a Create is remembered.

The latter is a channel's policy, counted in the time of records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streams.order.model.decision import Decision, Ruling, refused
from streams.order.model.effects import Effect, NoteRefusal
from topics.contract.definition import Touchpoint
from topics.records.envelope import iso_time
from topics.records.verdicts import Address, Verdict

_NO_REFUSAL = (None, Verdict.APPLIED, Verdict.DUPLICATE, Verdict.ANSWERED)
"""Verdicts of nearly all events: found by identity, at once."""


def refusal_of(event: str, reply_to: Address | None, touchpoint: Touchpoint | None, ruling: Ruling) -> Sequence[Effect]:
    """The note of a call that was refused; none if it was taken, is kept for later, or is no call."""
    verdict = ruling.verdict
    if verdict in _NO_REFUSAL or touchpoint is None or ruling.kept:
        return ()
    return [NoteRefusal(touchpoint.name, event, reply_to, verdict, ruling.message, ruling.status)]


def remembered_refusal(decision: Decision[Any], why: str, refused_ms: int) -> Ruling | None:
    """The ruling on a repeat of a call that Increff refused at `refused_ms`; None when it asks Increff again."""
    after_ms = decision.event.policy.resubmit_ms
    if after_ms is None:
        return refused(why)
    again_ms = refused_ms + after_ms
    if decision.now_ms >= again_ms:
        return None
    return refused(f"{why}; a repeat from {iso_time(again_ms)} on asks Increff again")
