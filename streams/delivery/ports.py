"""Ports between the parts of the delivery role, so that each part is tested alone.

The stock sender (streams/delivery/stock/sender.py) uses `Caller` and implements `Stock`. It opens no connection itself:
the gate, budget and concurrency of a destination have one owner, its dispatcher, and every request goes through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

from msgspec import field

from streams.runtime.role import Committer, Tables
from topics.configuration.channels import FarSide
from topics.contract.definition import Priority, Touchpoint
from topics.records.json_text import JsonTextError, read, write
from topics.records.shape import NESTING_MAX, has_too_many_values, is_too_deep
from topics.values import Value, quick_members

READ_BACK = "stock-read-back"
"""Name of the call that asks a channel what stock it has; it is made over HTTP, whatever the channel's far side is."""
RESPONSE_BYTES_MAX = 4 << 20
"""Largest answer: a label or an invoice as base64 fits, and so does the record that carries it back."""
READ_VALUES_MAX = 1_000_000
"""Values of a request's body whose members delivery needs. Whoever wrote it bounded them by a setting of its own; this
bounds what a foreign writer can make delivery hold."""
MESSAGE_CHARS_MAX = 500
"""Longest message of a far side that is passed on: it is shown to people, and stored with the order."""


@quick_members
class ResponseClass(StrEnum):
    """Meaning of an answer for its request; only streams/delivery/attempts/classify.py decides it."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """No usable answer, or one that a repeat may change. The repeat carries the same delivery id."""
    THROTTLED = "throttled"
    """The far side is overloaded: fewer requests at once, and with a Retry-After none to the whole destination."""
    REFUSED = "refused"
    """A repeat of the same request would not help."""
    GONE = "gone"
    """A subscriber's endpoint no longer exists (410): nothing is sent there again."""


class AnswerFault(StrEnum):
    """Why an answer with a 2xx is no success, although it does not refuse in the contract's word: see FAULTS."""

    NOT_JSON = "not-json"
    PAGE = "page"
    TEXT = "text"
    NO_OBJECT = "no-object"
    UNCLEAR = "unclear"
    FAILED = "failed"
    UNNAMED = "unnamed"
    UNFIT = "unfit"


FAULTS = {
    AnswerFault.NOT_JSON: "says by its Content-Type or first character that it is JSON, and cannot be read",
    AnswerFault.PAGE: "is HTML or XML: a login, a proxy's error, a wrong address",
    AnswerFault.TEXT: "is words that are neither JSON nor can only mean success",
    AnswerFault.NO_OBJECT: "is JSON, and no object",
    AnswerFault.UNCLEAR: "has a `hasError` that is neither true nor false",
    AnswerFault.FAILED: "says in other words than the contract's that the call failed",
    AnswerFault.UNNAMED: "has a list that is not empty and names nothing of what was sent",
    AnswerFault.UNFIT: "nests too deep, is too large or has too many values for what is needed of it",
}
"""Faults of answers in words, for people who read the docs or why an attempt failed."""


class Answer(Value, frozen=True, kw_only=True):
    """An answer before it is classified. `status` None: there was no answer, and `error` says why.

    With a status, `error` means that the answer's body did not arrive whole. `unsendable`: the request cannot be sent
    as it is, now or later, and `error` says why. `far_side`: the kind of far side that answered.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    unsendable: bool = False
    far_side: FarSide = FarSide.HTTP


class AttemptResult(Value, frozen=True, kw_only=True):
    """One attempt, classified. `at_ms`: when it was sent (epoch milliseconds). `not_before_ms`: the end of the far
    side's Retry-After, None without one. `body`: the decoded JSON object of the answer, else None."""

    kind: ResponseClass
    at_ms: int
    took_ms: float
    status: int | None = None
    body: dict[str, Any] | None = None
    message: str = ""
    error: str = ""
    not_before_ms: int | None = None
    spent_until_ms: int | None = None
    """Until when, by the far side's headers, nothing is left of one of its limits, whatever this answer was."""
    far_side: FarSide = FarSide.HTTP
    fault: AnswerFault | None = None
    taken_before: bool = False
    """The far side refused, because it had carried out an earlier attempt."""
    traceparent: str = ""
    """The span of the attempt, or what caused it, where that is not recorded; empty without a trace."""


class Clock(Protocol):
    """Time as an argument, so that schedules and budgets are tested without waiting."""

    def now_ms(self) -> int:
        """Epoch milliseconds; never goes back in one process."""

    async def wait(self, event: asyncio.Event, until_ms: float | None) -> None:
        """Return when `event` is set or at `until_ms`, whichever is first; None waits for the event alone."""


class Call(Value, frozen=True, kw_only=True):
    """One request as a sender needs it. `members`: of the touchpoint, path and query members included; of a request in
    a lane they are in `body`, as JSON that most senders pass on as it is. `entity`: the order, return or manifest it
    belongs to, as the key on `orders.commands`; empty for stock.

    `sequence` counts the requests of an order to this destination (a fact's is the order's own), `previous_sequence` is
    that of the one before. `watermark`: the sequence up to which a subscriber acknowledged everything. 0: not known.
    All three are the same in every attempt of a request."""

    touchpoint: Touchpoint
    destination: str
    channel: str
    members: dict[str, Any] | None = None
    body: bytes | memoryview | None = None
    entity: str = ""
    subject: str = ""
    """Code of that order, return or manifest."""
    delivery_id: str = ""
    attempt: int = 1
    sequence: int = 0
    previous_sequence: int = 0
    watermark: int = 0
    redrive: str = ""
    """The redrive that sends it; empty without one."""
    timeout_s: float | None = None
    """None: the destination's own."""
    traceparent: str = ""
    """The decision that wants it, and for a sender the span of the attempt; empty without a trace."""

    def text(self) -> bytes | memoryview:
        """The members as JSON; a view does not copy a large body."""
        return write(self.members or {}) if self.body is None else self.body

    def read_members(self) -> dict[str, Any]:
        """The members; those of `body` are decoded anew each time. Raises UnreadableBodyError."""
        if self.body is None:
            return self.members or {}
        raw = bytes(self.body)
        if has_too_many_values(raw, READ_VALUES_MAX):
            raise UnreadableBodyError(f"the request's body may have at most {READ_VALUES_MAX} values")
        try:
            members: dict[str, Any] = read(raw)
        except JsonTextError as error:
            raise UnreadableBodyError(f"the request's body: {error}") from error
        if is_too_deep(raw, members):
            raise UnreadableBodyError(f"the request's body may nest at most {NESTING_MAX} levels deep")
        return members


class UnreadableBodyError(ValueError):
    """The members of a request cannot be read. Only a foreign writer makes such a request: bodies are checked when they
    come in, and a request is accepted by the text of its body."""


class Withheld(Exception):  # noqa: N818 - no failure of the request, which waits
    """Nothing was sent, and the far side is not at fault: a secret or an address cannot be used here. The message says
    what to mend."""


class Sender(Protocol):
    """Sends one request to its far side, once: over HTTP, over Kafka, or to Sluice's own rules.

    Failures of the far side or the network are Answers, not exceptions. Raises Withheld for a fact that cannot be sent
    from here.
    """

    async def start(self) -> None:
        return

    async def send(self, call: Call) -> Answer: ...

    async def reload(self) -> None:
        """Reads its credentials again, if it has any: SIGHUP came."""
        return

    async def stop(self) -> None:
        return

    def unready(self) -> str | None:
        """None when requests can be sent, else the reason why not, for /ready."""
        return None


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

        `weight` (0 to 1) lets more urgent calls of the same priority go first. With the priority BACKGROUND the turn
        comes in idle budget only. Raises PartitionLost when the partition leaves this worker before the turn comes.
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
    """The stock sender, as the delivery role sees it. Its hooks are called as the runtime calls those of a role."""

    async def start(self, committer: Committer, clock: Clock) -> None: ...

    def on_assigned(self, partition: int, tables: Tables, callers: Mapping[tuple[str, int], Caller]) -> None:
        """`callers`: every (destination, shard) that lives in this partition. `tables` has inventory.sent."""

    def on_revoked(self, partition: int) -> None: ...

    async def stop(self) -> None: ...

    def ready(self) -> str | None: ...
