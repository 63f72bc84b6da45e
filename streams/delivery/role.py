"""The delivery role: accepts requests into the outbox, and hands them to the dispatchers of their destinations.

This module connects the role's parts with the hooks that the runtime calls; streams/delivery/bootstrap.py builds them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from random import Random
from types import MappingProxyType

from streams.delivery import metrics
from streams.delivery.admission.bytes_in_flight import BytesInFlight
from streams.delivery.admission.gate_view import GateRegistry
from streams.delivery.admission.permits import PERMITS
from streams.delivery.destinations import Destinations, shards_in
from streams.delivery.dispatch.destination import DispatchDependencies
from streams.delivery.dispatch.dispatcher_factory import DispatcherFactory
from streams.delivery.dispatch.partition import DeliveryPartition
from streams.delivery.dispatch.shard import Worker
from streams.delivery.outbox.header_sweeper import HeaderSweeper
from streams.delivery.outbox.intake import Accepted, accept, note_gap, outcome_of_set_aside
from streams.delivery.outbox.records import OUTBOX
from streams.delivery.ports import Caller, Clock, Sender, Stock
from streams.delivery.shutdown import DRAIN_S
from streams.delivery.stock.ports import SENT
from streams.delivery.tasks import BackgroundTasks, Failure, TimeSlicer
from streams.positions.position_table import PositionTable
from streams.runtime.following import Following
from streams.runtime.role import Change, Committer, Effect, Record, Role, Tables
from streams.runtime.tables.local_store import LocalStore
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.destinations.pauses import PauseIndex
from topics.records.keys import subscription_destination
from topics.subscriptions.index import SubscriptionIndex

log = logging.getLogger(__name__)


class DeliveryRole(Role):
    """Sends every request that leaves Sluice: one dispatcher for each shard of each destination that lives here."""

    name = "delivery"
    source = "deliveries.requests"
    tables = (OUTBOX, PERMITS, SENT)
    targets = ("inventory.status", "inventory.events", "replies")
    spills = frozenset({OUTBOX})
    table_kinds = MappingProxyType({SENT: PositionTable})

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        *,
        subscriptions: SubscriptionIndex,
        gates: GateRegistry,
        pauses: PauseIndex,
        sender: Sender,
        stock: Stock | None,
        clock: Clock,
        random: Random,
        failure: Failure,
    ) -> None:
        """`stock` None: no stock is sent. `failure` is shared with the parts that report to it."""
        self._settings = settings
        self._channels = channels
        self._subscriptions = subscriptions
        self._gates = gates
        self._pauses = pauses
        self._sender = sender
        self._stock = stock
        self._clock = clock
        self._random = random
        self._failure = failure
        self._destinations = Destinations(channels, subscriptions)
        self._store = LocalStore(settings.state_dir / f"delivery-{settings.instance}.lanes")
        self._following = Following(subscriptions, gates, pauses)
        self._tasks = BackgroundTasks(failure.report)
        self._shared: DispatchDependencies | None = None
        """None before `start`."""
        self._accepted: Accepted = {}
        """Entries of the chunk that is being decided."""
        self._partitions: dict[int, DeliveryPartition] = {}
        self._sweeps: dict[int, asyncio.Task[None]] = {}

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        partitions = self._settings.partitions
        return accept(record, tables[OUTBOX], self._channels, self._destinations, partitions, self._accepted)

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:
        partition = self._partitions.get(record.partition)
        if partition is not None:
            note_gap(record, code, partition.tables[OUTBOX])
        return outcome_of_set_aside(record, reason)

    async def start(self, committer: Committer) -> None:
        self._failure.report_to(committer.fail)
        self._store.clear()
        await self._following.start(committer)
        self._shared = self._share(committer)
        self._subscriptions.listeners.append(self._on_subscription_changed)
        self._count_subscriptions()
        await self._sender.start()
        if self._stock is not None:
            await self._stock.start(committer, self._clock)

    def on_assigned(self, partition: int, tables: Tables) -> None:
        shared = self._shared
        if shared is None:
            raise RuntimeError("a partition was assigned before start")
        far_sides = shards_in(partition, self._destinations.far_sides, self._settings.partitions)
        assigned = self._partitions[partition] = DeliveryPartition(partition, tables, shared, far_sides)
        sweeper = HeaderSweeper(partition, tables[OUTBOX], shared.worker.committer, self._clock, self._is_idle)
        dispatchers = assigned.dispatchers
        callers: dict[tuple[str, int], Caller] = {shard: dispatchers[shard] for shard in far_sides}
        assigned.start_loading()
        self._sweeps[partition] = self._tasks.start(sweeper.run())
        if self._stock is not None:
            self._stock.on_assigned(partition, tables, callers)

    def changed(self, partition: int, changes: list[Change]) -> None:
        of_outbox = (change for change in changes if change.table == OUTBOX)
        self._partitions[partition].on_outbox_changed(of_outbox, self._accepted)
        self._accepted.clear()

    def on_revoked(self, partition: int) -> None:
        if self._stock is not None:
            self._stock.on_revoked(partition)
        revoked = self._partitions.pop(partition, None)
        if revoked is not None:
            revoked.on_revoked()
        if self._shared is not None:
            self._shared.factory.on_revoked(partition)
        sweep = self._sweeps.pop(partition, None)
        if sweep is not None:
            sweep.cancel()

    def reload(self) -> None:
        self._tasks.start(self._sender.reload())

    async def stop(self) -> None:
        until_ms = self._clock.now_ms() + round(DRAIN_S * 1000)
        ends = [drain for partition in self._partitions.values() for drain in partition.drain(until_ms)]
        if self._stock is not None:
            ends.append(self._stock.stop())
        for ended in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(ended, Exception):  # the steps that follow are made all the same
                log.error("delivery.stop: %s", ended, exc_info=ended)
        for sweep in self._sweeps.values():
            sweep.cancel()
        await self._tasks.join()
        await self._sender.stop()
        await self._following.stop()
        self._store.clear()

    def ready(self) -> str | None:
        if self._failure.error is not None:
            return f"ended by an error: {self._failure.error}"
        # Without a partition there is nothing to do, which is no fault; the runtime says whether it is still joining.
        loading = sorted(number for number, partition in self._partitions.items() if partition.is_loading)
        backlog = f"the backlogs of partitions {loading} are being loaded" if loading else None
        stock = self._stock.ready() if self._stock is not None else None
        return self._sender.unready() or self._following.ready() or backlog or stock

    def _share(self, committer: Committer) -> DispatchDependencies:
        worker = Worker(
            committer=committer,
            sender=self._sender,
            clock=self._clock,
            random=self._random,
            crashed=self._failure.report,
            bytes_in_flight=BytesInFlight(self._settings.delivery_bytes_max),
        )
        factory = DispatcherFactory(
            self._settings,
            destinations=self._destinations,
            subscriptions=self._subscriptions,
            gates=self._gates,
            pauses=self._pauses,
            store=self._store,
            worker=worker,
        )
        return DispatchDependencies(
            channels=self._channels.channels,
            destinations=self._destinations,
            subscriptions=self._subscriptions,
            factory=factory,
            slicer=TimeSlicer(),
            tasks=self._tasks,
            worker=worker,
        )

    def _on_subscription_changed(self, subscription: str) -> None:
        try:
            self._follow_subscription(subscription)
        except Exception as error:  # noqa: BLE001 - the view would take it for a fault of the record
            self._failure.report(error)

    def _follow_subscription(self, subscription: str) -> None:
        self._count_subscriptions()
        destination = subscription_destination(subscription)
        if self._shared is not None:
            self._shared.factory.on_subscription_changed(destination)
        for partition in self._partitions.values():
            partition.on_subscription_changed(destination)
        if self._destinations.is_deleted(destination):
            metrics.forget(destination)

    def _count_subscriptions(self) -> None:
        metrics.DISABLED_SUBSCRIPTIONS.set(self._subscriptions.disabled_number())
        metrics.UNREADABLE_SUBSCRIPTIONS.set(len(self._subscriptions.unreadable))

    def _is_idle(self, partition: int, lane: str) -> bool:
        assigned = self._partitions.get(partition)
        return assigned is None or assigned.is_idle(lane)
