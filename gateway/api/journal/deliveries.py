"""/api/deliveries: what left and what waits, from the journal."""

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
from journal.queries.deliveries import Delivery, deliveries_page
from journal.queries.reader import JournalReader
from topics.api.journal.deliveries import DeliveryList, ListedDelivery
from topics.api.journal.list_routes import ATTEMPTS, BODIES, LIST_ROUTES
from topics.api.management import AttemptDocument
from topics.configuration.channels import Channels

_QUERY = next(route.query for route in LIST_ROUTES if route.name == "list-deliveries")


class DeliveryListApi:
    def __init__(self, channels: Channels, journal: JournalReader, opener: Opener) -> None:
        self._channels = channels.channels
        self._journal = journal
        self._opener = opener

    def acts(self) -> dict[str, Act]:
        return {"list-deliveries": self.deliveries}

    async def deliveries(self, call: Call, request: web.Request) -> Answer:
        """A page of deliveries that fit all filters."""
        filters, keys = list_filters(call, request, _QUERY, self._channels)
        attempts, bodies = filters.pop(ATTEMPTS.name, False), filters.pop(BODIES.name, False)
        async with reading(self._journal) as connection:
            found, cursor = await deliveries_page(
                connection, filters, keys=keys, cursor=cursor_in(request), limit=limit_in(request), bodies=bodies
            )
        listed = [self._listed(one, attempts=attempts) for one in found]
        return json_answer(DeliveryList(deliveries=listed, next=next_path(request, cursor)).model_dump(mode="json"))

    def _listed(self, one: Delivery, *, attempts: bool) -> ListedDelivery:
        row, waiting, letter = one.row, one.waiting, one.letter
        last = one.attempts[-1] if one.attempts else None
        shown = waiting or letter or row
        known = len(one.attempts)
        return ListedDelivery(
            id=row["request_id"],
            order=row["order_key"],
            channel=row["channel"],
            code=row["subject"],
            destination=row["destination"],
            touchpoint=row["touchpoint"],
            state=state_of(one),
            createdMs=row["created_ms"] if "created_ms" in row else row["first_ms"] or row["died_ms"],
            attemptCount=max(known, shown.get("attempts") or 0),
            lastAtMs=last["at_ms"] if last else shown.get("last_ms"),
            lastStatus=last["status"] if last else shown.get("last_status", shown.get("status")),
            lastError=(last["error"] if last else shown.get("last_error", shown.get("error"))) or None,
            nextAtMs=(waiting["next_ms"] or None) if waiting and not waiting["is_held"] else None,
            isInDoubt=bool(waiting and waiting["is_in_doubt"]),
            message=self._opener.words(shown.get("message") or ""),
            attempts=[attempt_document(attempt) for attempt in one.attempts] if attempts else None,
            body=self._opener.body(one.body),
        )


def state_of(one: Delivery) -> str:
    """The state of a delivery: what waits says more than what was given up before, and both more than attempts."""
    if one.waiting is not None:
        if one.waiting["is_held"]:
            return "held"
        return "retrying" if one.waiting["attempts"] else "queued"
    if one.letter is not None:
        return str(one.letter["concluded"] or one.letter["kind"])
    results = [attempt["result"] for attempt in one.attempts]
    for end in ("delivered", "superseded"):
        if end in results:
            return end
    return "unknown"


def attempt_document(row: Mapping[Any, Any]) -> AttemptDocument:
    return AttemptDocument(
        number=row["number"],
        atMs=row["at_ms"],
        tookMs=row["took_us"] / 1000,
        status=row["status"],
        error=row["error"] or None,
    )
