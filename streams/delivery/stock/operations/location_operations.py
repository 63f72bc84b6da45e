"""Operations on one location: its status, refused SKUs, resync and reconciliation."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection

from streams.delivery.ports import Clock
from streams.delivery.stock.metrics import CHANNEL_CHANGES
from streams.delivery.stock.operations.memory import Memory
from streams.delivery.stock.operations.reconciler import Reconciler
from streams.delivery.stock.operations.reconciliation import Reconciliation
from streams.delivery.stock.operations.rejections import Refusals
from streams.delivery.stock.operations.resync import Resync
from streams.delivery.stock.operations.status import Rate, WrittenStatus
from streams.delivery.stock.operations.step import STATUS, Step
from streams.delivery.stock.operations.sweep import daily_ask
from streams.delivery.stock.ports import StockLocation
from streams.runtime.role import GONE, Committer, Effect, PartitionLost
from topics.configuration.stock import StockSettings
from topics.stock.controls import Ask, ControlIndex
from topics.stock.status import LocationStatus, SweepCause, status_key

SKUS_AT_ONCE = 500
"""SKUs in one commit about refusals: some 300 KB."""

log = logging.getLogger(__name__)

Wanted = tuple[Ask, SweepCause]


class LocationOperations:
    """Has one task while the location is reconciled, else none."""

    def __init__(
        self,
        location: StockLocation,
        memory: Memory,
        settings: StockSettings,
        controls: ControlIndex,
        committer: Committer,
        clock: Clock,
    ) -> None:
        now_ms = clock.now_ms()
        self.location = location
        self.refusals = Refusals(location, memory.refused)
        self.resync = Resync(location, memory.resync, now_ms)
        self._reconciliation: Reconciliation | None = None
        if location.reading is not None:
            self._reconciliation = Reconciliation(location, memory.reconcile, memory.drifts, now_ms)
        self._reconciler: Reconciler | None = None
        self._reconciling: asyncio.Task[None] | None = None
        self._settings = settings
        self._controls = controls
        self._clock = clock
        self._is_closed = False
        self._committer = committer
        self._written = WrittenStatus()
        self._since_ms = now_ms
        self.figures = location.figures()
        self._first = self.figures
        """Changes before this, at the takeover, do not count."""
        self._rate = Rate()
        self._changes = CHANNEL_CHANGES.labels(location.channel)

    @property
    def name(self) -> tuple[str, str]:
        return self.location.channel, self.location.location

    def apply_pause(self) -> None:
        self.location.pause(paused=self._controls.is_paused(*self.name))

    async def _commit(self, step: Step) -> None:
        """Raises PartitionLost when the location is another worker's."""
        await self._committer.commit(self.location.partition, step.effects, step.changes)

    # Refusals

    async def report_refusals(self, now_ms: int) -> None:
        with contextlib.suppress(PartitionLost):  # the new owner reports the rest, from what is durable
            for step in self.refusals.steps(now_ms, SKUS_AT_ONCE):
                await self._commit(step)
                if self._is_closed:
                    return

    # Status

    def status_effect(self, now_ms: int) -> Effect | None:
        """The status, or its end, when it is due to be written."""
        status = self._status(now_ms)
        due = self._written.due(status)
        if due is None:
            return None
        return Effect(STATUS, status_key(*self.name), status.encode() if due else GONE, (), self.location.partition)

    def _status(self, now_ms: int) -> LocationStatus:
        before, self.figures = self.figures, self.location.figures()
        figures = self.figures
        self._changes.inc(figures.changes - before.changes)
        if figures.sent > before.sent:
            self._rate.add(figures.sent - before.sent, now_ms)
        return LocationStatus(
            dirty=figures.dirty,
            oldest_ms=figures.oldest_ms,
            sent_per_s=round(self._rate.per_s(now_ms), 1),
            changes=figures.changes - self._first.changes,
            sent=figures.sent - self._first.sent,
            refused=len(self.refusals.skus),
            paused=figures.paused,
            resync=self.resync.progress,
            resynced=self.resync.ended,
            reconcile=None if self._reconciliation is None else self._reconciliation.shown,
            since_ms=self._since_ms,
            at_ms=now_ms,
        )

    # Resync

    def wants_resync(self, now_ms: int) -> Wanted | None:
        daily = daily_ask(self._settings.resync_daily_at, now_ms)
        return self.resync.wanted(self._controls.resync_of(*self.name), daily)

    async def advance_resync(self, now_ms: int) -> None:
        """Begins the resync, or goes on with it a little."""
        wanted = self.wants_resync(now_ms)
        if wanted is not None:
            log.info("stock.resync channel=%s location=%s id=%s", *self.name, wanted[0].id)
            step: Step | None = self.resync.begin(*wanted, now_ms)
        else:
            while not self.resync.sort_some():  # noqa: ASYNC110 - it does some of the work each time
                await asyncio.sleep(0)
            step = self.resync.move(is_refused=self.refusals.skus.__contains__, now_ms=now_ms)
        if step is not None:
            with contextlib.suppress(PartitionLost):  # the new owner goes on, from what is durable
                await self._commit(step)

    # Reconciliation

    @property
    def is_reconciling(self) -> bool:
        return self._reconciling is not None

    async def reap_reconciler(self) -> None:
        """Raises what ended the reconciliation, if that was an error."""
        if self._reconciling is not None and self._reconciling.done():
            await self._reconciling
            self._reconciling = self._reconciler = None

    def start_reconciler(self, now_ms: int) -> bool:
        """Whether there was a reconciliation to begin, or to go on with."""
        sweep, reading = self._reconciliation, self.location.reading
        if sweep is None or reading is None:
            return False
        daily = daily_ask(self._settings.reconcile_daily_at, now_ms)
        wanted = sweep.wanted(self._controls.reconcile_of(*self.name), daily)
        if wanted is None and not sweep.goes_on:
            return False
        self._reconciler = Reconciler(self.location, reading, sweep, self._clock, self._commit)
        self._reconciling = asyncio.create_task(self._reconcile(self._reconciler, sweep, wanted), name="reconcile")
        return True

    async def _reconcile(self, reconciler: Reconciler, sweep: Reconciliation, wanted: Wanted | None) -> None:
        """`wanted` None: it goes on from where it was."""
        with contextlib.suppress(PartitionLost):  # the new owner goes on, from what is durable
            if wanted is not None:
                log.info("stock.reconcile channel=%s location=%s id=%s", *self.name, wanted[0].id)
                await self._commit(sweep.begin(*wanted, self._clock.now_ms()))
            await reconciler.run()

    def on_acknowledged(self, skus: Collection[str]) -> None:
        if self._reconciler is not None:
            self._reconciler.on_acknowledged(skus)

    def close(self) -> asyncio.Task[None] | None:
        """Returns the task that was cancelled, if there was one."""
        self._is_closed = True
        if self._reconciling is not None:
            self._reconciling.cancel()
        return self._reconciling
