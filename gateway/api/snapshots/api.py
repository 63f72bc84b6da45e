"""/api/inventory/snapshots: uploads of the whole stock of a location, as streams of any size, and their state."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import partial

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from gateway.api.handler import Act, channel_named
from gateway.api.snapshots.formats import format_of
from gateway.api.snapshots.upload import Target, Upload
from gateway.dependencies import Dependencies
from gateway.http.answers import KAFKA_RETRY_AFTER_S, Answer, Refused, bad_data, json_answer
from gateway.http.call import Call
from gateway.http.query import flag_of
from gateway.kafka.commands import Commands
from gateway.ports import Snapshots
from gateway.views.snapshots import document_of_run
from topics.api.query_parameters import COMPLETE
from topics.api.snapshots import SnapshotDocument, SnapshotList, SnapshotTaken
from topics.configuration.channels import Channel, Channels
from topics.configuration.settings import Settings
from topics.contract.models.inventory import StockLocationCode
from topics.records.keys import stock_key, stock_partition
from topics.schema_base import problems
from topics.stock.positions import consolidated_location, is_consolidated
from topics.stock.snapshots import Run

OUTCOME_S = 30.0
"""How long an upload waits to be applied before it is answered; a GET tells the rest. Less than proxies time out."""
ID_BYTES = 8
CONSOLIDATED = tuple(consolidated_location(kind) for kind in ("ALL", "STORE"))

_CODE: TypeAdapter[str] = TypeAdapter(StockLocationCode)


class SnapshotsApi:
    def __init__(self, settings: Settings, channels: Channels, dependencies: Dependencies, commands: Commands) -> None:
        self._commands = commands
        self._settings = settings
        self._channels = channels.channels
        self._dependencies = dependencies
        self._uploads = 0

    @property
    def _known(self) -> Snapshots:
        return self._dependencies.stock.snapshots

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/inventory/snapshots, by the names of their routes."""
        return {"get-snapshots": self.show, "put-snapshot": self.upload}

    async def upload(self, call: Call, request: web.Request) -> Answer:
        """Stores the stream, and waits until it is applied."""
        channel, location = self._location(call, request)
        complete = flag_of(request, COMPLETE)
        lines = format_of(request.content_type, consolidated=is_consolidated(location))
        unready = self._dependencies.producer.unready()
        if unready is not None:
            raise Refused(503, "UNAVAILABLE", "Kafka cannot be asked now", unready, KAFKA_RETRY_AFTER_S)
        if self._uploads >= self._settings.snapshot_uploads_max:
            message = "Other snapshots are being uploaded; try again later"
            raise Refused(503, "OVERLOADED", message, f"{self._uploads} now", retry_after_s=5)
        snapshot = call.event = f"snp_{os.urandom(ID_BYTES).hex()}"
        upload = Upload(
            self._target(channel, location, snapshot),
            lines,
            complete=complete,
            producer=self._dependencies.producer,
            now_ms=self._dependencies.now_ms,
            idle_s=self._settings.snapshot_idle_s,
            check=partial(self._commands.check, call),
        )
        self._uploads += 1
        try:
            await upload.run(request.content)
        finally:
            self._uploads -= 1
            if upload.begun is not None:
                call.positions.append(upload.begun)
        return await self._outcome(upload, complete=complete)

    async def show(self, call: Call, request: web.Request) -> Answer:
        """The known snapshots of a location, the newest first."""
        channel, location = self._location(call, request)
        reason = self._dependencies.stock.unready()
        if reason is not None:
            raise Refused(503, "UNAVAILABLE", "Stock is not known yet", reason, KAFKA_RETRY_AFTER_S)
        found = self._known.all(channel.name, location)
        if not found:
            raise Refused(404, "UNKNOWN", f"No snapshot of {location} is known for channel {channel.name}")
        return json_answer(SnapshotList(snapshots=found).model_dump(mode="json"))

    async def _outcome(self, upload: Upload, *, complete: bool) -> Answer:
        """200: applied; 202: not yet. Raises Refused with 409 if it was abandoned after all of it had come."""
        target = upload.target
        of = (target.channel, target.location, target.snapshot)
        found = None
        with suppress(TimeoutError):
            async with asyncio.timeout(OUTCOME_S):
                found = await self._known.until_over(*of)
        if found is not None and found.state == "abandoned":
            message = f"The snapshot {target.snapshot} was abandoned: {found.reason}"
            raise Refused(409, "ABANDONED", message, "its values count as updates; nothing was set to 0")
        now_ms, counts = self._dependencies.now_ms(), upload.counts
        known = found or self._known.get(*of) or _unseen(target, complete=complete, now_ms=now_ms)
        document = SnapshotTaken(
            **known.model_dump(),
            lines=counts.lines,
            refused=counts.refused,
            errors=counts.errors,
            notComplete=upload.not_complete,
        )
        return json_answer(document.model_dump(mode="json"), 202 if found is None else 200)

    def _target(self, channel: Channel, location: str, snapshot: str) -> Target:
        key = stock_key(channel.name, location)
        partition = stock_partition(channel.name, key, channel.marketplace.shards, self._settings.partitions)
        return Target(snapshot, channel.name, location, key, partition)

    def _location(self, call: Call, request: web.Request) -> tuple[Channel, str]:
        """The channel and the location in the path. Raises Refused."""
        name, location = request.match_info["channel"], request.match_info["location"]
        channel = call.channel = channel_named(self._channels, name)
        call.subject = location[:64]
        if location not in CONSOLIDATED:
            try:
                _CODE.validate_python(location)
            except ValidationError as error:
                faults = ", ".join(problems(error))
                raise bad_data(f"location: {faults}; or one of {', '.join(CONSOLIDATED)}") from error
        return channel, location


def _unseen(target: Target, *, complete: bool, now_ms: int) -> SnapshotDocument:
    """The document of a snapshot that is stored and that the inventory role has not read yet."""
    run = Run(target.snapshot, -1, now_ms, now_ms, complete)
    return document_of_run(target.channel, target.location, run)
