"""The twelve causes for which an order waits, and which of them counts when several hold.

A request waits for one cause, an order for that of its waits which comes first in PRECEDENCE. First is what makes all
else uncertain, then what only a person ends, then what holds up requests, then what the other sides owe.
"""

from __future__ import annotations

from typing import Final, Protocol

from topics.values import Value


class Cause(Value, frozen=True):
    """`name`: in the API. `meaning`: in the documents. `ends`: what ends it."""

    number: int
    name: str
    meaning: str
    ends: str


ROLE_BEHIND = Cause(
    1,
    "role-behind",
    "The orders role is behind: commands are stored and not decided, so what is told of the order may be old.",
    "The orders role catches up.",
)
EARLY = Cause(
    2,
    "early",
    "Something came before what it depends on: an acknowledgement before the Create, a handover before its Pack, a "
    "return before its order.",
    "What is missing comes; after a time that the channel sets, the early event expires.",
)
ON_HOLD = Cause(3, "on-hold", "The marketplace has put the order on hold.", "The marketplace releases it.")
BEHIND_REQUEST = Cause(
    4,
    "behind-request",
    "A request waits behind an earlier one of its lane: the requests of an order to a destination leave in sequence.",
    "What holds up the first of the lane ends.",
)
BUDGET = Cause(
    5,
    "budget",
    "A request is ready, and others of its destination have their turn before it.",
    "Its turn comes.",
)
QUIET = Cause(
    6,
    "quiet",
    "The far side asked for quiet (Retry-After, or a spent limit): nothing is sent to it.",
    "The time that it named is over.",
)
DOWN = Cause(
    7,
    "down",
    "The destination is down: its breaker is open, and one request at a time probes it.",
    "A probe is answered.",
)
BACK_OFF = Cause(
    8, "back-off", "An attempt failed, and the pause before the next one is not over.", "The pause is over."
)
GIVEN_UP = Cause(
    9,
    "given-up",
    "A request was given up after all its attempts. It holds its lane, or the lane went on without it.",
    "An operator sends it again or skips it.",
)
REFUSED = Cause(
    10,
    "refused",
    "The far side refused a request. Its words are told.",
    "The call comes again with corrected data, or an operator sends it again.",
)
FAR_SIDE = Cause(
    11,
    "far-side",
    "The far side has its turn: to take, acknowledge, pack or hand over the order.",
    "The far side does so.",
)
PAUSED = Cause(12, "paused", "An operator paused the destination.", "An operator resumes it, or the pause ends.")

CAUSES: Final = (
    ROLE_BEHIND,
    EARLY,
    ON_HOLD,
    BEHIND_REQUEST,
    BUDGET,
    QUIET,
    DOWN,
    BACK_OFF,
    GIVEN_UP,
    REFUSED,
    FAR_SIDE,
    PAUSED,
)
PRECEDENCE: Final = (
    ROLE_BEHIND,
    GIVEN_UP,
    PAUSED,
    REFUSED,
    QUIET,
    DOWN,
    BACK_OFF,
    BUDGET,
    BEHIND_REQUEST,
    EARLY,
    ON_HOLD,
    FAR_SIDE,
)
"""The causes by rank: of several the first counts."""
RANK: Final = {cause.name: rank for rank, cause in enumerate(PRECEDENCE)}


class Proof(Value, frozen=True, kw_only=True):
    """The record that shows a cause. `topic`: its name in the catalogue; `what`: it is."""

    topic: str
    partition: int
    offset: int
    what: str


class Recorded(Protocol):
    """A row that knows the record it was made from."""

    @property
    def partition(self) -> int: ...

    @property
    def record_offset(self) -> int: ...


def proof_of(topic: str, row: Recorded, what: str) -> Proof:
    return Proof(topic=topic, partition=row.partition, offset=row.record_offset, what=what)


class Action(Value, frozen=True, kw_only=True):
    """Something that an operator may do. `name`: of the action; `does`: its effect; `command`: of the command line,
    empty where it is no command's."""

    name: str
    does: str
    command: str = ""


class Wait(Value, frozen=True, kw_only=True):
    """A wait and its cause. `until_ms`: when it ends or is looked at next, None: nobody knows. `request_id`,
    `destination`: of the request that waits, empty: none does. `place`: of cause `budget`, from 1."""

    cause: str
    sentence: str
    since_ms: int
    until_ms: int | None
    proof: Proof
    actions: tuple[Action, ...]
    request_id: str = ""
    destination: str = ""
    touchpoint: str = ""
    place: int | None = None
    is_late: bool = False
    """Past the time that the channel allows for this."""
