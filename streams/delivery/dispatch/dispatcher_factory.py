"""Creates dispatchers from the settings and the durable state of their destinations."""

from __future__ import annotations

import logging
from collections import defaultdict

from streams.delivery import metrics
from streams.delivery.admission.admission import Admission
from streams.delivery.admission.circuit_breaker import CircuitBreaker
from streams.delivery.admission.gate_view import GateRegistry
from streams.delivery.admission.limiters.limits import limits_for
from streams.delivery.admission.pause_gate import PauseGate
from streams.delivery.admission.permits import PERMITS, Permits, permits_key, permits_left
from streams.delivery.destinations import Destinations
from streams.delivery.dispatch.dispatcher import Dispatcher
from streams.delivery.dispatch.shard import Shard, Worker
from streams.delivery.lanes.spilled import SpilledLanes
from streams.delivery.outbox.records import OUTBOX
from streams.delivery.subscribers.backlog import BacklogReporter
from streams.delivery.subscribers.health import SubscriptionHealth
from streams.runtime.role import Tables
from streams.runtime.tables.local_store import LocalStore
from topics.configuration.settings import Settings
from topics.destinations.pauses import PauseIndex
from topics.records.keys import destination_partition, subscription_destination, subscription_of
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import Backlog

log = logging.getLogger(__name__)


class DispatcherFactory:
    """Parts that the dispatchers of this worker share, in all its partitions."""

    def __init__(
        self,
        settings: Settings,
        *,
        destinations: Destinations,
        subscriptions: SubscriptionIndex,
        gates: GateRegistry,
        pauses: PauseIndex,
        store: LocalStore,
        worker: Worker,
    ) -> None:
        self._partitions = settings.partitions
        self._disable_after_ms = settings.subscription_disable_after_s * 1000
        self._destinations = destinations
        self._subscriptions = subscriptions
        self._gates = gates
        self._pauses = pauses
        self._store = store
        self._worker = worker
        self._breakers: defaultdict[str, CircuitBreaker] = defaultdict(lambda: CircuitBreaker(worker.random))
        self._failed: set[tuple[int, str]] = set()
        """Partitions and subscriptions whose dispatcher could not be created; tried again when they change."""

    def create(self, destination: str, shard: int, partition: int, tables: Tables) -> Dispatcher:
        """The caller starts it."""
        config = self._destinations.get(destination)
        if config is None:
            raise RuntimeError(f"no dispatcher for {destination}: it is not configured")
        subscription = subscription_of(destination)
        key = permits_key(destination, shard)
        permits = Permits(
            key=key,
            partition=partition,
            limits=limits_for(config.limits, config.shards),
            gate=self._gates.gate_of(destination),
            left=permits_left(tables[PERMITS], key, partition, self._worker.clock.now_ms()),
            committer=self._worker.committer,
            clock=self._worker.clock,
        )
        breaker = self._breakers[destination]
        return Dispatcher(
            Shard(destination=destination, number=shard, partition=partition, config=config),
            self._worker,
            outbox=tables[OUTBOX],
            spilled=SpilledLanes(self._store),
            admission=Admission(
                permits=permits,
                pause=PauseGate(self._pauses, destination),
                breaker=breaker,
                config=config,
                clock=self._worker.clock,
            ),
            health=self._health(subscription, shard),
            backlog=self._backlog(subscription, shard),
        )

    def _health(self, subscription: str | None, shard: int) -> SubscriptionHealth | None:
        if subscription is None:
            return None
        return SubscriptionHealth(subscription, shard, self._subscriptions, self._disable_after_ms)

    def _backlog(self, subscription: str | None, shard: int) -> BacklogReporter | None:
        if subscription is None:
            return None
        return BacklogReporter(subscription, shard, self._subscriptions.backlog(subscription).get(shard, Backlog()))

    def create_for_subscription(
        self, destination: str, shard: int, partition: int, tables: Tables
    ) -> Dispatcher | None:
        """None: the subscription is not known, its shard lives elsewhere, or its settings permit no dispatcher."""
        config = self._destinations.get(destination)
        home = destination_partition(destination, shard, self._partitions)
        if config is None or shard >= config.shards or home != partition or (partition, destination) in self._failed:
            return None
        try:
            return self.create(destination, shard, partition, tables)
        except Exception:
            # Bad settings of one subscription must not stop others: its requests go on waiting.
            log.exception("delivery.no_runner destination=%s shard=%d: nothing is sent there", destination, shard)
            self._set_failed(self._failed | {(partition, destination)})
            return None

    def reported_backlogs(self, partition: int) -> list[tuple[str, int]]:
        """Subscriptions with a reported backlog, and their shards that live in a partition: their dispatchers report
        when the backlog is gone."""
        reported = [(subscription_destination(name), shard) for name, shard in self._subscriptions.with_backlog()]
        return [one for one in reported if destination_partition(*one, self._partitions) == partition]

    def on_subscription_changed(self, destination: str) -> None:
        self._set_failed({known for known in self._failed if known[1] != destination})
        if self._destinations.is_deleted(destination):
            self._breakers.pop(destination, None)
            self._gates.forget(destination)

    def on_revoked(self, partition: int) -> None:
        self._set_failed({known for known in self._failed if known[0] != partition})

    def _set_failed(self, failed: set[tuple[int, str]]) -> None:
        self._failed = failed
        metrics.NO_DISPATCHER.set(len({destination for _, destination in failed}))
