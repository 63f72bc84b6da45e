"""Operations on all locations whose stock is sent from here: writes their statuses, pauses, resyncs, reconciles them.

One task visits every location again and again, at a cost that does not depend on how many SKUs wait there. The statuses
of all locations of a partition become durable together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Collection
from itertools import islice

from streams.delivery.ports import Clock
from streams.delivery.stock.metrics import ChannelGauges
from streams.delivery.stock.operations.location_operations import SKUS_AT_ONCE, LocationOperations
from streams.delivery.stock.operations.memory import Memory, Name, read_memory
from streams.delivery.stock.operations.step import STATUS, Step
from streams.delivery.stock.ports import SENT, StockLocation
from streams.runtime.following import Following
from streams.runtime.role import GONE, Change, Committer, Effect, PartitionLost, Table
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByViews, WholeView
from topics.records.keys import join
from topics.stock.controls import ControlIndex, Scope
from topics.stock.positions import DRIFT, REFUSED
from topics.stock.status import refused_key, status_key

TICK_S = 0.25
"""Time between two visits: so late a resync goes on, and the fact of a refusal leaves, at most."""
STATUS_MS = 1_000
"""Time between two statuses of all locations, and between two searches for sweeps to begin; people see a status that is
some seconds old."""
VISITED_AT_ONCE = 200
"""Locations visited before other work of the process gets its turn: some 3 ms."""
RESYNCS_MAX = 4
"""Locations that resync at once: the SKUs of each are sorted in memory, 8 bytes each."""
RECONCILES_MAX = 2
"""Locations that are reconciled at once: the SKUs of each are sorted in memory, and each has a question in flight."""

log = logging.getLogger(__name__)


class FollowedControls(KeptByViews, ControlIndex):
    """All of inventory.controls, known before the first call. While Kafka is away, what was known last counts."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._views = (WholeView(settings, "inventory.controls", self.apply, one_owner=False),)


class StockOperations:
    """Implements streams.delivery.stock.ports.StockListener, for the stock sender."""

    def __init__(self, channels: Channels, controls: ControlIndex) -> None:
        self._channels = channels.channels
        self._controls = controls
        self._following = Following(controls)
        self._committer: Committer  # from `start` on
        self._clock: Clock
        self._memory: dict[int, dict[Name, Memory]] = {}
        """By partition: what the last owner left about locations that are not open yet."""
        self._locations: dict[Name, LocationOperations] = {}
        self._recovered: set[int] = set()
        """Partitions with all locations open: a location that opens now is new."""
        self._steps: list[tuple[int, Step]] = []
        """To be committed by the next tick."""
        self._status_ms = 0
        self._gauges = ChannelGauges()
        controls.listeners.append(self._on_control)

    # Lifecycle

    async def start(self, committer: Committer, clock: Clock) -> None:
        """Returns when what operators asked is known: nothing is sent before."""
        self._committer = committer
        self._clock = clock
        await self._following.start(committer)

    async def stop(self) -> None:
        tasks = [task for each in self._locations.values() if (task := each.close()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._following.stop()

    def unready(self) -> str | None:
        return self._following.ready()

    def on_assigned(self, partition: int, sent: Table) -> None:
        """A partition is this worker's, and its positions are being read. `sent`: its table inventory.sent."""
        self._memory[partition] = read_memory(sent, partition)

    async def on_recovered(self, partition: int) -> None:
        """All locations of the partition are open: what is left in memory is of locations that do not exist any more,
        or, of drifts, are not read back any more."""
        self._recovered.add(partition)
        left = self._memory.pop(partition, {})
        for name, memory in left.items():
            skus = [sku for sku, _ in memory.refused]
            for start in range(0, len(skus), SKUS_AT_ONCE):
                some = skus[start : start + SKUS_AT_ONCE]
                keys = [*(refused_key(*name, sku) for sku in some), status_key(*name)]
                ends = tuple(Effect(STATUS, key, GONE, (), partition) for key in keys)
                forgotten = tuple(Change(SENT, join(REFUSED, *name, sku), None) for sku in some)
                await self._commit(partition, Step(ends, forgotten))
        drifts = [join(DRIFT, *name, sku) for name, memory in left.items() for sku, _ in memory.drifts]
        for start in range(0, len(drifts), SKUS_AT_ONCE):
            forgotten = tuple(Change(SENT, key, None) for key in drifts[start : start + SKUS_AT_ONCE])
            await self._commit(partition, Step(changes=forgotten))

    def on_revoked(self, partition: int) -> None:
        self._recovered.discard(partition)
        self._memory.pop(partition, None)

    # Listener

    def on_opened(self, location: StockLocation) -> Collection[str]:
        name, partition = (location.channel, location.location), location.partition
        left = self._memory.get(partition, {})
        memory = left.pop(name, Memory())
        if location.reading is None and memory.drifts:
            left[name] = Memory(drifts=memory.drifts)
        settings = self._channels[location.channel].stock
        opened = LocationOperations(location, memory, settings, self._controls, self._committer, self._clock)
        self._locations[name] = opened
        asked = self._controls.resync_of(*name)
        if asked is not None and partition in self._recovered:
            self._steps.append((partition, opened.resync.skip(asked, self._clock.now_ms())))
        opened.apply_pause()
        return set(opened.refusals.skus)

    def on_closed(self, location: StockLocation) -> None:
        closed = self._of(location)
        if closed is not None:
            closed.close()
            del self._locations[closed.name]

    def on_refused(
        self, location: StockLocation, sku: str, *, failures: int, since_ms: int, status: int | None, words: str
    ) -> None:
        of = self._of(location)
        if of is not None:
            of.refusals.refused(sku, failures=failures, since_ms=since_ms, status=status, now_ms=self._clock.now_ms())
        said = "stock.refused channel=%s location=%s sku=%s failures=%d status=%s reason=%s"
        log.warning(said, location.channel, location.location, sku, failures, status, words)

    def on_accepted(self, location: StockLocation, sku: str) -> None:
        of = self._of(location)
        if of is not None:
            of.refusals.accepted(sku)

    def on_acknowledged(self, location: StockLocation, skus: Collection[str]) -> None:
        of = self._of(location)
        if of is not None:
            of.on_acknowledged(skus)

    def _of(self, location: StockLocation) -> LocationOperations | None:
        """None when the location is closed; its partition may have come back with another object for it."""
        of = self._locations.get((location.channel, location.location))
        return of if of is not None and of.location is location else None

    def _on_control(self, scope: Scope) -> None:
        """A pause holds at once; what was asked for begins with a later tick."""
        for (channel, location), each in self._locations.items():
            if channel == scope.channel and scope.location in (None, location):
                each.apply_pause()

    # The visit of all locations

    async def run(self) -> None:
        """Until it is cancelled. Raises what ended it."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        now_ms = self._clock.now_ms()
        steps, self._steps = self._steps, []
        for partition, step in steps:
            await self._commit(partition, step)
        is_due = now_ms - self._status_ms >= STATUS_MS
        if is_due:
            self._status_ms = now_ms
            await self._write_statuses(now_ms)
        for each in list(self._locations.values()):
            if each.refusals.pending:
                await each.report_refusals(now_ms)
        await self._advance_resyncs(now_ms, begin=is_due)
        await self._advance_reconciliations(now_ms, begin=is_due)

    async def _write_statuses(self, now_ms: int) -> None:
        statuses: dict[int, list[Effect]] = defaultdict(list)
        for number, each in enumerate(list(self._locations.values())):
            if number % VISITED_AT_ONCE == VISITED_AT_ONCE - 1:
                await asyncio.sleep(0)
            effect = each.status_effect(now_ms)
            if effect is not None:
                statuses[each.location.partition].append(effect)
        self._gauges.show(((channel, each.figures) for (channel, _), each in self._locations.items()), now_ms)
        await asyncio.gather(*(self._commit(partition, Step(tuple(new))) for partition, new in statuses.items()))

    async def _advance_resyncs(self, now_ms: int, *, begin: bool) -> None:
        """At most RESYNCS_MAX; those that go on come first."""
        at_it = [each for each in self._locations.values() if each.resync.goes_on][:RESYNCS_MAX]
        if begin:
            others = (each for each in self._locations.values() if not each.resync.goes_on)
            new = (each for each in others if each.wants_resync(now_ms) is not None)
            at_it += islice(new, RESYNCS_MAX - len(at_it))
        await asyncio.gather(*(each.advance_resync(now_ms) for each in at_it))

    async def _advance_reconciliations(self, now_ms: int, *, begin: bool) -> None:
        """Reconciliations go on by themselves; a paused one does not count. Raises what ended one."""
        locations = list(self._locations.values())
        for each in locations:
            await each.reap_reconciler()
        if begin:
            going = sum(each.is_reconciling and not each.location.figures().paused for each in locations)
            for each in locations:
                if going >= RECONCILES_MAX:
                    return
                if not (each.is_reconciling or each.location.figures().paused):
                    going += each.start_reconciler(now_ms)

    async def _commit(self, partition: int, step: Step) -> None:
        with contextlib.suppress(PartitionLost):  # the new owner does the same, from what is durable
            await self._committer.commit(partition, step.effects, step.changes)
