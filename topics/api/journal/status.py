"""Document of the state of everything, in one screen."""

from __future__ import annotations

from topics.api.journal.destinations import DestinationDocument
from topics.schema_base import Body


class PartStatus(Body):
    """Whether a part can be asked now. `message` null: it can; else why not, and which setting to look at."""

    isReachable: bool
    message: str | None


class WorkerStatus(Body):
    """A process of a role, as Kafka knows it by its heartbeats. One that died is shown until its session is over (10 to
    20 s). `partitions`: those that it was assigned."""

    name: str
    host: str
    partitions: int


class TopicLag(Body):
    """How far a role is behind in a topic. `records`: those that it has not taken; `oldestMs`: the time of the first of
    them, null: it has taken all, or the time is not known."""

    topic: str
    records: int
    oldestMs: int | None


class RoleStatus(Body):
    """A role. `state`: `running`, `rebalancing`, or `no worker`. `unassigned`: partitions that no process has. `lag`:
    of each topic that it reads; what it has done and not committed yet, of half a second, counts as lag."""

    role: str
    state: str
    workers: list[WorkerStatus]
    partitions: int
    unassigned: int
    lag: list[TopicLag]


class JournalStatus(PartStatus):
    """The journal. `ageMs`: how far it is behind the topics, null: not known; `recordMs`: the time of the last record
    in it; `lagRecords`: records that are not in it yet, null: Kafka does not say."""

    ageMs: int | None
    recordMs: int | None
    lagRecords: int | None


class UndeliveredStatus(Body):
    """All that waits. `oldestMs`: when delivery took the oldest; null: nothing waits. `deadLetters`: those given up or
    refused that have no end."""

    waiting: int
    oldestMs: int | None
    deadLetters: int


class StatusDocument(Body):
    """The state of everything. `roles` null: Kafka does not answer. `undelivered` and `destinations` null: the journal
    does not answer. `destinations`: the far sides, and subscriptions for which something waits, those first for which
    most waits; `unlisted`: how many more there are. `gatewayUnready`: why this gateway takes no calls now, null: it
    does. Other gateways are in no group of Kafka, so they are not known here."""

    nowMs: int
    gatewayUnready: str | None
    kafka: PartStatus
    journal: JournalStatus
    roles: list[RoleStatus] | None
    undelivered: UndeliveredStatus | None
    destinations: list[DestinationDocument] | None
    unlisted: int
