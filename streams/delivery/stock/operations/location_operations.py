"""Watches the places whose stock is sent from here: tells how they fare and what is refused, pauses and resyncs them.

One task looks at every place again and again, at a cost that does not grow with what waits there. The statuses of all
places of a partition become durable together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import islice

from streams.delivery.ports import Clock
from streams.delivery.stock.operations.reconciliations import ReconcileDesk
from streams.delivery.stock.operations.rejections import Refusals
from streams.delivery.stock.operations.resync import Cause, PlaceResync, daily_ask, resync_key
from streams.delivery.stock.operations.status import Rate, Written
from streams.delivery.stock.operations.step import SENT, STATUS, Step
from streams.delivery.stock.ports import StockLocation
from streams.delivery.stock.stock_gauges import CHANGES, Gauges
from streams.runtime.following import Following
from streams.runtime.role import GONE, Change, Committer, Effect, PartitionLost, Table
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByView, WholeView
from topics.records.keys import join, split
from topics.stock.controls import Ask, ControlIndex, Scope
from topics.stock.positions import REFUSED, RESYNC
from topics.stock.status import LocationStatus, Reconciled, refused_key, status_key

LOOK_S = 0.25
"""How late a resync goes on, and how late the fact of a refusal leaves, at most."""
STATUS_MS = 1_000
"""How often all places are asked how they fare, and whether one is to resync; people see a status that is some seconds
old."""
LOOKED_AT_ONCE = 200
"""Places looked at before other work of the process gets its turn: some 3 ms."""
SAID_AT_ONCE = 500
"""Refused SKUs of one place in one commit: some 300 KB."""
RESYNCS_MAX = 4
"""Places that resync at once: the SKUs of each are sorted in memory, 8 bytes each."""

log = logging.getLogger(__name__)


class _Desk:
    """What is kept of one place."""

    def __init__(self, place: StockLocation, refusals: Refusals, resync: PlaceResync, now_ms: int) -> None:
        self.place = place
        self.refusals = refusals
        self.resync = resync
        self.written = Written()
        self.since_ms = now_ms
        self.figures = place.figures()
        self._before = self.figures
        """What the place was brought up to when it was taken over is no change."""
        self._rate = Rate()
        self._changes = CHANGES.labels(place.channel)

    def look(self, now_ms: int, reconcile: Reconciled | None) -> LocationStatus:
        before, self.figures = self.figures, self.place.figures()
        figures = self.figures
        self._changes.inc(figures.changes - before.changes)
        if figures.sent > before.sent:
            self._rate.add(figures.sent - before.sent, now_ms)
        return LocationStatus(
            dirty=figures.dirty,
            oldest_ms=figures.oldest_ms,
            sent_per_s=round(self._rate.per_s(now_ms), 1),
            changes=figures.changes - self._before.changes,
            sent=figures.sent - self._before.sent,
            refused=len(self.refusals.skus),
            paused=figures.paused,
            resync=self.resync.progress,
            resynced=self.resync.ended,
            reconcile=reconcile,
            since_ms=self.since_ms,
            at_ms=now_ms,
        )


class FollowedControls(KeptByView, ControlIndex):
    """All of inventory.controls, known before the first call. While Kafka is away, what was known last counts."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._view = WholeView(settings, "inventory.controls", self.apply, one_owner=False)


class StockOperations:
    """Implements streams.delivery.stock.ports.StockListener, for the stock sender."""

    def __init__(self, channels: Channels, controls: ControlIndex) -> None:
        self._channels = channels.channels
        self.controls = controls
        self._following = Following(controls)
        self._reconciles = ReconcileDesk(self._channels, controls)
        self._committer: Committer | None = None
        self._clock: Clock | None = None
        self._remembered: dict[int, dict[tuple[str, str], list[tuple[str, bytes]]]] = {}
        """Of each partition, by channel and location: SKUs that were refused, and what is remembered of them."""
        self._resyncs: dict[int, dict[bytes, bytes]] = {}
        self._desks: dict[tuple[str, str], _Desk] = {}
        self._settled: set[int] = set()
        """Partitions of which all places are open: one that comes now is new."""
        self._notes: list[tuple[int, Step]] = []
        """To be made durable at the next look."""
        self._told_ms = 0
        self._sought_ms = 0
        self._gauges = Gauges()
        controls.listeners.append(self._asked)

    # What the stock sender tells

    async def start(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock
        self._reconciles.start(committer, clock)
        await self._following.start(committer)

    async def stop(self) -> None:
        await self._reconciles.stop()
        await self._following.stop()

    def unready(self) -> str | None:
        return self._following.ready()

    def on_assigned(self, partition: int, sent: Table) -> None:
        """What is remembered of the places of a partition that is this worker's now; before they are opened."""
        remembered = self._remembered[partition] = defaultdict(list)
        for key, raw in sent.walk(REFUSED.encode() + b"|"):
            _, channel, location, sku = split(key)
            remembered[channel, location].append((sku, raw))
        self._resyncs[partition] = dict(sent.walk(RESYNC.encode() + b"|"))
        self._reconciles.on_assigned(partition, sent)

    async def on_recovered(self, partition: int) -> None:
        """All places of the partition are open: what is remembered of others was of places that are none any more."""
        self._settled.add(partition)
        left = self._remembered.pop(partition, {})
        self._resyncs.pop(partition, None)
        for (channel, location), refusals in left.items():
            for start in range(0, len(refusals), SAID_AT_ONCE):
                skus = [sku for sku, _ in refusals[start : start + SAID_AT_ONCE]]
                keys = [refused_key(channel, location, sku) for sku in skus]
                gone = [Effect(STATUS, key, GONE, (), partition) for key in (*keys, status_key(channel, location))]
                forgotten = [Change(SENT, join(REFUSED, channel, location, sku), None) for sku in skus]
                await self._commit(partition, Step(tuple(gone), tuple(forgotten)))
        await self._reconciles.on_recovered(partition)

    def on_revoked(self, partition: int) -> None:
        self._settled.discard(partition)
        self._remembered.pop(partition, None)
        self._resyncs.pop(partition, None)
        self._reconciles.on_revoked(partition)

    def on_opened(self, place: StockLocation) -> Collection[str]:
        name, now_ms = (place.channel, place.location), self._now_ms()
        remembered = self._remembered.get(place.partition, {}).pop(name, [])
        refusals = Refusals(place, remembered)
        last = self._resyncs.get(place.partition, {}).pop(resync_key(place), None)
        resync, asked = PlaceResync(place, last, now_ms), self.controls.resync_of(*name)
        if asked is not None and place.partition in self._settled:
            self._notes.append((place.partition, resync.has_nothing_for(asked, now_ms)))
        self._desks[name] = _Desk(place, refusals, resync, now_ms)
        self._reconciles.on_opened(place)
        place.pause(paused=self.controls.is_paused(*name))
        return set(refusals.skus)

    def on_closed(self, place: StockLocation) -> None:
        self._reconciles.on_closed(place)
        if self._desk_of(place) is not None:
            del self._desks[place.channel, place.location]

    def on_refused(
        self, place: StockLocation, sku: str, *, failures: int, since_ms: int, status: int | None, words: str
    ) -> None:
        desk = self._desk_of(place)
        if desk is not None:
            desk.refusals.refused(sku, failures=failures, since_ms=since_ms, status=status, now_ms=self._now_ms())
        log.warning(
            "stock.refused channel=%s location=%s sku=%s failures=%d status=%s reason=%s",
            place.channel,
            place.location,
            sku,
            failures,
            status,
            words,
        )

    def on_accepted(self, place: StockLocation, sku: str) -> None:
        desk = self._desk_of(place)
        if desk is not None:
            desk.refusals.accepted(sku)

    def on_acknowledged(self, place: StockLocation, skus: Collection[str]) -> None:
        self._reconciles.on_acknowledged(place, skus)

    def _desk_of(self, place: StockLocation) -> _Desk | None:
        """None when it is closed; another worker's place may have come back as another one."""
        desk = self._desks.get((place.channel, place.location))
        return desk if desk is not None and desk.place is place else None

    # What operators ask

    def _asked(self, scope: Scope) -> None:
        """Resyncs are begun at the next look."""
        for (channel, location), desk in self._desks.items():
            if channel == scope.channel and scope.location in (None, location):
                desk.place.pause(paused=self.controls.is_paused(channel, location))

    # The look at all places

    async def run(self) -> None:
        """Until it is cancelled. Raises what ended it."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        now_ms = self._now_ms()
        notes, self._notes = self._notes, []
        for partition, step in notes:
            await self._commit(partition, step)
        if now_ms - self._told_ms >= STATUS_MS:
            self._told_ms = now_ms
            await self._tell(now_ms)
        for desk in list(self._desks.values()):
            if desk.refusals.pending:
                for step in desk.refusals.steps(now_ms, SAID_AT_ONCE):
                    await self._commit(desk.place.partition, step)
                    if self._desk_of(desk.place) is not desk:
                        break  # closed meanwhile: whoever has the place now says the rest
        await asyncio.gather(*(self._resync(desk, now_ms) for desk in self._resyncing(now_ms)))
        await self._reconciles.look(now_ms)

    async def _tell(self, now_ms: int) -> None:
        statuses: dict[int, list[Effect]] = defaultdict(list)
        for number, desk in enumerate(list(self._desks.values())):
            if number % LOOKED_AT_ONCE == LOOKED_AT_ONCE - 1:
                await asyncio.sleep(0)
            status = desk.look(now_ms, self._reconciles.shown(desk.place))
            due = desk.written.due(status)
            if due is not None:
                statuses[desk.place.partition].append(_status_effect(desk.place, status if due else None))
        self._gauges.show(((channel, desk.figures) for (channel, _), desk in self._desks.items()), now_ms)
        await asyncio.gather(*(self._commit(partition, Step(tuple(new))) for partition, new in statuses.items()))

    def _resyncing(self, now_ms: int) -> Iterable[_Desk]:
        """Those that resync or are to begin, not more than may at once; what goes on comes first."""
        going = [desk for desk in self._desks.values() if desk.resync.goes_on]
        if len(going) >= RESYNCS_MAX or now_ms - self._sought_ms < STATUS_MS:
            return going[:RESYNCS_MAX]
        self._sought_ms = now_ms
        others = (desk for desk in self._desks.values() if not desk.resync.goes_on)
        new = (desk for desk in others if self._wanted(desk, now_ms) is not None)
        return [*going, *islice(new, RESYNCS_MAX - len(going))]

    async def _resync(self, desk: _Desk, now_ms: int) -> None:
        wanted = self._wanted(desk, now_ms)
        if wanted is not None:
            step: Step | None = desk.resync.begin(*wanted, now_ms)
            log.info("stock.resync channel=%s location=%s id=%s", desk.place.channel, desk.place.location, wanted[0].id)
        else:
            while not desk.resync.sort_some():  # noqa: ASYNC110 - it works, and gives way
                await asyncio.sleep(0)
            step = desk.resync.move(is_refused=desk.refusals.skus.__contains__, now_ms=now_ms)
        if step is not None:
            await self._commit(desk.place.partition, step)

    def _wanted(self, desk: _Desk, now_ms: int) -> tuple[Ask, Cause] | None:
        place = desk.place
        daily_at = self._channels[place.channel].stock.resync_daily_at
        return desk.resync.wants(self.controls.resync_of(place.channel, place.location), daily_ask(daily_at, now_ms))

    async def _commit(self, partition: int, step: Step) -> None:
        if self._committer is None:
            raise RuntimeError("a place was opened before the start")
        with contextlib.suppress(PartitionLost):  # its new owner tells it, from what is durable
            await self._committer.commit(partition, step.effects, step.changes)

    def _now_ms(self) -> int:
        if self._clock is None:
            raise RuntimeError("a place was opened before the start")
        return self._clock.now_ms()


def _status_effect(place: StockLocation, status: LocationStatus | None) -> Effect:
    value = GONE if status is None else status.encode()
    return Effect(STATUS, status_key(place.channel, place.location), value, (), place.partition)
