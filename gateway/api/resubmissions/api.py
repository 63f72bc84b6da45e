"""/api/resubmissions: says which refused requests of a channel could be sent again, and sends them. A gateway runs one
at a time, and knows its own last ones, and those of the gateways that share its port."""

from __future__ import annotations

import time

from aiohttp import web

from gateway.api.handler import Act, channel_named
from gateway.api.jobs import Jobs
from gateway.api.order_queries import KINDS, OrderQueries
from gateway.api.resubmissions.asking import Asker, Operator
from gateway.api.resubmissions.job import Resubmission, Resubmitter
from gateway.api.resubmissions.of_order import check_reason
from gateway.api.waiting import wait_of
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, Refused, bad_data, json_answer
from gateway.http.body import BodyReader, parse, validated
from gateway.http.call import Call
from gateway.kafka.commands import Commands
from gateway.ports import Overloaded, Unavailable
from topics.api.resubmissions import RefusedOfMany
from topics.configuration.channels import Channel, Channels
from topics.contract.definition import Mode
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import DeliveryRequest

BODY_BYTES_MAX = 512 << 10
"""Most bytes of a request: as many order codes as it may name, each of the largest length."""
_KIND_OF = {kind.name: kind for kind in KINDS}


class ResubmissionsApi:
    def __init__(self, channels: Channels, dependencies: Dependencies, commands: Commands) -> None:
        self._channels = channels.channels
        self._now_ms = dependencies.now_ms
        self._queries = OrderQueries(channels, commands)
        self._bodies = BodyReader(BODY_BYTES_MAX)
        self._resubmitter = Resubmitter(dependencies.dead, Asker(commands), self._state_of, dependencies.now_ms)
        self._jobs: Jobs[Resubmission] = Jobs("resubmission", "rsb", dependencies.siblings)

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/resubmissions, by the names of their routes."""
        return {"resubmit": self.start, **self._jobs.acts()}

    async def start(self, call: Call, request: web.Request) -> Answer:
        raw = await self._bodies.read(request)
        asked = validated(RefusedOfMany, parse(raw) if raw else {})
        call.channel = channel_named(self._channels, asked.channel)
        check_reason(asked.reason, dry=asked.dryRun)
        _check_touchpoint(asked.touchpoint)
        wait_s = wait_of(request)
        await self._jobs.check_idle()
        operator = Operator(call.actor, call.address, asked.reason or "a dry run")
        call.subject = self._jobs.new_id()
        job = Resubmission(call.subject, asked, self._now_ms(), call.channel, operator)
        self._jobs.start(job, self._resubmitter.run(job))
        await self._jobs.wait(job, wait_s)
        return json_answer(job.shown(), 202)

    async def close(self, app: web.Application) -> None:
        await self._jobs.close(app)

    async def _state_of(self, channel: Channel, request: DeliveryRequest, name: str) -> str | None:
        """The status of a request in its order's list. One that cannot be asked for now counts as on its way."""
        kind = _KIND_OF[BY_NAME[request.touchpoint].entity.value]
        call = Call("api-resubmit", time.perf_counter())
        try:
            document = await self._queries.of(kind, call, channel, request.subject)
        except (Refused, Unavailable, Overloaded) as error:
            is_gone = isinstance(error, Refused) and error.status == 404
            return None if is_gone else "queued"
        listed = document.get("deliveries", ())
        return next((str(one["status"]) for one in listed if one.get("id") == name), None)


def _check_touchpoint(name: str | None) -> None:
    notices = sorted(one.name for one in BY_NAME.values() if one.mode is Mode.ACCEPT)
    if name is not None and name not in notices:
        raise bad_data(f"touchpoint: {name} is not sent again; name one of {', '.join(notices)}")
