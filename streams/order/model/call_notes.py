"""Notes of calls that were refused, for the history of their order or return."""

from __future__ import annotations

from collections.abc import Sequence

from streams.order.model.decision import Ruling
from streams.order.model.effects import Effect, NoteRefusal
from topics.contract.definition import Touchpoint
from topics.records.verdicts import Address, Verdict

_NO_REFUSAL = (None, Verdict.APPLIED, Verdict.DUPLICATE, Verdict.ANSWERED)
"""Verdicts of nearly all events: found by identity, at once."""


def refusal_of(event: str, reply_to: Address | None, touchpoint: Touchpoint | None, ruling: Ruling) -> Sequence[Effect]:
    """The note of a call that was refused; none if it was taken, is kept for later, or is no call."""
    verdict = ruling.verdict
    if verdict in _NO_REFUSAL or touchpoint is None or ruling.kept:
        return ()
    return [NoteRefusal(touchpoint.name, event, reply_to, verdict, ruling.message, ruling.status)]
