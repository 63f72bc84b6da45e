"""What the parts of the delivery role are to each other: small ports, so that each is tested alone.

The stock sender (streams/delivery/stock/sender.py) is built against `Caller` and `Stock`: it never opens a connection
itself, because a destination's gate, budget and concurrency have one owner, and every request to it goes
through that owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from streams.runtime.role import Committer, Tables
from topics.configuration.channels import FarSide
from topics.contract.definition import Priority, Touchpoint
from topics.values import named_value

READ_BACK = "stock-read-back"
"""Name of the call that asks a channel what stock it has; it is made over HTTP, whatever the channel's far side is."""
RESPONSE_BYTES_MAX = 4 << 20
"""Largest answer: a label or an invoice as base64 fits, and so does the record that carries it back."""
MESSAGE_CHARS_MAX = 500
"""As much of a far side's message as travels on: it is shown to people, and stored with the order."""


class ResponseClass(StrEnum):
    """What an answer means for the request (streams/delivery/attempts/classify.py decides it, and only there)."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """No usable answer, or one that a repeat may change. The repeat carries the same delivery id."""
    THROTTLED = "throttled"
    """The far side has too much to do: fewer requests at once, and with a Retry-After none to the whole destination."""
    REFUSED = "refused"
    """A repeat of the same request would not help."""
    GONE = "gone"
    """A subscriber's endpoint is no more (410): nothing is sent there again."""


@named_value
class Answer:
    """What came back, before it is judged. `status` None: no answer, and `error` says why.

    With a status, `error` means that the answer's body did not arrive whole. `unsendable`: the request cannot be sent
    as it is, now or later, and `error` says why. `far_side`: who was asked.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    unsendable: bool = False
    far_side: FarSide = FarSide.HTTP


@named_value
class AttemptResult:
    """One attempt, classified. `at_ms` is when it was sent (epoch milliseconds); `not_before_ms` is the end of a
    Retry-After the far side gave, None without one. `body` is the decoded JSON object of the answer, else None."""

    kind: ResponseClass
    at_ms: int
    took_ms: float
    status: int | None = None
    body: dict[str, Any] | None = None
    message: str = ""
    error: str = ""
    not_before_ms: int | None = None
    quiet_ms: int | None = None
    """Until when the far side says that nothing is left of a limit of its own, whatever this answer was."""
    far_side: FarSide = FarSide.HTTP


class Clock(Protocol):
    """Time as an argument, so that schedules and budgets are tested without waiting."""

    def now_ms(self) -> int:
        """Epoch milliseconds; never goes back in one process."""

    async def wait(self, event: asyncio.Event, until_ms: float | None) -> None:
        """Returns when `event` is set or at `until_ms`, whichever is first; None waits for the event alone."""


@named_value
class Call:
    """One request as a sender needs it. `members` are the touchpoint's, path and query members included. `entity` is
    whose request it is, as the key on `orders.commands`; stock is nobody's.

    `sequence` counts what an order has for this destination (a fact's is the order's own), `previous_sequence` is that
    of the one before; `watermark`: a subscriber acknowledged all that it was to get up to there. 0: not known. All
    three are the same in every attempt of a request."""

    touchpoint: Touchpoint
    destination: str
    channel: str
    members: dict[str, Any] | None
    entity: str = ""
    delivery_id: str = ""
    attempt: int = 1
    sequence: int = 0
    previous_sequence: int = 0
    watermark: int = 0
    redrive: str = ""
    """The redrive that sends it; empty: none does."""
    timeout_s: float | None = None
    """None: the destination's own."""


class Withheld(Exception):  # noqa: N818 - no failure of the request, which waits
    """Nothing was sent, and the far side is not at fault: what it takes to send is not here. Says what to mend."""


class Sender(Protocol):
    """Sends one request to its far side, once: over HTTP, over Kafka, or to Sluice's own rules.

    Never raises for what the far side or the network does: that is an Answer. Raises Withheld for a fact that cannot be
    sent from here.
    """

    async def start(self) -> None: ...

    async def send(self, call: Call) -> Answer: ...

    async def stop(self) -> None: ...

    def unready(self) -> str | None:
        """None when requests can be sent, else what keeps them, for /ready."""


class Recalled(Exception):  # noqa: N818 - no failure of the call
    """Nothing was sent: while the slot was held, the destination's gate closed or its breaker opened."""


class Slot(Protocol):
    """The right to send one call now: its turn has come, and its permits are taken."""

    async def send(self, members: dict[str, Any], delivery_id: str = "") -> AttemptResult:
        """Sends once and classifies the answer. A throttled answer has already closed the destination's gate when this
        returns, so the next slot simply comes later. Raises Recalled, and PartitionLost (of streams.runtime.role) when
        the partition leaves this worker first; the answer is then not known."""


class Caller(Protocol):
    """The dispatcher of one shard of one destination, as the stock sender sees it."""

    destination: str
    shard: int
    partition: int

    def slot(
        self, touchpoint: Touchpoint, channel: str, *, priority: Priority = Priority.STOCK, weight: float = 0.0
    ) -> AbstractAsyncContextManager[Slot]:
        """Is entered when this destination's gate, budget and concurrency grant a turn. Left without `send` it frees
        its permits. Choose inside what the call carries, when it is newest, and be quick: the slot counts against the
        destination's concurrency.

        `weight` (0 to 1) lets more urgent calls of the same priority go first. With the priority REDRIVE the turn comes
        in idle budget only. Raises PartitionLost when the partition leaves this worker before the turn comes.
        """

    async def call(
        self,
        touchpoint: Touchpoint,
        channel: str,
        members: dict[str, Any],
        *,
        priority: Priority = Priority.STOCK,
        weight: float = 0.0,
        delivery_id: str = "",
    ) -> AttemptResult:
        """Waits for a slot and sends these members in it."""


class Stock(Protocol):
    """The stock sender, as the delivery role sees it. Hooks come in the order in which the runtime calls the role's."""

    async def start(self, committer: Committer, clock: Clock) -> None: ...

    def on_assigned(self, partition: int, tables: Tables, callers: Mapping[tuple[str, int], Caller]) -> None:
        """`callers`: every (destination, shard) that lives in this partition. `tables` has inventory.sent."""

    def on_revoked(self, partition: int) -> None: ...

    async def stop(self) -> None: ...

    def ready(self) -> str | None: ...
