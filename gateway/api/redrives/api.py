"""/api/redrives: counts requests that were given up, and sends them again. A gateway runs one redrive at a time, and
knows its own last ones, and those of the gateways that share its port."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from aiohttp import web

from gateway.api.handler import Act, check_ready
from gateway.api.jobs import Jobs
from gateway.api.redrives.job import Job, Redriver
from gateway.api.waiting import wait_of
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, bad_data, json_answer
from gateway.http.body import BodyReader, parse, validated
from gateway.http.call import Call
from topics.api.redrives import RedriveAsked
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.records.keys import INCREFF, channel_destination, subscription_destination, subscription_of

BODY_BYTES_MAX = 512 << 10
"""Most bytes of a request: as many order codes as it may name, each of the largest length."""
NAMED_MAX = 20
"""Known names that an error lists; `sluice subscriptions list` shows all of them."""


class RedrivesApi:
    def __init__(self, settings: Settings, channels: Channels, dependencies: Dependencies) -> None:
        self._channels = channels
        self._dependencies = dependencies
        self._bodies = BodyReader(BODY_BYTES_MAX)
        self._redriver = Redriver(
            dependencies.dead, dependencies.producer, self._is_open, settings.partitions, dependencies.now_ms
        )
        self._jobs: Jobs[Job] = Jobs("redrive", "rdv", dependencies.siblings)

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/redrives, by the names of their routes."""
        return {"redrive": self.start, **self._jobs.acts()}

    async def start(self, call: Call, request: web.Request) -> Answer:
        raw = await self._bodies.read(request)
        wanted = validated(RedriveAsked, parse(raw) if raw else {})
        check_ready(self._dependencies.subscriptions.unready(), "The subscriptions are not read yet")
        self._check_names(wanted)
        wait_s = wait_of(request)
        await self._jobs.check_idle()
        call.subject = self._jobs.new_id()
        job = Job(call.subject, wanted, self._dependencies.now_ms())
        self._jobs.start(job, self._redriver.run(job))
        await self._jobs.wait(job, wait_s)
        return json_answer(job.shown(), 202)

    async def close(self, app: web.Application) -> None:
        await self._jobs.close(app)

    def _check_names(self, wanted: RedriveAsked) -> None:
        """Raises Refused for unknown names: a redrive of nothing would look like good news."""
        channels, subscriptions = self._channels.channels, self._dependencies.subscriptions
        if wanted.channel is not None and wanted.channel not in channels:
            raise bad_data(f"channel: {wanted.channel} is not configured here; name one of {_listed(channels)}")
        if wanted.destination is None:
            return
        name = subscription_of(wanted.destination)
        if name is not None and subscriptions.is_deleted(name):
            return  # its requests are counted as those that cannot be sent
        known = [INCREFF, *map(channel_destination, channels), *map(subscription_destination, subscriptions.all())]
        if wanted.destination not in known:
            raise bad_data(f"destination: {wanted.destination} is no destination; name one of {_listed(known)}")

    def _is_open(self, destination: str) -> bool:
        """Whether a destination takes requests: a far side always does, a subscription while it gets facts."""
        name = subscription_of(destination)
        return name is None or self._dependencies.subscriptions.is_active(name)


def _listed(names: Collection[str]) -> str:
    first = ", ".join(islice(names, NAMED_MAX))
    return f"{first} and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else first
