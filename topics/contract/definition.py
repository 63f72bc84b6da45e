"""The definition of a touchpoint: one call of the contract, with the rules that everything else derives from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from topics.schema_base import Body
from topics.values import quick_members


@quick_members
class Direction(StrEnum):
    TO_INCREFF = "marketplace to Increff"
    TO_MARKETPLACE = "Increff to marketplace"


@quick_members
class Mode(StrEnum):
    ACCEPT = "accept"
    """Made durable, answered with the verdict of the order's own state, delivered later."""
    RELAY = "relay"
    """Passed on: the caller gets the far side's answer within the relay deadline."""
    ANSWER = "answer"
    """Answered from Sluice's own state."""


@quick_members
class Entity(StrEnum):
    ORDER = "order"
    RETURN = "return"
    MANIFEST = "manifest"
    STOCK = "stock"
    NONE = "none"


@quick_members
class Repeat(StrEnum):
    CONFLICT_IF_CHANGED = "changed payload: conflict; unchanged: the recorded verdict"
    LAST_VALUE = "last value wins; equal to the present value: duplicate"
    ABSOLUTE = "quantities are absolute totals; nothing new: duplicate"
    RECORDED_ANSWER = "the recorded answer, once there was a successful one; joins one in flight"
    ONCE = "success again, not sent again"
    CUMULATIVE = "items add up; nothing new: duplicate"
    NONE = "every call is answered afresh"


@quick_members
class AtDeadline(StrEnum):
    """The fate of a relay's request when its caller's deadline passes."""

    WITHDRAW = "withdrawn if not sent yet: the caller will ask again"
    CONTINUE = "goes on: a repeat learns the outcome"


@quick_members
class WhenDead(StrEnum):
    """The effect on the lane when a request is given up."""

    SKIP = "the lane goes on without it"
    HOLD = "the lane waits until an operator decides"
    SUPERSEDE = "the newest request of the lane takes the place of those before it"


class Priority(IntEnum):
    """Ranks of requests within one budget; lower goes first."""

    CANCEL = 0
    HOLD = 1
    """A property update that puts an order on hold or releases it: goods wait for the release, and must not leave
    before the hold. No touchpoint has this class: the orders role says it of a request."""
    CREATE = 2
    UPDATE = 3
    RETURN = 4
    STOCK = 5
    BACKGROUND = 6
    """Leaves room for all others: redrives, and searches for data that Sluice does not hold. Its share is in
    streams/delivery/admission/background_share.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touchpoint:
    """One call of the contract.

    `path` is below the caller's prefix at Sluice, `far_path` below the far side's base URL (a channel may configure
    another). `former_paths`: other paths of earlier versions, which Sluice still takes. Members named in `path_members`
    travel in the path, all members of a `query` touchpoint in the query string; on a topic they are members of the JSON
    value like any other. `idempotency` names the members that make the natural key. `split` names the list whose items
    become one record per order. `refusable`: without a verdict in time the caller gets 503; a call that is not
    refusable gets success, because it is stored already. `beside_lane`: it does not queue with the order's other
    requests. `early`: for the docs, the answer before what it depends on.
    """

    name: str
    title: str
    section: int | str
    direction: Direction
    method: str
    path: str
    far_path: str
    request: type[Body]
    response: type[Body] | None = None
    entity: Entity
    mode: Mode
    repeat: Repeat
    idempotency: tuple[str, ...] = ()
    priority: Priority = Priority.UPDATE
    split: str | None = None
    beside_lane: bool = False
    at_deadline: AtDeadline = AtDeadline.CONTINUE
    when_dead: WhenDead = WhenDead.SKIP
    refusable: bool = True
    optional: bool = True
    off_by_default: bool = False
    query: bool = False
    path_members: tuple[str, ...] = ()
    former_paths: tuple[str, ...] = ()
    early: str = ""

    @property
    def far_side(self) -> str:
        """The side that gets the call: `increff` or `marketplace`."""
        return "increff" if self.direction is Direction.TO_INCREFF else "marketplace"

    @property
    def wants_answer(self) -> bool:
        """Whether its caller gets the far side's answer."""
        return self.mode is Mode.RELAY or (self.mode is Mode.ANSWER and self.direction is Direction.TO_INCREFF)

    def carried_body(self, members: dict[str, Any], in_path: Collection[str] | None = None) -> dict[str, Any] | None:
        """The members that travel in the HTTP body; None where the call has no body. `in_path`: those that travel in
        the path, if that is another than the contract's."""
        if self.query:
            return None
        in_path = self.path_members if in_path is None else in_path
        return {name: value for name, value in members.items() if name not in in_path}
