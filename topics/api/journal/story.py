"""Documents of the story of an order: what it is, what it waits for, where its time went (docs/story.md)."""

from __future__ import annotations

from pydantic import Field

from topics.contract.models.errors import Problem
from topics.schema_base import Body


class StoryProof(Body):
    """The record that shows something. `topic`: its name in the catalogue; `what`: it is."""

    topic: str
    partition: int
    offset: int
    what: str


class StoryAction(Body):
    """An action that an operator may take. `does`: its effect; `command`: of the command line, empty where none does
    it."""

    name: str
    does: str
    command: str


class StoryWait(Body):
    """A wait. `cause`: one of the twelve; `untilMs`: when it ends or is looked at next, null: nobody knows.
    `requestId`, `destination` and `touchpoint` name the request that waits; empty: none does. `place`: in the queue of
    a budget, from 1. `isLate`: past the time that the channel allows."""

    cause: str
    sentence: str
    sinceMs: int
    untilMs: int | None
    proof: StoryProof
    actions: list[StoryAction]
    requestId: str
    destination: str
    touchpoint: str
    place: int | None
    isLate: bool


class StoryLine(Body):
    code: str
    sku: str
    ordered: int
    open: int
    packed: int
    cancelled: int


class StoryShipment(Body):
    """`number`: Increff's; `code`: the marketplace's."""

    number: int | None
    code: str | None
    state: str
    location: str | None
    awb: str | None
    invoice: str | None
    sinceMs: int


class StoryRefusedCall(Body):
    """Calls that were refused alike. `status` null: a producer's record."""

    touchpoint: str
    status: int | None
    code: str
    reason: str
    calls: int
    firstMs: int
    lastMs: int
    eventId: str


class StorySpan(Body):
    """A stretch of time that belongs to one part of the account."""

    beginMs: int
    endMs: int
    part: str


class StoryAccount(Body):
    """`parts`: milliseconds by part, which add up to `wholeMs`; `spans`: the same in sequence, without a gap."""

    beginMs: int
    endMs: int
    wholeMs: int
    parts: dict[str, int]
    spans: list[StorySpan]


class StoryMoment(Body):
    """A moment of the order: `kind` is fact, attempt, given-up, refused-call or action."""

    atMs: int
    kind: str
    name: str
    text: str
    proof: StoryProof


class StoryDocument(Body):
    """The story of an order, return or manifest. `headline`: the story in a sentence or two. `wait`: what it waits for,
    null: for nothing; `waits`: all waits, the first of which is `wait`. `toldAtMs`: now; `journalBehindMs`: how far the
    journal was behind the topics then, so what came since is not told; null: not known. `ordersBehind`: commands of its
    partition that the orders role has not decided; null: not known."""

    key: str
    kind: str
    channel: str
    code: str
    state: str
    stateSinceMs: int
    receivedMs: int
    dueMs: int | None
    isOpen: bool
    onHold: bool
    location: str | None
    headline: str
    wait: StoryWait | None
    waits: list[StoryWait]
    lines: list[StoryLine]
    shipments: list[StoryShipment]
    refusedCalls: list[StoryRefusedCall]
    account: StoryAccount
    moments: list[StoryMoment]
    toldAtMs: int
    journalBehindMs: int | None = Field(default=None)
    ordersBehind: int | None = Field(default=None)


class UntoldProblem(Problem):
    """The error about an order of which nothing is known, as far as the journal goes. `story`: it may have refused
    calls."""

    story: StoryDocument
