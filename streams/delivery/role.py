"""The delivery role: takes requests into the outbox, and gives them to the owners of their destinations.

Here is how its parts are put together, and what the runtime calls. Who owns what of a partition is owners.py's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from random import Random
from types import EllipsisType, MappingProxyType

from streams.delivery import metrics
from streams.delivery.admission.gate_view import FollowedGates, GateRegistry
from streams.delivery.admission.permits import PERMITS
from streams.delivery.clock import SystemClock
from streams.delivery.destinations import Destinations, shards_in
from streams.delivery.dispatch.destination import DispatchDependencies
from streams.delivery.dispatch.dispatcher_factory import DispatcherFactory
from streams.delivery.dispatch.partition import DeliveryPartition
from streams.delivery.outbox.header_sweeper import HeaderSweeper
from streams.delivery.outbox.intake import Taken, note_gap, take, tell_of_set_aside
from streams.delivery.outbox.records import OUTBOX
from streams.delivery.ports import Caller, Clock, Sender, Stock
from streams.delivery.senders.router import SenderRouter
from streams.delivery.shutdown import DRAIN_S
from streams.delivery.stock.location import SENT
from streams.delivery.stock.sender import StockSender
from streams.delivery.tasks import BackgroundTasks, TimeSlicer
from streams.positions.position_table import PositionTable
from streams.runtime.following import Following
from streams.runtime.role import Change, Committer, Effect, Record, Role, Tables
from streams.runtime.tables.local_store import LocalStore
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.records.keys import subscription_destination
from topics.subscriptions.index import SubscriptionIndex, SubscriptionView

log = logging.getLogger(__name__)


class DeliveryRole(Role):
    """Everything that leaves. One runner for each shard of each destination that lives here."""

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
        sender: Sender | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        stock: Stock | EllipsisType | None = ...,
        crashed: Callable[[BaseException], None] | None = None,
        subscriptions: SubscriptionIndex | None = None,
        gates: GateRegistry | None = None,
    ) -> None:
        """`stock` left out: the real stock sender; None: no stock is sent (a test of the rest). `crashed` left out:
        what this process knows may be ahead of what is durable, so the committer ends it. `subscriptions` and `gates`
        left out: those of Kafka, followed from `start` on."""
        self._settings = settings
        self._channels = channels
        self._subscriptions = subscriptions or SubscriptionView(settings)
        self._destinations = Destinations(channels, self._subscriptions)
        self._clock: Clock = clock or SystemClock()
        self._sender: Sender = sender or SenderRouter(
            settings, channels, subscriptions=self._subscriptions, clock=self._clock, crashed=self._fail
        )
        self._random = random or Random()
        self._stock = StockSender(settings, channels, crashed=self._fail) if isinstance(stock, EllipsisType) else stock
        self._crashed = crashed
        self._store = LocalStore(settings.state_dir / f"delivery-{settings.instance}.lanes")
        self._gates = gates or FollowedGates(settings)
        self._following = Following(self._subscriptions, self._gates)
        self._chores = BackgroundTasks(self._fail)
        self._committer: Committer | None = None
        self._shared: DispatchDependencies | None = None
        """From `start` on."""
        self._taken: Taken = {}
        """Of the chunk that is being decided."""
        self._owners: dict[int, DeliveryPartition] = {}
        self._headers: dict[int, HeaderSweeper] = {}
        self._failure: BaseException | None = None

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        partitions = self._settings.partitions
        return take(record, tables[OUTBOX], self._channels, self._destinations, partitions, self._taken)

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:
        owners = self._owners.get(record.partition)
        if owners is not None:
            note_gap(record, code, owners.tables[OUTBOX])
        return tell_of_set_aside(record, reason)

    async def start(self, committer: Committer) -> None:
        self._committer = committer
        self._store.clear()
        await self._following.start(committer)
        self._shared = self._share(committer)
        self._subscriptions.listeners.append(self._subscription_changed)
        self._tell_of_subscriptions()
        await self._sender.start()
        if self._stock is not None:
            await self._stock.start(committer, self._clock)

    def on_assigned(self, partition: int, tables: Tables) -> None:
        shared = self._shared
        if shared is None:
            raise RuntimeError("a partition came before start")
        far_sides = shards_in(partition, self._destinations.far_sides, self._settings.partitions)
        owners = self._owners[partition] = DeliveryPartition(partition, tables, shared, far_sides)
        keeping = self._headers[partition] = HeaderSweeper(
            partition, tables[OUTBOX], shared.committer, self._clock, self._is_idle, self._fail
        )
        runners = owners.runners
        callers: dict[tuple[str, int], Caller] = {place: runners[place] for place in far_sides}
        owners.arrive()
        keeping.start()
        if self._stock is not None:
            self._stock.on_assigned(partition, tables, callers)

    def changed(self, partition: int, changes: list[Change]) -> None:
        self._owners[partition].changed((change for change in changes if change.table == OUTBOX), self._taken)
        self._taken.clear()

    def on_revoked(self, partition: int) -> None:
        if self._stock is not None:
            self._stock.on_revoked(partition)
        owners = self._owners.pop(partition, None)
        if owners is not None:
            owners.drop()
        if self._shared is not None:
            self._shared.runners.on_revoked(partition)
        keeping = self._headers.pop(partition, None)
        if keeping is not None:
            self._chores.keep(keeping.drop())

    async def stop(self) -> None:
        until_ms = self._clock.now_ms() + round(DRAIN_S * 1000)
        ending = [drained for owners in self._owners.values() for drained in owners.drain(until_ms)]
        if self._stock is not None:
            ending.append(self._stock.stop())
        for ended in await asyncio.gather(*ending, return_exceptions=True):
            if isinstance(ended, Exception):  # the steps that follow are no worse for it
                log.error("delivery.stop: %s", ended, exc_info=ended)
        for keeping in self._headers.values():
            self._chores.keep(keeping.drop())
        await self._chores.ended()
        await self._sender.stop()
        await self._following.stop()
        self._store.clear()

    def ready(self) -> str | None:
        if self._failure is not None:
            return f"ended by an error: {self._failure}"
        # Without a partition there is nothing to do, which is no fault; the runtime says whether it is still joining.
        arriving = sorted(partition for partition, owners in self._owners.items() if owners.is_arriving)
        given = f"what waits in partitions {arriving} is being given to its owners" if arriving else None
        stock = self._stock.ready() if self._stock is not None else None
        return self._sender.unready() or self._following.ready() or given or stock

    def _share(self, committer: Committer) -> DispatchDependencies:
        runners = DispatcherFactory(
            self._settings,
            destinations=self._destinations,
            subscriptions=self._subscriptions,
            gates=self._gates,
            store=self._store,
            committer=committer,
            sender=self._sender,
            clock=self._clock,
            random=self._random,
            crashed=self._fail,
        )
        return DispatchDependencies(
            channels=self._channels.channels,
            destinations=self._destinations,
            subscriptions=self._subscriptions,
            runners=runners,
            slices=TimeSlicer(),
            chores=self._chores,
            committer=committer,
            clock=self._clock,
        )

    def _subscription_changed(self, subscription: str) -> None:
        self._tell_of_subscriptions()
        destination = subscription_destination(subscription)
        if self._shared is not None:
            self._shared.runners.subscription_changed(destination)
        for owners in self._owners.values():
            owners.subscription_changed(destination)
        if self._destinations.is_deleted(destination):
            metrics.forget(destination)

    def _tell_of_subscriptions(self) -> None:
        metrics.DISABLED_SUBSCRIPTIONS.set(self._subscriptions.disabled_number())
        metrics.UNREADABLE_SUBSCRIPTIONS.set(len(self._subscriptions.unreadable))

    def _is_idle(self, partition: int, lane: str) -> bool:
        owners = self._owners.get(partition)
        return owners is None or owners.is_idle(lane)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        if self._crashed is not None:
            self._crashed(error)
        elif self._committer is not None:
            self._committer.fail(error)
