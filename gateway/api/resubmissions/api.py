"""/api/resubmissions: shows which refused requests of a channel could be sent again, and sends them. A gateway runs one
at a time, and knows its own last ones, and those of the gateways that share its port."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from gateway.api.handler import Act, channel_named
from gateway.api.jobs import Jobs
from gateway.api.order_queries import KINDS, OrderQueries
from gateway.api.resubmissions.asking import Asker, Operator
from gateway.api.resubmissions.job import Resubmission, Resubmitter
from gateway.api.resubmissions.selection import RefusedChoice
from gateway.api.steps.letters import previewed, shown_by
from gateway.api.steps.two_steps import Preview, Taken, TwoSteps
from gateway.api.waiting import wait_of
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, Refused, bad_data, json_answer
from gateway.http.body import BodyReader, parse, validated
from gateway.http.call import Call
from gateway.kafka.commands import Commands
from gateway.ports import Overloaded, Unavailable
from topics.api.actions import PreviewGroup
from topics.api.resubmissions import RefusedOfMany
from topics.configuration.channels import Channel, Channels
from topics.contract.definition import Mode
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import DeliveryRequest

ACTION = "resubmit-many"
FAR_SIDE = (
    "New requests in place of those that it refused, each once, with new ids and as the order decides now. An order "
    "that does not allow it any more says so then, and nothing is sent for it."
)
BODY_BYTES_MAX = 512 << 10
"""Most bytes of a request: as many order codes as it may name, each of the largest length."""
_KIND_OF = {kind.name: kind for kind in KINDS}


class ResubmissionsApi:
    def __init__(self, channels: Channels, dependencies: Dependencies, commands: Commands, steps: TwoSteps) -> None:
        self._steps = steps
        self._dead = dependencies.dead
        self._asker = Asker(commands)
        self._channels = channels.channels
        self._now_ms = dependencies.now_ms
        self._queries = OrderQueries(channels, commands)
        self._bodies = BodyReader(BODY_BYTES_MAX)
        self._resubmitter = Resubmitter(dependencies.dead, self._asker, self._state_of, dependencies.now_ms)
        self._jobs: Jobs[Resubmission] = Jobs("resubmission", "rsb", dependencies.siblings)

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/resubmissions, by the names of their routes."""
        return {"preview-resubmit": self.preview, "resubmit": self.start, **self._jobs.acts()}

    async def preview(self, call: Call, request: web.Request) -> Answer:
        """Show which refused requests would be sent again. The orders role is asked about the samples alone."""
        raw = await self._bodies.read(request)
        asked = validated(RefusedOfMany, parse(raw) if raw else {})
        call.channel = channel = channel_named(self._channels, asked.channel)
        _check_touchpoint(asked.touchpoint)
        choice = RefusedChoice(asked)
        ends = await previewed(self._dead, choice)
        operator = Operator(call.actor, call.address, "a preview")
        answered = await asyncio.gather(
            *(self._asker.ask(letter, channel, operator, dry=True) for letter in choice.sample_letters())
        )
        samples = [
            sample.model_copy(update={"what": f"{sample.what}: {said.outcome}{said.message and f', {said.message}'}"})
            for sample, said in zip(choice.samples(), answered, strict=True)
        ]
        groups = [PreviewGroup(name=f"{one.touchpoint}: {one.refusal}", count=one.count) for one in choice.groups()]
        preview = Preview(
            action=ACTION,
            asked=asked.model_dump(mode="json", exclude_defaults=True),
            digest=choice.digest(),
            count=len(choice.chosen),
            is_possible=bool(choice.chosen) and not choice.more,
            groups=groups,
            samples=samples,
            more=choice.more,
            far_side=FAR_SIDE,
            ends=ends,
        )
        return self._steps.offer(call, preview)

    async def start(self, call: Call, request: web.Request) -> Answer:
        taken = await self._steps.take(call, request, ACTION, {})
        asked = RefusedOfMany.model_validate(taken.token.asked)
        call.channel = channel_named(self._channels, asked.channel)
        wait_s = wait_of(request)
        await self._jobs.check_idle()
        operator = Operator(call.actor, call.address, taken.reason)
        call.subject = taken.id
        job = Resubmission(taken.id, asked, self._now_ms(), shown_by(taken.token), call.channel, operator)
        with self._jobs.begun(job):
            await self._steps.begin(taken, channel=asked.channel, after=taken.token.asked)
        self._jobs.start(job, self._run(job, taken))
        await self._jobs.wait(job, wait_s)
        return json_answer(job.as_json(), 202)

    async def _run(self, job: Resubmission, taken: Taken) -> None:
        await self._resubmitter.run(job)
        after = {**job.counts, "delivered": job.delivered, "refusedAgain": job.refused_again}
        await self._steps.end(taken, job.state, job.message, {**after, "onTheirWay": len(job.waiting)})

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
