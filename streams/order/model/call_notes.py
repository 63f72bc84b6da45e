"""Notes of calls that were refused, for the history of their order or return."""

from __future__ import annotations

from streams.order.model.decision import Ruling
from streams.order.model.effects import Effect, NoteRefusal
from topics.contract.definition import Touchpoint
from topics.records.verdicts import Address


def refusal_of(event: str, reply_to: Address | None, touchpoint: Touchpoint | None, ruling: Ruling) -> list[Effect]:
    """The note of a call that was refused; none if it was taken, is kept for later, or is no call."""
    verdict = ruling.verdict
    if touchpoint is None or verdict is None or verdict.succeeded or ruling.kept:
        return []
    return [NoteRefusal(touchpoint.name, event, reply_to, verdict, ruling.message, ruling.status)]
