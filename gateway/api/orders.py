"""/api/orders and /api/returns: the state of an order, its facts after a sequence, decisions about dead deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from gateway.api.fact_pages import Page, incarnation_of, page_of
from gateway.api.handler import Act
from gateway.api.journal.stories import Stories
from gateway.api.lane_decisions import (
    FAR_SIDES,
    NO_EFFECT_YET,
    LaneDecisions,
    action_of,
    answer_of,
    check_holds_lane,
    effect_on,
    place_of,
    sample_of,
    state_of,
)
from gateway.api.order_queries import KINDS, Kind, OrderQueries, home_of
from gateway.api.steps.tokens import digest_of
from gateway.api.steps.two_steps import Preview, TwoSteps, changed
from gateway.api.waiting import patient, until_found, wait_of
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, Refused, json_answer
from gateway.http.call import Call
from gateway.http.query import number_of
from gateway.kafka.commands import Commands
from topics.api.actions import PreviewGroup
from topics.api.query_parameters import FACTS_AFTER, FACTS_AT, FACTS_LIMIT
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import LaneAction
from topics.records.keys import join, lane_key, partition_of
from topics.schema_base import CODE_MAX


class OrdersApi:
    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        dependencies: Dependencies,
        commands: Commands,
        stories: Stories,
        steps: TwoSteps,
    ) -> None:
        self._steps = steps
        self._settings = settings
        self._channels = channels
        self._dependencies = dependencies
        self._queries = OrderQueries(channels, commands)
        self._lanes = LaneDecisions(commands)
        self._stories = stories

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/orders and /api/returns, by the names of their routes."""
        acts: dict[str, Act] = {}
        for kind in KINDS:
            acts[f"get-{kind.name}"] = partial(self._show, kind)
            acts[f"get-{kind.name}-events"] = partial(self._events, kind)
            acts[f"preview-decide-{kind.name}-delivery"] = partial(self._preview, kind)
            acts[f"decide-{kind.name}-delivery"] = partial(self._decide, kind)
        return acts

    async def _show(self, kind: Kind, call: Call, request: web.Request) -> Answer:
        """The state of one, with its story. The story is told also when the orders role does not answer, which it may
        be about."""
        try:
            channel, document = await self._queries.document(kind, call, request)
        except Refused as refused:
            if call.channel is not None and call.subject:
                told = await self._stories.document_if_any(kind.key(call.channel.name, call.subject))
                if told is not None:
                    refused.more = {**refused.more, "story": told}
            raise
        told = await self._stories.document_if_any(kind.key(channel.name, call.subject))
        return json_answer({**document, "story": told})

    async def _events(self, kind: Kind, call: Call, request: web.Request) -> Answer:
        """The facts after a sequence, as subscribers get them, and the path of the next page."""
        channel, state = await self._queries.document(kind, call, request)
        order = incarnation_of(state, call.subject, kind.key(channel.name, call.subject))
        after, limit = number_of(request, FACTS_AFTER), number_of(request, FACTS_LIMIT)
        at = number_of(request, FACTS_AT) if FACTS_AT.name in request.query else None
        page = Page()
        if after < order.last:
            partition = partition_of(order.key, self._settings.partitions)
            async with self._dependencies.facts.reading([partition]) as reading:
                page = await page_of(reading, order, after, limit, self._dependencies.now_ms, at)
        last = page.events[-1]["data"]["sequence"] if page.events else after
        following = {"channel": order.channel, "after": last, "limit": limit, "at": page.at or 0}
        document = {
            "order": order.code,
            "channel": order.channel,
            "last": order.last,
            "events": page.events,
            "next": None if page.at is None else str(request.rel_url.with_query(following)),
        }
        return json_answer(document)

    async def _preview(self, kind: Kind, call: Call, request: web.Request) -> Answer:
        channel, document = await self._queries.document(kind, call, request)
        found = self._held(document, call, request)
        action = request.match_info["action"]
        preview = Preview(
            action=action_of(request),
            place=place_of(request),
            digest=digest_of(state_of(found)),
            count=1,
            is_possible=True,
            groups=[PreviewGroup(name=f"{found.get('touchpoint')} to {found.get('destination')}", count=1)],
            samples=[sample_of(found, call.subject, channel.name)],
            far_side=FAR_SIDES[LaneAction(action)],
            before=state_of(found),
            after={"status": "skipped" if action == LaneAction.SKIP else "queued"},
        )
        return self._steps.offer(call, preview)

    async def _decide(self, kind: Kind, call: Call, request: web.Request) -> Answer:
        taken = await self._steps.take(call, request, action_of(request), place_of(request))
        channel, document = await self._queries.document(kind, call, request)
        wanted = request.match_info["request"]
        found = self._held(document, call, request)
        if digest_of(state_of(found)) != taken.token.digest:
            raise changed(f"{found.get('touchpoint')} is {found.get('status')} after another attempt")
        wait_s = wait_of(request)
        destination = found["destination"]
        entity = kind.key(channel.name, call.subject)
        partition = home_of(destination, entity, self._channels, channel, self._settings.partitions)
        touchpoint = BY_NAME.get(found.get("touchpoint", ""))
        beside = touchpoint is not None and touchpoint.beside_lane
        lane = join(destination, entity.decode(), wanted) if beside else lane_key(destination, entity)
        ends = asyncio.get_running_loop().time() + wait_s
        await self._steps.begin(
            taken,
            target=wanted,
            channel=channel.name,
            order_key=entity.decode(),
            before=state_of(found),
            after={"action": request.match_info["action"]},
        )
        async with self._steps.carrying_out(taken) as after:
            decided = await self._lanes.decide(call, request, taken, lane, partition, wait_s)
            after["state"] = decided.state
        if wait_s and decided.state == "applied":
            left_s = max(0.0, ends - asyncio.get_running_loop().time())
            look = partial(self._effect, kind, call, request, found)
            effect = await until_found(left_s, patient(look)) or {"message": NO_EFFECT_YET}
            decided = decided.model_copy(update=effect)
        return answer_of(decided)

    @staticmethod
    def _held(document: Mapping[str, Any], call: Call, request: web.Request) -> Mapping[str, Any]:
        """The delivery that the path names. Raises Refused unless it holds its lane."""
        wanted = request.match_info["request"]
        found = _delivery(document, wanted)
        if found is None:
            raise Refused(404, "UNKNOWN", f"{call.subject} has no delivery {wanted[:CODE_MAX]}")
        check_holds_lane(found, call.subject, request.match_info["action"])
        return found

    async def _effect(
        self, kind: Kind, call: Call, request: web.Request, before: Mapping[str, Any]
    ) -> dict[str, str | None] | None:
        """State and message of a decision, once something has come of it. `before`: the delivery as it was."""
        _channel, document = await self._queries.document(kind, replace(call, positions=[]), request)
        now = _delivery(document, before["id"])
        return None if now is None else effect_on(before, now, request.match_info["action"])


def _delivery(document: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The order's delivery with this id."""
    return next((one for one in document.get("deliveries", ()) if one.get("id") == name), None)
