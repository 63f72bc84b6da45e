"""/api/dead-letters and /api/rejected: what was given up, and what could not be decided, plain and in groups.

These show what the journal has. Redrives and resubmissions read deliveries.dead itself (gateway/api/dead_letters.py):
what acts goes by the records, not by a copy that may be some moments old.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.api.handler import Act
from gateway.api.journal.filters import list_filters
from gateway.api.journal.frame import cursor_in, limit_in, next_path, reading
from gateway.api.journal.opening import Opener
from gateway.http.answers import Answer, json_answer
from gateway.http.call import Call
from journal.queries import incidents
from journal.queries.deliveries import bodies_of
from journal.queries.incidents import Place, Row, place_of
from journal.queries.reader import JournalReader
from topics.api.journal.incidents import (
    DeadLetterDocument,
    DeadLetterGroup,
    DeadLetterGroups,
    DeadLetterList,
    RejectedDocument,
    RejectedGroup,
    RejectedGroups,
    RejectedList,
)
from topics.api.journal.list_routes import BODIES, LIST_ROUTES
from topics.configuration.channels import Channels
from topics.records.envelope import COMMAND

REASON_CHARS_MAX = 200
"""Characters of an error that is a reason: some have whole pages."""
_QUERY = {route.name: route.query for route in LIST_ROUTES}


class IncidentsApi:
    def __init__(self, channels: Channels, journal: JournalReader, opener: Opener) -> None:
        self._channels = channels.channels
        self._journal = journal
        self._opener = opener

    def acts(self) -> dict[str, Act]:
        return {
            "list-dead-letters": self.dead_letters,
            "group-dead-letters": self.dead_letter_groups,
            "list-rejected": self.rejected,
            "group-rejected": self.rejected_groups,
        }

    async def dead_letters(self, call: Call, request: web.Request) -> Answer:
        """A page of dead letters that fit all filters."""
        filters, keys = list_filters(call, request, _QUERY["list-dead-letters"], self._channels)
        bodies = filters.pop(BODIES.name, False)
        async with reading(self._journal) as connection:
            page = await incidents.dead_letters_page(
                connection, filters, keys=keys, cursor=cursor_in(request), limit=limit_in(request)
            )
            kept = await bodies_of(connection, page.rows) if bodies else {}
        shown = [self._letter(row, kept.get(row["request_id"])) for row in page.rows]
        return json_answer(
            DeadLetterList(deadLetters=shown, next=next_path(request, page.next)).model_dump(mode="json")
        )

    async def dead_letter_groups(self, call: Call, request: web.Request) -> Answer:
        """Dead letters that fit all filters, counted by destination, call and reason."""
        filters, keys = list_filters(call, request, _QUERY["group-dead-letters"], self._channels)
        async with reading(self._journal) as connection:
            found = await incidents.dead_letter_groups(connection, filters, keys)
            examples = await incidents.letters_named(connection, [row["example"] for row in found.rows])
        groups = [
            DeadLetterGroup(
                destination=row["destination"],
                touchpoint=row["touchpoint"],
                kind=row["kind"],
                reason=reason_of(row),
                count=row["count"],
                firstMs=row["first_ms"],
                lastMs=row["last_ms"],
                example=self._letter(examples[row["example"]], None),
            )
            for row in found.rows
        ]
        return json_answer(DeadLetterGroups(groups=groups, more=found.more).model_dump(mode="json"))

    async def rejected(self, call: Call, request: web.Request) -> Answer:
        """A page of rejected records that fit all filters."""
        filters, keys = list_filters(call, request, _QUERY["list-rejected"], self._channels)
        bodies = filters.pop(BODIES.name, False)
        async with reading(self._journal) as connection:
            page = await incidents.rejected_page(
                connection, filters, keys=keys, cursor=cursor_in(request), limit=limit_in(request)
            )
            kept: Mapping[Place, Row] = await incidents.rejected_bodies(connection, page.rows) if bodies else {}
        shown = [self._rejected(row, kept.get(place_of(row))) for row in page.rows]
        return json_answer(RejectedList(rejected=shown, next=next_path(request, page.next)).model_dump(mode="json"))

    async def rejected_groups(self, call: Call, request: web.Request) -> Answer:
        """Rejected records that fit all filters, counted by role, topic, kind and code."""
        filters, keys = list_filters(call, request, _QUERY["group-rejected"], self._channels)
        async with reading(self._journal) as connection:
            found = await incidents.rejected_groups(connection, filters, keys)
            places = [_place(row["example"]) for row in found.rows]
            examples = await incidents.rejected_at(connection, places)
        groups = [
            RejectedGroup(
                role=row["role"],
                topic=row["source_topic"],
                touchpoint=row["event_type"].removeprefix(COMMAND),
                code=row["code"],
                count=row["count"],
                firstMs=row["first_ms"],
                lastMs=row["last_ms"],
                example=self._rejected(examples[place], None),
            )
            for row, place in zip(found.rows, places, strict=True)
        ]
        return json_answer(RejectedGroups(groups=groups, more=found.more).model_dump(mode="json"))

    def _letter(self, row: Row, body: Row | None) -> DeadLetterDocument:
        return DeadLetterDocument(
            id=row["request_id"],
            order=row["order_key"],
            channel=row["channel"],
            code=row["subject"],
            destination=row["destination"],
            touchpoint=row["touchpoint"],
            kind=row["kind"],
            reason=reason_of(row),
            status=row["status"],
            error=row["error"] or None,
            message=self._opener.words(row["message"]),
            diedMs=row["died_ms"],
            attemptCount=row["attempts"],
            holdsLane=row["holds_lane"],
            ended=row["concluded"],
            endedMs=row["concluded_ms"],
            partition=row["partition"],
            offset=row["record_offset"],
            body=self._opener.body(body),
        )

    def _rejected(self, row: Row, body: Row | None) -> RejectedDocument:
        return RejectedDocument(
            topic=row["source_topic"],
            partition=row["source_partition"],
            offset=row["source_offset"],
            atMs=row["at_ms"],
            role=row["role"],
            code=row["code"],
            reason=self._opener.words(row["reason"]),
            key=row["record_key"],
            channel=row["channel"],
            subject=row["subject"],
            eventId=row["event_id"],
            touchpoint=row["event_type"].removeprefix(COMMAND),
            bytes=row["bytes"],
            rejectedPartition=row["partition"],
            rejectedOffset=row["record_offset"],
            body=self._opener.body(body),
        )


def reason_of(row: Mapping[Any, Any]) -> str:
    """The status of the last attempt, or why it had no answer."""
    return str(row["status"]) if row["status"] is not None else (row["error"] or "no answer")[:REASON_CHARS_MAX]


def _place(example: str) -> Place:
    topic, partition, offset = example.rsplit("|", 2)
    return topic, int(partition), int(offset)
