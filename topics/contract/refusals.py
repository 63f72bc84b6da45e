"""The status and code with which a call over HTTP is answered when its verdict is no success (contract 0.3)."""

from __future__ import annotations

from topics.contract.definition import Direction, Entity, Touchpoint
from topics.records.verdicts import Verdict

REFUSED = "REFUSED"
UNAVAILABLE = 503


def answered_as(touchpoint: Touchpoint, verdict: Verdict, far_status: int | None = None) -> tuple[int, str]:
    """The status and the code of a verdict. `far_status`: of the far side's answer, for a relay."""
    if verdict is Verdict.CONFLICT:
        return 400, "CONFLICT"
    if verdict is Verdict.EARLY:
        what = {Entity.ORDER: "ORDER", Entity.RETURN: "RETURN"}.get(touchpoint.entity, "MANIFEST")
        return 400 if touchpoint.direction is Direction.TO_INCREFF else 404, f"{what}_UNKNOWN"
    if verdict is Verdict.FAILED:
        return UNAVAILABLE, "FAR_SIDE_UNAVAILABLE"
    return far_refusal_status(far_status) or 400, REFUSED


def far_refusal_status(status: int | None) -> int | None:
    """The far side's status, if it is one with which it refuses a call."""
    return status if status is not None and 400 <= status < 500 else None
