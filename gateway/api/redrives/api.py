"""/api/redrives: shows requests that were given up, and sends them again. A gateway runs one redrive at a time, and
knows its own last ones, and those of the gateways that share its port."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.api.handler import Act, check_ready
from gateway.api.jobs import Jobs
from gateway.api.names import DestinationNames, listed
from gateway.api.redrives.job import Job, Redriver
from gateway.api.redrives.selection import Choice
from gateway.api.steps.letters import previewed, shown_by
from gateway.api.steps.two_steps import Preview, Taken, TwoSteps
from gateway.api.waiting import wait_of
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, bad_data, json_answer
from gateway.http.body import BodyReader, parse, validated
from gateway.http.call import Call
from topics.api.actions import PreviewGroup
from topics.api.redrives import RedriveAsked
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings

ACTION = "redrive"
BODY_BYTES_MAX = 512 << 10
"""Most bytes of a request: as many order codes as it may name, each of the largest length."""
FAR_SIDE = (
    "The same requests with the same delivery ids, the next attempt numbers and `Sluice-Redrive`. They come out of "
    "sequence: what was behind them was sent long ago."
)


class RedrivesApi:
    def __init__(self, settings: Settings, channels: Channels, dependencies: Dependencies, steps: TwoSteps) -> None:
        self._channels = channels
        self._dependencies = dependencies
        self._names = DestinationNames(channels, dependencies.subscriptions)
        self._bodies = BodyReader(BODY_BYTES_MAX)
        self._steps = steps
        self._redriver = Redriver(
            dependencies.dead, dependencies.producer, self._names.is_open, settings.partitions, dependencies.now_ms
        )
        self._jobs: Jobs[Job] = Jobs("redrive", "rdv", dependencies.siblings)

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/redrives, by the names of their routes."""
        return {"preview-redrive": self.preview, "redrive": self.start, **self._jobs.acts()}

    async def preview(self, call: Call, request: web.Request) -> Answer:
        raw = await self._bodies.read(request)
        wanted = validated(RedriveAsked, parse(raw) if raw else {})
        asked = wanted.model_dump(mode="json", exclude_defaults=True)
        if not asked:
            raise bad_data("body: names nothing; name orders, a channel, a destination, a time or a failure")
        check_ready(self._dependencies.subscriptions.unready(), "The subscriptions are not read yet")
        self._check_names(wanted)
        choice = Choice(wanted, self._names.is_open)
        ends = await previewed(self._dependencies.dead, choice)
        groups = [PreviewGroup(name=f"{one.destination} {one.reason}", count=one.count) for one in choice.groups()]
        preview = Preview(
            action=ACTION,
            asked=asked,
            digest=choice.digest(),
            count=len(choice.chosen),
            is_possible=bool(choice.chosen) and not choice.more,
            groups=groups,
            samples=choice.samples(),
            left=choice.left,
            more=choice.more,
            far_side=FAR_SIDE,
            ends=ends,
        )
        return self._steps.offer(call, preview)

    async def start(self, call: Call, request: web.Request) -> Answer:
        taken = await self._steps.take(call, request, ACTION, {})
        wanted = RedriveAsked.model_validate(taken.token.asked)
        check_ready(self._dependencies.subscriptions.unready(), "The subscriptions are not read yet")
        wait_s = wait_of(request)
        await self._jobs.check_idle()
        call.subject = taken.id
        job = Job(taken.id, wanted, self._dependencies.now_ms(), shown_by(taken.token))
        channel = wanted.channel or ""
        with self._jobs.begun(job):
            await self._steps.begin(taken, target=wanted.destination or "", channel=channel, after=taken.token.asked)
        self._jobs.start(job, self._run(job, taken))
        await self._jobs.wait(job, wait_s)
        return json_answer(job.as_json(), 202)

    async def _run(self, job: Job, taken: Taken) -> None:
        await self._redriver.run(job)
        counts = {"sent": job.sent, "delivered": job.delivered, "deadAgain": job.dead_again, "notTaken": job.not_taken}
        after: dict[str, Any] = {**counts, "onTheirWay": len(job.waiting)}
        await self._steps.end(taken, job.state, job.message, after)

    async def close(self, app: web.Application) -> None:
        await self._jobs.close(app)

    def _check_names(self, wanted: RedriveAsked) -> None:
        """Raises Refused for unknown names: a redrive of nothing would look like good news."""
        channels = self._channels.channels
        if wanted.channel is not None and wanted.channel not in channels:
            raise bad_data(f"channel: {wanted.channel} is not configured here; name one of {listed(channels)}")
        if wanted.destination is None or self._names.is_deleted(wanted.destination):
            return
        known = self._names.all()
        if wanted.destination not in known:
            raise bad_data(f"destination: {wanted.destination} is no destination; name one of {listed(known)}")
