"""Documents of the lists of dead letters, of rejected records and of operators' actions."""

from __future__ import annotations

from typing import Any

from topics.api.journal.deliveries import BodyDocument
from topics.schema_base import Body


class DeadLetterDocument(Body):
    """A request that was given up (`kind` dead, may be redriven) or refused (`kind` refused, its order goes by that).
    `reason`: the HTTP status of its last attempt, or why it had no answer; `message`: the far side's words, if they are
    kept. `holdsLane`: what comes behind it in its lane waits. `ended` null: it waits for somebody; else delivered,
    skipped or resubmitted. `body` null: not asked for, or it has none."""

    id: str
    order: str
    channel: str
    code: str
    destination: str
    touchpoint: str
    kind: str
    reason: str
    status: int | None
    error: str | None
    message: str | None
    diedMs: int
    attemptCount: int
    holdsLane: bool
    ended: str | None
    endedMs: int | None
    partition: int
    offset: int
    body: BodyDocument | None


class DeadLetterList(Body):
    """A page of dead letters, the newest first. `next`: as in DeliveryList."""

    deadLetters: list[DeadLetterDocument]
    next: str | None


class DeadLetterGroup(Body):
    """Dead letters of one destination, call and reason. `example`: one of them."""

    destination: str
    touchpoint: str
    kind: str
    reason: str
    count: int
    firstMs: int
    lastMs: int
    example: DeadLetterDocument


class DeadLetterGroups(Body):
    """Groups, the largest first. `more`: there are more dead letters, or more groups, than these tell of."""

    groups: list[DeadLetterGroup]
    more: bool


class RejectedDocument(Body):
    """A record that could not be decided. `topic`, `partition`, `offset`: where it was; `rejectedPartition`,
    `rejectedOffset`: where it is kept on `commands.rejected`. `touchpoint`: the kind of record, by its `ce_type`.
    `reason`: as far as it is kept. `body` null: not asked for."""

    topic: str
    partition: int
    offset: int
    atMs: int
    role: str
    code: str
    reason: str | None
    key: str
    channel: str
    subject: str
    eventId: str
    touchpoint: str
    bytes: int
    rejectedPartition: int
    rejectedOffset: int
    body: BodyDocument | None


class RejectedList(Body):
    """A page of rejected records, the newest first. `next`: as in DeliveryList."""

    rejected: list[RejectedDocument]
    next: str | None


class RejectedGroup(Body):
    """Rejected records of one role, topic, kind and code. `example`: one of them."""

    role: str
    topic: str
    touchpoint: str
    code: str
    count: int
    firstMs: int
    lastMs: int
    example: RejectedDocument


class RejectedGroups(Body):
    """Groups, the largest first. `more`: there are more records, or more groups, than these tell of."""

    groups: list[RejectedGroup]
    more: bool


class ActionDocument(Body):
    """An action of an operator. `by`: the name of the token, empty where a version before did not say. `target`: the
    subject, empty: many. `shown`: how many the preview showed, 0: it is about one thing. `before`, `after`: the state
    before, and the one that was asked for; of many, what chose them. `outcome`: done, failed, stopped, refused; null:
    its end is not known. `result`: the state after it, or the counts of what came of many. `topic`, `partition`,
    `offset`: the record that says so."""

    id: str
    atMs: int
    action: str
    by: str
    reason: str
    channel: str
    order: str
    target: str
    shown: int
    before: Any
    after: Any
    outcome: str | None
    endedMs: int | None
    message: str | None
    result: Any
    topic: str
    partition: int
    offset: int


class ActionList(Body):
    """A page of operators' actions, the newest first. `next`: as in DeliveryList."""

    actions: list[ActionDocument]
    next: str | None
