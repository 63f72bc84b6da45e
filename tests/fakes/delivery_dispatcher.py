"""The dispatcher of one subscription, played alone: its outbox, its far side and a clock that moves only when told."""

from __future__ import annotations

from pathlib import Path
from random import Random

from streams.delivery.admission.admission import Admission
from streams.delivery.admission.circuit_breaker import CircuitBreaker
from streams.delivery.admission.limiters.limits import Limits
from streams.delivery.admission.pause_gate import PauseGate
from streams.delivery.admission.permits import PermitRecord, Permits
from streams.delivery.admission.retry_after_gate import RetryAfterGate
from streams.delivery.dispatch.dispatcher import Dispatcher
from streams.delivery.dispatch.shard import Shard, Worker
from streams.delivery.lanes.spilled import SpilledLanes
from streams.delivery.outbox.records import decode_entry, decode_header
from streams.runtime.tables.local_store import LocalStore
from tests.fakes.delivery import Durable, ManualClock, PlayedSender
from tests.fakes.delivery_tables import MemoryTable
from tests.support.subscriptions import A as SUBSCRIPTION
from tests.support.subscriptions import fact_request
from topics.destinations.pauses import PauseIndex
from topics.records.deliveries import DeliveryRequest, body_of
from topics.records.keys import entry_key, header_key, subscription_destination
from topics.subscriptions.model import Subscription

PARTITION = 0


def fact(code: str, sequence: int) -> DeliveryRequest:
    """Named after its place, so that what was sent can be read."""
    return fact_request(
        code, sequence, SUBSCRIPTION, id=f"{code}-{sequence}", body=body_of({"orderCode": code}), story=0
    )


class PlayedDispatcher:
    """`restart` is another worker over what was durable."""

    def __init__(
        self,
        config: Subscription,
        *,
        durable: Durable | None = None,
        clock: ManualClock | None = None,
        seed: int = 1,
        store: LocalStore | None = None,
        sender: PlayedSender | None = None,
    ) -> None:
        """`store`: where lanes are spilled; none are without one, if there are few."""
        self.config = config
        self.clock = clock or ManualClock()
        self.durable = durable or Durable()
        self.sender = sender or PlayedSender(self.clock)
        self.crashes: list[BaseException] = []
        self.store = store or LocalStore(Path("never-spilled"))
        permits = Permits(
            key=b"played",
            partition=PARTITION,
            limits=Limits(),
            gate=RetryAfterGate(),
            left=PermitRecord(),
            committer=self.durable,
            clock=self.clock,
        )
        self.dispatcher = Dispatcher(
            Shard(destination=subscription_destination(config.id), number=0, partition=PARTITION, config=config),
            Worker(
                committer=self.durable,
                sender=self.sender,
                clock=self.clock,
                random=Random(seed),
                crashed=self.crashes.append,
            ),
            outbox=self.outbox,
            spilled=SpilledLanes(self.store),
            admission=Admission(
                permits=permits,
                pause=PauseGate(PauseIndex(), subscription_destination(config.id)),
                breaker=CircuitBreaker(Random(seed)),
                config=config,
                clock=self.clock,
            ),
        )
        self.dispatcher.start()

    @property
    def outbox(self) -> MemoryTable:
        return self.durable.of(PARTITION)["deliveries.outbox"]

    def give(self, *requests: DeliveryRequest) -> None:
        for request in requests:
            key = header_key(request.lane)
            header = decode_header(self.outbox.get(key))
            entry = header.append(request, self.clock.now_ms())
            self.outbox.put(entry_key(request.lane, request.id), entry.encode())
            self.outbox.put(key, header.encode())
            self.dispatcher.enqueue(entry)

    async def restart(self, seed: int = 2) -> PlayedDispatcher:
        self.durable.lost = True
        self.dispatcher.cancel()
        await self.clock.settle()
        kept = Durable(tables=self.durable.tables, effects=self.durable.effects)
        again = PlayedDispatcher(
            self.config, durable=kept, clock=self.clock, seed=seed, store=self.store, sender=self.sender
        )
        entries = [decode_entry(raw) for key, raw in self.outbox.items() if b"||" in key]
        for entry in sorted(entries, key=lambda one: one.position):
            again.dispatcher.enqueue(entry)
        return again

    def told(self) -> list[tuple[str, int, int, int]]:
        """Of each arrival its id, and what it says of its place in the order's story."""
        calls = [arrival.call for arrival in self.sender.arrivals]
        return [(call.delivery_id, call.sequence, call.previous_sequence, call.watermark) for call in calls]
