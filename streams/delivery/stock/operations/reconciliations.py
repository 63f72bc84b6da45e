"""Which places are reconciled when: on demand, daily, and after a restart from where they were."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping

from streams.delivery.ports import Clock
from streams.delivery.stock.operations.drift import Cause, PlaceReconcile, reconcile_key
from streams.delivery.stock.operations.reconciler import Reconciling
from streams.delivery.stock.operations.resync import daily_ask
from streams.delivery.stock.operations.step import SENT, Step
from streams.delivery.stock.ports import StockLocation, StockReading
from streams.runtime.role import Change, Committer, PartitionLost, Table
from topics.configuration.channels import Channel
from topics.records.keys import join, split
from topics.stock.controls import Ask, ControlIndex
from topics.stock.positions import DRIFT, RECONCILE
from topics.stock.status import Reconciled

RECONCILES_MAX = 2
"""Places that are reconciled at once: the SKUs of each are sorted in memory, and each has a question in the air."""
SOUGHT_EVERY_MS = 1_000
"""How often all places are asked whether one is to begin."""
FORGOTTEN_AT_ONCE = 1_000

log = logging.getLogger(__name__)

Name = tuple[str, str]
"""Channel and location."""


class _At:
    """One place that can be read back."""

    def __init__(self, place: StockLocation, reading: StockReading, reconcile: PlaceReconcile) -> None:
        self.place = place
        self.reading = reading
        self.reconcile = reconcile
        self.going: Reconciling | None = None
        self.task: asyncio.Task[None] | None = None


class ReconcileDesk:
    """Hooks come as those of StockOperations."""

    def __init__(self, channels: Mapping[str, Channel], controls: ControlIndex) -> None:
        self._channels = channels
        self._controls = controls
        self._committer: Committer | None = None
        self._clock: Clock | None = None
        self._states: dict[int, dict[bytes, bytes]] = {}
        self._drifts: dict[int, dict[Name, list[tuple[str, bytes]]]] = {}
        self._places: dict[Name, _At] = {}
        self._sought_ms = 0

    def start(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock

    async def stop(self) -> None:
        tasks = [task for at in self._places.values() if (task := at.task) is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def on_assigned(self, partition: int, sent: Table) -> None:
        self._states[partition] = dict(sent.walk(RECONCILE.encode() + b"|"))
        drifts = self._drifts[partition] = defaultdict(list)
        for key, raw in sent.walk(DRIFT.encode() + b"|"):
            _, channel, location, sku = split(key)
            drifts[channel, location].append((sku, raw))

    async def on_recovered(self, partition: int) -> None:
        """What is remembered of others was of places that are none any more, or are not read back any more."""
        left = self._drifts.pop(partition, {})
        self._states.pop(partition, None)
        keys = [join(DRIFT, *name, sku) for name, drifts in left.items() for sku, _ in drifts]
        for start in range(0, len(keys), FORGOTTEN_AT_ONCE):
            gone = tuple(Change(SENT, key, None) for key in keys[start : start + FORGOTTEN_AT_ONCE])
            with contextlib.suppress(PartitionLost):  # its new owner does it
                await self._commit(partition, Step(changes=gone))

    def on_revoked(self, partition: int) -> None:
        self._states.pop(partition, None)
        self._drifts.pop(partition, None)

    def on_opened(self, place: StockLocation) -> None:
        if place.reading is None:
            return
        name, now_ms = (place.channel, place.location), self._now_ms()
        last = self._states.get(place.partition, {}).pop(reconcile_key(place), None)
        remembered = self._drifts.get(place.partition, {}).pop(name, [])
        self._places[name] = _At(place, place.reading, PlaceReconcile(place, last, remembered, now_ms))

    def on_closed(self, place: StockLocation) -> None:
        at = self._at(place)
        if at is not None:
            if at.task is not None:
                at.task.cancel()
            del self._places[place.channel, place.location]

    def on_acknowledged(self, place: StockLocation, skus: Collection[str]) -> None:
        at = self._at(place)
        if at is not None and at.going is not None:
            at.going.told(skus)

    def shown(self, place: StockLocation) -> Reconciled | None:
        at = self._at(place)
        return None if at is None else at.reconcile.shown

    async def look(self, now_ms: int) -> None:
        """Begins what is to begin. Raises what ended one."""
        going = 0
        for at in list(self._places.values()):
            if at.task is not None and at.task.done():
                await at.task
                at.task = at.going = None
            going += at.task is not None and not at.place.figures().paused
        if now_ms - self._sought_ms < SOUGHT_EVERY_MS:
            return
        self._sought_ms = now_ms
        for at in list(self._places.values()):
            if going >= RECONCILES_MAX:
                return
            if at.task is None and not at.place.figures().paused:
                wanted = self._wanted(at, now_ms)
                if wanted is not None or at.reconcile.goes_on:
                    going += 1
                    at.task = asyncio.create_task(self._run(at, wanted), name="reconcile")

    async def _run(self, at: _At, wanted: tuple[Ask, Cause] | None) -> None:
        """`wanted` None: it goes on from where it was."""

        async def commit(step: Step) -> None:
            await self._commit(at.place.partition, step)

        with contextlib.suppress(PartitionLost):  # its new owner goes on, from what is durable
            if wanted is not None:
                ask, cause = wanted
                log.info("stock.reconcile channel=%s location=%s id=%s", at.place.channel, at.place.location, ask.id)
                await commit(at.reconcile.begin(ask, cause, self._now_ms()))
            at.going = Reconciling(at.place, at.reading, at.reconcile, self._started_clock(), commit)
            await at.going.run()

    def _wanted(self, at: _At, now_ms: int) -> tuple[Ask, Cause] | None:
        place = at.place
        asked = self._controls.reconcile_of(place.channel, place.location)
        daily = daily_ask(self._channels[place.channel].stock.reconcile_daily_at, now_ms)
        return at.reconcile.wants(asked, daily)

    def _at(self, place: StockLocation) -> _At | None:
        """None when it is closed; another worker's place may have come back as another one."""
        at = self._places.get((place.channel, place.location))
        return at if at is not None and at.place is place else None

    async def _commit(self, partition: int, step: Step) -> None:
        if self._committer is None:
            raise RuntimeError("a place was opened before the start")
        await self._committer.commit(partition, step.effects, step.changes)

    def _now_ms(self) -> int:
        return self._started_clock().now_ms()

    def _started_clock(self) -> Clock:
        if self._clock is None:
            raise RuntimeError("a place was opened before the start")
        return self._clock
