"""/api/audit: operators' actions, from the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.api.handler import Act
from gateway.api.journal.filters import list_filters
from gateway.api.journal.frame import cursor_in, limit_in, next_path, reading
from gateway.http.answers import Answer, json_answer
from gateway.http.call import Call
from journal.queries.incidents import actions_page
from journal.queries.reader import JournalReader
from topics.api.journal.incidents import ActionDocument, ActionList
from topics.api.journal.list_routes import LIST_ROUTES
from topics.configuration.channels import Channels
from topics.records.json_text import read

_QUERY = next(route.query for route in LIST_ROUTES if route.name == "list-actions")


class AuditApi:
    def __init__(self, channels: Channels, journal: JournalReader) -> None:
        self._channels = channels.channels
        self._journal = journal

    def acts(self) -> dict[str, Act]:
        return {"list-actions": self.actions}

    async def actions(self, call: Call, request: web.Request) -> Answer:
        """A page of actions that fit all filters."""
        filters, keys = list_filters(call, request, _QUERY, self._channels)
        async with reading(self._journal) as connection:
            page = await actions_page(
                connection, filters, keys=keys, cursor=cursor_in(request), limit=limit_in(request)
            )
        shown = ActionList(actions=[_action(row) for row in page.rows], next=next_path(request, page.next))
        return json_answer(shown.model_dump(mode="json"))


def _action(row: Mapping[str, Any]) -> ActionDocument:
    return ActionDocument(
        id=row["event_id"],
        atMs=row["at_ms"],
        action=row["action"],
        by=row["actor"],
        reason=row["reason"],
        channel=row["channel"],
        order=row["order_key"],
        target=row["target"],
        shown=row["shown"],
        before=_state(row["before"]),
        after=_state(row["after"]),
        outcome=row["outcome"] or None,
        endedMs=row["ended_ms"],
        message=row["message"] or None,
        result=_state(row["result"]),
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
    )


def _state(kept: str) -> Any:
    """A state as the action's fact has it; None: it has none."""
    return read(kept.encode()) if kept else None
