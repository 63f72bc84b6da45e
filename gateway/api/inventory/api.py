"""/api/inventory: the status of each channel's stock, the SKUs that a channel refuses, and the controls of operators.

A control is durable on `inventory.controls` before it is answered. Asking again changes nothing: a paused location
stays paused, and a resync that goes on is not begun anew. When two gateways are asked about the same channel or
location at the same moment, the last record counts, and the other gateway says so where it can see it.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any, Literal
from weakref import WeakValueDictionary

from aiohttp import web

from gateway.api.handler import Act, channel_named, check_ready
from gateway.api.inventory.documents import channel_document, control_document, refused_document
from gateway.api.read_your_writes import ReadYourWrites
from gateway.api.steps.tokens import digest_of
from gateway.api.steps.two_steps import Preview, TwoSteps, changed
from gateway.api.waiting import until_found, wait_of
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, Refused, bad_data, json_answer
from gateway.http.call import Call, new_event_id
from gateway.http.query import number_of
from gateway.ports import Outgoing
from topics.api.actions import SAMPLES_MAX, PreviewGroup, PreviewSample
from topics.api.query_parameters import REFUSED_LIMIT
from topics.api.stock_operations import RefusedSkusDocument, StockStatusDocument
from topics.configuration.channels import Channels
from topics.records.keys import join, split
from topics.schema_base import CODE_MAX
from topics.stock.controls import Ask, Control, Scope
from topics.stock.status import LocationStatus

REPEAT_MS = 10_000
"""For so long a resync counts as going on although no status shows it: delivery writes one every few seconds."""
ID_BYTES = 6
NAMED_MAX = 20
"""Locations named in an error."""

Action = Literal["pause", "resume", "resync", "reconcile"]
FAR_SIDES: dict[Action, str] = {
    "pause": "No stock. Calls in flight end; what changes meanwhile is kept, and not sent.",
    "resume": "The newest quantity of each SKU that has changed since the pause, out of stock first.",
    "resync": "Every position once more, in idle budget only.",
    "reconcile": "Questions after the stock that it has, and corrections of what differs.",
}
ACTIONS: tuple[Action, ...] = tuple(FAR_SIDES)


class InventoryApi:
    def __init__(self, channels: Channels, dependencies: Dependencies, steps: TwoSteps) -> None:
        self._steps = steps
        self._channels = channels.channels
        self._dependencies = dependencies
        self._operations = dependencies.stock_operations
        self._writes = ReadYourWrites[Scope, Control](self._operations, dependencies.producer)
        self._locks: WeakValueDictionary[Scope, asyncio.Lock] = WeakValueDictionary()

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/inventory, by the names of their routes."""
        acts = {
            "get-stock-status": self.status,
            "get-channel-stock-status": self.status,
            "get-refused-skus": self.refused,
            "get-refused-skus-of-location": self.refused,
            **dict.fromkeys(("preview-control-stock", "preview-control-stock-of-location"), self.preview),
            **dict.fromkeys(("control-stock", "control-stock-of-location"), self.ask),
        }
        return {name: self._when_ready(act) for name, act in acts.items()}

    def _when_ready(self, act: Act) -> Act:
        async def when_ready(call: Call, request: web.Request) -> Answer:
            check_ready(self._operations.unready(), "The status of stock is not read yet")
            return await act(call, request)

        return when_ready

    async def status(self, call: Call, request: web.Request) -> Answer:
        """The status of one channel, or of all."""
        named = request.match_info.get("channel")
        names = sorted(self._channels) if named is None else [self._channel(call, named)]
        known, now_ms = self._operations.status, self._dependencies.now_ms()
        statuses = [
            channel_document(
                name, known.locations(name), known.refused_by_location(name), self._operations.controls, now_ms
            )
            for name in names
        ]
        return json_answer(StockStatusDocument(channels=statuses).model_dump(mode="json"))

    async def refused(self, call: Call, request: web.Request) -> Answer:
        """The SKUs that a channel refuses, page by page."""
        scope = self._scope(call, request)
        limit = number_of(request, REFUSED_LIMIT)
        after = _after(request)
        known = self._operations.status
        page = known.refused(scope.channel, scope.location, after, limit + 1)
        counts = known.refused_by_location(scope.channel)
        following = None
        if len(page) > limit:
            last = join(*page[limit - 1][:2]).decode()
            following = str(request.rel_url.with_query({"after": last, "limit": limit}))
        document = RefusedSkusDocument(
            channel=scope.channel,
            total=sum(counts.values()) if scope.location is None else counts.get(scope.location, 0),
            refused=[refused_document(*refusal) for refusal in page[:limit]],
            next=following,
        )
        return json_answer(document.model_dump(mode="json"))

    async def preview(self, call: Call, request: web.Request) -> Answer:
        """Show what a control would do."""
        scope, action = self._scope(call, request), self._action(request)
        self._check_read_back(scope, action)
        there = self._there(scope)
        wait = sum(status.dirty for status in there.values())
        samples = [
            PreviewSample(channel=scope.channel, what=f"{name}: {status.dirty} SKUs wait, {status.refused} are refused")
            for name, status in there.items()
        ]
        wanted: dict[str, Any] = {"paused": action == "pause"} if action in ("pause", "resume") else {action: True}
        preview = Preview(
            action=f"{action}-stock",
            place=_place(scope),
            digest=self._digest(scope),
            count=len(there),
            is_possible=True,
            groups=[PreviewGroup(name=f"{scope.channel}: SKUs that wait", count=wait)],
            samples=samples[:SAMPLES_MAX],
            far_side=FAR_SIDES[action],
            before=self._state(scope),
            after=wanted,
        )
        return self._steps.offer(call, preview)

    async def ask(self, call: Call, request: web.Request) -> Answer:
        """Pause, resume, resync or reconcile a channel, or one location of it."""
        scope, action = self._scope(call, request), self._action(request)
        taken = await self._steps.take(call, request, f"{action}-stock", _place(scope))
        wait_s = wait_of(request)
        self._check_read_back(scope, action)
        async with self._locks.setdefault(scope, asyncio.Lock()):
            if self._digest(scope) != taken.token.digest:
                raise changed("another operator has controlled this stock since")
            present = self._present(scope)
            before = self._state(scope)
            wanted = self._after(action, scope, present)
            await self._steps.begin(
                taken, target=scope.key.decode(), channel=scope.channel, before=before, after=_control_state(wanted)
            )
            async with self._steps.carrying_out(taken) as after:
                if wanted != present:
                    await self._write(call, scope, wanted)
                after.update(_control_state(wanted))
        done = None
        if wait_s:
            done = await until_found(wait_s, partial(self._effect, action, scope, wanted)) or False
        around = scope.location is not None and self._is_paused(Scope(scope.channel))
        document = control_document(scope, wanted, channel_paused=around, done=done).model_dump(mode="json")
        return json_answer(document, 200 if done else 202)

    @staticmethod
    def _action(request: web.Request) -> Action:
        return next(one for one in ACTIONS if one == request.match_info["action"])

    def _check_read_back(self, scope: Scope, action: Action) -> None:
        if action == "reconcile" and self._channels[scope.channel].stock.read_back is None:
            message = f"Channel {scope.channel} cannot be asked what stock it has"
            raise Refused(409, "NO_READ_BACK", message, "set stock.read_back of the channel")

    def _there(self, scope: Scope) -> dict[str, LocationStatus]:
        known = self._operations.status.locations(scope.channel)
        return {name: status for name, status in known.items() if scope.location in (None, name)}

    def _state(self, scope: Scope) -> dict[str, Any]:
        return _control_state(self._present(scope))

    def _digest(self, scope: Scope) -> str:
        return digest_of(self._state(scope))

    def _is_paused(self, scope: Scope) -> bool:
        """By the newest control that this gateway knows. One that cannot be read may be a pause, so it counts."""
        present = self._writes.unseen(scope) or self._operations.controls.of(scope)
        return present.paused or scope in self._operations.controls.unreadable

    async def _effect(self, action: Action, scope: Scope, wanted: Control) -> Literal[True] | None:
        """True once delivery has done it at each location, as their statuses show."""
        channel, there = scope.channel, self._there(scope)
        if action in ("pause", "resume"):
            paused = self._operations.controls.is_paused
            done = all(status.paused is paused(channel, name) for name, status in there.items())
        else:
            asked = wanted.resync if action == "resync" else wanted.reconcile
            done = asked is not None and all(status.has_ended(asked.id) for status in there.values())
        return True if there and done else None

    def _after(self, action: Action, scope: Scope, present: Control) -> Control:
        """The control after the action; the present one when there is nothing to change."""
        if action in ("pause", "resume"):
            paused = action == "pause"
            return present if present.paused is paused else self._changed(present, paused=paused)
        before = present.resync if action == "resync" else present.reconcile
        if before is not None and self._goes_on(scope, before):
            return present
        # Later than all before it, whatever the clocks of gateways say: delivery does the latest.
        at_ms = max(self._dependencies.now_ms(), self._operations.controls.asked_ms(scope.channel) + 1)
        ask = Ask(id=f"{action[:3]}_{os.urandom(ID_BYTES).hex()}", at_ms=at_ms)
        return self._changed(present, **{action: ask})

    def _changed(self, present: Control, **changes: bool | Ask) -> Control:
        return present.model_copy(update={**changes, "at_ms": self._dependencies.now_ms()})

    def _goes_on(self, scope: Scope, ask: Ask) -> bool:
        """Whether this one goes on, as the statuses of locations show, or is too new to be shown there."""
        locations = self._operations.status.locations(scope.channel)
        shown = {status.has_ended(ask.id) for name, status in locations.items() if scope.location in (None, name)}
        if True in shown and scope.location is not None:
            return False
        return False in shown or self._dependencies.now_ms() - ask.at_ms < REPEAT_MS

    def _present(self, scope: Scope) -> Control:
        """The control as this gateway knows it: what it wrote and has not read back yet, or else what it has read."""
        unseen = self._writes.unseen(scope)
        if unseen is not None:
            return unseen
        if scope in self._operations.controls.unreadable:
            message = "The stored control cannot be read, and would be lost"
            hint = "ask a gateway of the version that wrote it, or delete its record (docs/unreadable.md)"
            raise Refused(409, "UNREADABLE", message, hint)
        return self._operations.controls.of(scope)

    async def _write(self, call: Call, scope: Scope, control: Control) -> None:
        """Returns when the control is on all in-sync replicas and, if that comes soon, read back here."""
        call.event = new_event_id()
        outgoing = Outgoing("inventory.controls", scope.key, control.encode(), ())
        call.positions.append(await self._writes.write(scope, control, outgoing))
        if self._writes.unseen(scope) is not None:
            return
        if self._operations.controls.of(scope) != control:
            message = "Another operator asked for something else at the same moment"
            raise Refused(409, "CHANGED", message, "look at its status, and ask again")

    def _scope(self, call: Call, request: web.Request) -> Scope:
        channel = self._channel(call, request.match_info["channel"])
        location = request.match_info.get("location")
        if location is not None:
            call.subject = location[:CODE_MAX]
            self._check_location(channel, location)
        return Scope(channel, location)

    def _channel(self, call: Call, name: str) -> str:
        call.channel = channel_named(self._channels, name)
        return name

    def _check_location(self, channel: str, location: str) -> None:
        known = {*self._dependencies.stock.locations(channel), *self._operations.status.locations(channel)}
        if location not in known:
            there = f"there are: {', '.join(sorted(known)[:NAMED_MAX])}" if known else "there is none yet"
            message = f"No stock of a location {location[:CODE_MAX]} has come for channel {channel}"
            raise Refused(404, "LOCATION_UNKNOWN", message, there)


def _place(scope: Scope) -> dict[str, str]:
    return {"channel": scope.channel, **({} if scope.location is None else {"location": scope.location})}


def _control_state(control: Control) -> dict[str, Any]:
    """The members of a control that operators change."""
    asks = {"resync": control.resync, "reconcile": control.reconcile}
    return {"paused": control.paused, **{name: ask.id if ask is not None else None for name, ask in asks.items()}}


def _after(request: web.Request) -> tuple[str, str]:
    text = request.query.get("after")
    if text is None:
        return ("", "")
    location, *sku = split(text.encode())
    if len(sku) != 1:
        raise bad_data("after: must be what `next` of the page before has")
    return location, sku[0]
