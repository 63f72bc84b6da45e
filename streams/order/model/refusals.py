"""How long the refusal of a Create is remembered: a channel's policy, counted in the time of records."""

from __future__ import annotations

from typing import Any

from streams.order.model.decision import Decision, Ruling, refused
from topics.records.envelope import iso_time


def remembered_refusal(decision: Decision[Any], why: str, refused_ms: int) -> Ruling | None:
    """The ruling on a repeat of a call that Increff refused at `refused_ms`; None when it asks Increff again."""
    after_ms = decision.event.policy.resubmit_ms
    if after_ms is None:
        return refused(why)
    again_ms = refused_ms + after_ms
    if decision.now_ms >= again_ms:
        return None
    return refused(f"{why}; a repeat from {iso_time(again_ms)} on asks Increff again")
