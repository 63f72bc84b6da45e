"""The orders role's answer to a caller: a verdict, and what the caller must be told. Travels on `replies`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import orjson

from topics.values import named_value

Address = int | str
"""Where a verdict goes: the partition of `replies` on which a gateway waits, or a reply topic (`replies.NAME`)."""


class Verdict(StrEnum):
    APPLIED = "APPLIED"
    """The event changed the order (or, for a relay, the far side took it)."""
    DUPLICATE = "DUPLICATE"
    """A caller's repeat of what is already true: the same answer as the first time."""
    CONFLICT = "CONFLICT"
    """A changed payload under an identity that exists (contract 0.3: Increff would drop it silently)."""
    EARLY = "EARLY"
    """Its forerunner is missing (an acknowledgement of an unknown order, a handover before its pack)."""
    REFUSED = "REFUSED"
    """Not possible in the order's state, or the far side refused it; `message` is what the caller sees."""
    FAILED = "FAILED"
    """The far side gave no usable answer within the deadline; a repeat is safe."""
    ANSWERED = "ANSWERED"
    """A query's answer, in `body`."""

    @property
    def succeeded(self) -> bool:
        return self in (Verdict.APPLIED, Verdict.DUPLICATE, Verdict.ANSWERED)


@named_value
class Reply:
    """`event` is the ce_id of the command answered. `status` and `body` are the far side's, for a relay."""

    event: str
    verdict: Verdict
    message: str = ""
    status: int | None = None
    body: Any = None

    def encode(self) -> bytes:
        return orjson.dumps(
            {
                "event": self.event,
                "verdict": self.verdict,
                "message": self.message,
                "status": self.status,
                "body": self.body,
            }
        )


def decode_reply(raw: bytes) -> Reply:
    data = orjson.loads(raw)
    return Reply(
        event=data["event"],
        verdict=Verdict(data["verdict"]),
        message=data["message"],
        status=data["status"],
        body=data["body"],
    )
