"""/api/destinations: operators pause a destination and resume it, each in two steps."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final
from weakref import WeakValueDictionary

from aiohttp import web

from gateway.api.handler import Act, check_ready
from gateway.api.names import DestinationNames, listed
from gateway.api.read_your_writes import ReadYourWrites
from gateway.api.steps.tokens import digest_of
from gateway.api.steps.two_steps import Preview, Taken, TwoSteps, changed
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, Refused, bad_data, json_answer
from gateway.http.body import BodyReader, parse, validated
from gateway.http.call import Call, new_event_id
from gateway.ports import Outgoing
from journal.queries.reader import JournalAwayError
from journal.queries.waiting import waiting_by_call, waiting_longest
from topics.api.actions import (
    SAMPLES_MAX,
    DestinationControlDocument,
    PauseAsked,
    PauseShown,
    PreviewGroup,
    PreviewSample,
)
from topics.configuration.channels import Channels
from topics.destinations.pauses import CONTROLS, DestinationControl, DestinationPause
from topics.records.envelope import iso_time
from topics.schema_base import CODE_MAX

BODY_BYTES_MAX: Final = 1 << 10
PAUSE_MS_MAX: Final = 366 * 86_400_000
"""Longest pause with an end: a later one is a time in seconds or microseconds, or a slip of the hand."""

log = logging.getLogger(__name__)


class PausesApi:
    def __init__(self, channels: Channels, dependencies: Dependencies, steps: TwoSteps) -> None:
        self._pauses = dependencies.pauses
        self._journal = dependencies.journal
        self._subscriptions = dependencies.subscriptions
        self._now_ms = dependencies.now_ms
        self._names = DestinationNames(channels, dependencies.subscriptions)
        self._writes = ReadYourWrites[str, DestinationControl](dependencies.pauses, dependencies.producer)
        self._steps = steps
        self._bodies = BodyReader(BODY_BYTES_MAX)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/destinations, by the names of their routes."""
        return {"preview-control-destination": self.preview, "control-destination": self.control}

    async def preview(self, call: Call, request: web.Request) -> Answer:
        raw = await self._bodies.read(request)
        asked = validated(PauseAsked, parse(raw) if raw else {})
        destination, verb = self._destination(call, request), request.match_info["action"]
        present = self._present(destination)
        state = self._state(present)
        if verb == "resume":
            self._check_paused(destination, present)
        else:
            self._check_end(asked.untilMs)
        groups, samples, said = await self._waiting(destination)
        preview = Preview(
            action=f"{verb}-destination",
            place={"destination": destination},
            asked=asked.model_dump(),
            digest=digest_of(state),
            count=sum(one.count for one in groups),
            is_possible=True,
            groups=groups,
            samples=samples,
            far_side=_far_side(destination, verb, asked.untilMs, said),
            before=state,
            after={"state": "open"} if verb == "resume" else {"state": "paused", "untilMs": asked.untilMs},
        )
        return self._steps.offer(call, preview)

    async def control(self, call: Call, request: web.Request) -> Answer:
        """Pause the destination, or resume it. Returns when the record is on all in-sync replicas."""
        destination, verb = self._destination(call, request), request.match_info["action"]
        taken = await self._steps.take(call, request, f"{verb}-destination", {"destination": destination})
        until_ms = PauseAsked.model_validate(taken.token.asked).untilMs
        async with self._locks.setdefault(destination, asyncio.Lock()):
            present = self._present(destination)
            before = self._state(present)
            if digest_of(before) != taken.token.digest:
                raise changed(f"{destination} is now {_words(before)}")
            if verb == "pause":
                self._check_end(until_ms)
            wanted = self._wanted(taken, verb, until_ms)
            await self._steps.begin(taken, target=destination, before=before, after=self._state(wanted))
            async with self._steps.carrying_out(taken) as after:
                await self._write(call, destination, wanted)
                after.update(self._state(wanted))
        return json_answer(self._document(destination, wanted).model_dump(mode="json"))

    def _wanted(self, taken: Taken, verb: str, until_ms: int | None) -> DestinationControl:
        now_ms = self._now_ms()
        pause = None
        if verb == "pause":
            pause = DestinationPause(since_ms=now_ms, until_ms=until_ms, by=taken.by, reason=taken.reason)
        return DestinationControl(pause=pause, action=taken.id, by=taken.by, reason=taken.reason, at_ms=now_ms)

    async def _write(self, call: Call, destination: str, control: DestinationControl) -> None:
        call.event = new_event_id()
        outgoing = Outgoing(CONTROLS, destination.encode(), control.encode(), (), 0)
        call.positions.append(await self._writes.write(destination, control, outgoing))
        if self._writes.unseen(destination) is None and self._pauses.control(destination) != control:
            raise Refused(
                409, "CHANGED", "Another operator controlled it at the same moment", "look, and preview again"
            )

    def _present(self, destination: str) -> DestinationControl | None:
        """As this gateway wrote it last, or as it has read it. Raises Refused."""
        check_ready(self._pauses.unready(), "The pauses of destinations are not read yet")
        unseen = self._writes.unseen(destination)
        if unseen is None and destination in self._pauses.unreadable:
            return None  # it counts as a pause, which a record that can be read takes the place of
        return unseen or self._pauses.control(destination)

    def _state(self, control: DestinationControl | None) -> dict[str, Any]:
        pause = None if control is None else control.pause
        if pause is None or not pause.is_on(self._now_ms()):
            return {"state": "open"}
        return {
            "state": "paused",
            "sinceMs": pause.since_ms,
            "untilMs": pause.until_ms,
            "by": pause.by,
            "reason": pause.reason,
        }

    def _document(self, destination: str, control: DestinationControl) -> DestinationControlDocument:
        pause = control.pause
        if pause is None or not pause.is_on(self._now_ms()):
            return DestinationControlDocument(destination=destination, state="open", pause=None)
        shown = PauseShown(sinceMs=pause.since_ms, untilMs=pause.until_ms, by=pause.by, reason=pause.reason)
        return DestinationControlDocument(destination=destination, state="paused", pause=shown)

    def _destination(self, call: Call, request: web.Request) -> str:
        check_ready(self._subscriptions.unready(), "The subscriptions are not read yet")
        name = request.match_info["destination"]
        known = self._names.all()
        if name not in known:
            message = f"There is no destination {name[:CODE_MAX]}"
            raise Refused(404, "DESTINATION_UNKNOWN", message, f"there are: {listed(known)}")
        call.subject = name
        return name

    def _check_paused(self, destination: str, present: DestinationControl | None) -> None:
        is_unreadable = present is None and destination in self._pauses.unreadable
        if self._state(present)["state"] != "paused" and not is_unreadable:
            raise Refused(409, "NOT_PAUSED", f"{destination} is not paused", "nothing is to be done")

    def _check_end(self, until_ms: int | None) -> None:
        if until_ms is None:
            return
        now_ms = self._now_ms()
        if not now_ms < until_ms <= now_ms + PAUSE_MS_MAX:
            raise bad_data("untilMs: must be later than now, and within a year, in epoch milliseconds")

    async def _waiting(self, destination: str) -> tuple[list[PreviewGroup], list[PreviewSample], str]:
        """The requests that wait there, as the journal knows them, and a sentence about them."""
        try:
            async with self._journal.reading() as connection:
                counts = await waiting_by_call(connection, destination)
                rows = await waiting_longest(connection, destination, SAMPLES_MAX)
        except JournalAwayError:
            return [], [], "How many requests wait is not known: the journal cannot be read."
        samples = [
            PreviewSample(
                id=row["request_id"],
                code=row["subject"],
                channel=row["channel"],
                destination=destination,
                touchpoint=row["touchpoint"],
                what=f"waits since {iso_time(row['queued_ms'])}",
            )
            for row in rows
        ]
        groups = [PreviewGroup(name=name, count=count) for name, count in counts.items()]
        return groups, samples, f"{sum(counts.values())} requests wait there now."


def _far_side(destination: str, verb: str, until_ms: int | None, said: str) -> str:
    if verb == "resume":
        return f"{destination} gets what waits, in sequence and within its budget, and the newest stock. {said}"
    end = "an operator resumes it" if until_ms is None else iso_time(until_ms)
    return (
        f"{destination} gets nothing until {end}: no request of an order, no fact, no stock. What is in flight ends; "
        f"what waits goes on waiting without an attempt, and calls whose callers wait time out. {said}"
    )


def _words(state: dict[str, Any]) -> str:
    return f"paused by {state['by']}: {state['reason']}" if state["state"] == "paused" else "open"
