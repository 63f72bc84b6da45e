"""/api/status: every role, the journal, what waits and the budgets, also where Kafka or the journal does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from gateway.api.handler import Act
from gateway.api.journal.destinations import Destinations
from gateway.api.journal.frame import reading
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, Refused, json_answer
from gateway.http.call import Call
from gateway.ports import Unavailable
from journal.queries.backlog import Undelivered, last_record_ms, undelivered
from journal.queries.stories import positions_of
from topics.api.journal.destinations import DestinationDocument
from topics.api.journal.status import (
    JournalStatus,
    PartStatus,
    RoleStatus,
    StatusDocument,
    TopicLag,
    UndeliveredStatus,
    WorkerStatus,
)
from topics.kafka.groups import GroupState, Place

LISTED_MAX: Final = 20
"""Destinations that are shown: a screen has no room for more, and /api/destinations has all."""
JOURNAL: Final = "journal"
_MOVING: Final = ("PreparingRebalance", "CompletingRebalance")


class StatusApi:
    def __init__(self, dependencies: Dependencies, destinations: Destinations) -> None:
        self._dependencies = dependencies
        self._destinations = destinations

    def acts(self) -> dict[str, Act]:
        return {"get-status": self.status}

    async def status(self, _call: Call, _request: web.Request) -> Answer:
        """All that is known now. A part that does not answer is named, and the rest is shown."""
        of = self._dependencies
        waits: Undelivered | None = None
        shown: list[DestinationDocument] | None = None
        unlisted, read_ms = 0, None  # type: int, int | None
        places: dict[Place, int] = {}
        journal = PartStatus(isReachable=True, message=None)
        try:
            async with reading(of.journal) as connection:
                places, read_ms = await positions_of(connection), await last_record_ms(connection)
                waits = await undelivered(connection)
                names = self._names(waits)
                shown = [await self._destinations.document(connection, name) for name in names[:LISTED_MAX]]
                unlisted = len(names) - len(shown)
        except Refused as refused:
            journal = PartStatus(isReachable=False, message=refused.text)
        kafka = PartStatus(isReachable=True, message=None)
        states: Sequence[GroupState] | None = None
        try:
            states = await of.groups.states({JOURNAL: places} if journal.isReachable else {})
        except Unavailable as error:
            kafka = PartStatus(isReachable=False, message=f"{error}; look at SLUICE_KAFKA, and at the brokers")
        now_ms = of.now_ms()
        document = StatusDocument(
            nowMs=now_ms,
            gatewayUnready=of.producer.unready() or of.replies.unready(),
            kafka=kafka,
            journal=_journal(journal, states, read_ms, now_ms),
            roles=None if states is None else [role_status(state) for state in states],
            undelivered=None
            if waits is None
            else UndeliveredStatus(
                waiting=sum(waits.destinations.values()), oldestMs=waits.oldest_ms, deadLetters=waits.dead
            ),
            destinations=shown,
            unlisted=unlisted,
        )
        return json_answer(document.model_dump(mode="json"))

    def _names(self, waits: Undelivered) -> list[str]:
        """The far sides, and all else for which something waits; those first for which most does."""
        counts = {**dict.fromkeys(self._destinations.far_sides, 0), **waits.destinations}
        return sorted(counts, key=lambda name: (-counts[name], name))


def role_status(state: GroupState) -> RoleStatus:
    """A role by its group."""
    taken = {
        (topic, number) for one in state.members for topic, numbers in one.partitions.items() for number in numbers
    }
    lags: dict[str, list[TopicLag]] = {}
    for one in state.behind:
        lags.setdefault(one.topic, []).append(TopicLag(topic=one.topic, records=one.records, oldestMs=one.since_ms))
    return RoleStatus(
        role=state.role,
        state="no worker" if not state.members else "rebalancing" if state.state in _MOVING else "running",
        workers=[
            WorkerStatus(name=one.name, host=one.host, partitions=sum(map(len, one.partitions.values())))
            for one in state.members
        ],
        partitions=len(state.behind),
        unassigned=sum((one.topic, one.partition) not in taken for one in state.behind),
        lag=[
            TopicLag(
                topic=topic,
                records=sum(one.records for one in of_topic),
                oldestMs=min((one.oldestMs for one in of_topic if one.oldestMs is not None), default=None),
            )
            for topic, of_topic in lags.items()
        ],
    )


def _journal(part: PartStatus, states: Sequence[GroupState] | None, read_ms: int | None, now_ms: int) -> JournalStatus:
    """The age of the journal: that of the oldest record that is not in it."""
    behind = [one for state in states or () if state.role == JOURNAL for one in state.behind]
    lag = None if states is None or not part.isReachable else sum(one.records for one in behind)
    oldest = [one.since_ms for one in behind if one.since_ms is not None]
    age_ms = 0 if lag == 0 else max(now_ms - min(oldest), 0) if lag and oldest else None
    return JournalStatus(
        isReachable=part.isReachable, message=part.message, ageMs=age_ms, recordMs=read_ms, lagRecords=lag
    )
