"""The orders role's reply to a caller: a verdict with its reason. Travels on `replies`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from topics.records.json_record import JsonRecord, decode_record
from topics.values import quick_members

Address = int | str
"""The address of a reply: the partition of `replies` on which a gateway waits, or a reply topic (`replies.NAME`)."""


@quick_members
class Verdict(StrEnum):
    APPLIED = "APPLIED"
    """The event changed the order (or, for a relay, the far side took it)."""
    DUPLICATE = "DUPLICATE"
    """A repeat of an event that was applied already: the same answer as the first time."""
    CONFLICT = "CONFLICT"
    """A changed payload under an identity that exists (contract 0.3: Increff would drop it silently)."""
    EARLY = "EARLY"
    """It came before what it depends on (an acknowledgement of an unknown order, a handover before its pack)."""
    REFUSED = "REFUSED"
    """Not possible in the order's state, or the far side refused it; `message` says why."""
    FAILED = "FAILED"
    """The far side gave no usable answer within the deadline; a repeat is safe."""
    ANSWERED = "ANSWERED"
    """A query's answer, in `body`."""

    @property
    def succeeded(self) -> bool:
        return self in _SUCCESSES


_SUCCESSES = frozenset({Verdict.APPLIED, Verdict.DUPLICATE, Verdict.ANSWERED})


class Reply(JsonRecord, frozen=True, kw_only=True):
    """`event` is the ce_id of the command answered. `status` and `body` are the far side's, for a relay."""

    event: str
    verdict: Verdict
    message: str = ""
    status: int | None = None
    body: Any = None


def decode_reply(raw: bytes) -> Reply:
    return decode_record(raw, Reply)
