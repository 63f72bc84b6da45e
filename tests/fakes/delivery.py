"""The delivery role without a network, a broker or real time: everything it is given, played."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from streams.delivery.admission.circuit_breaker import CircuitBreaker
from streams.delivery.admission.gate_view import GateRegistry
from streams.delivery.dispatch.dispatcher import Dispatcher
from streams.delivery.ports import Answer, Call, Stock
from streams.delivery.role import DeliveryRole
from streams.delivery.stock.ports import SENT
from streams.delivery.tasks import Failure
from streams.runtime.role import Change, Effect, PartitionLost, Poison, Record, Table, Tables
from tests.fakes.delivery_tables import MemoryTable, StockTable, WatchedTable
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings
from topics.contract.definition import AtDeadline
from topics.contract.touchpoints import BY_NAME
from topics.destinations.pauses import PauseIndex
from topics.records import envelope
from topics.records.deliveries import DeliveryRequest, LaneAction, LaneDecision, Outcome, body_of, decode_outcome
from topics.records.envelope import Envelope
from topics.records.keys import INCREFF, channel_destination, destination_partition, join, lane_key, order_key
from topics.records.reading import MADE_BY
from topics.subscriptions.index import SubscriptionIndex

START_MS = 1_700_000_000_000
SETTLE_TURNS = 60
"""Turns of the event loop after which nothing moves without time: the longest chain of awaits here is far shorter."""


class ManualClock:
    """Time that moves only when told, to the next moment that somebody waits for."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms
        self._waiters: list[tuple[float, int, asyncio.Event]] = []
        self._serial = count()

    def now_ms(self) -> int:
        return self._now_ms

    async def wait(self, event: asyncio.Event, until_ms: float | None) -> None:
        if until_ms is not None:
            if until_ms <= self._now_ms:
                return
            heapq.heappush(self._waiters, (until_ms, next(self._serial), event))
        await event.wait()

    async def pass_time(self, pause_ms: int) -> None:
        """Wait in played time (a far side that takes long)."""
        if pause_ms > 0:
            await self.wait(asyncio.Event(), self._now_ms + pause_ms)

    async def settle(self) -> None:
        for _ in range(SETTLE_TURNS):
            await asyncio.sleep(0)

    async def run_for(self, duration_ms: int) -> None:
        """Let everything happen that happens within this time."""
        end_ms = self._now_ms + duration_ms
        await self.settle()
        while self._waiters and self._waiters[0][0] <= end_ms:
            moment, _, event = heapq.heappop(self._waiters)
            self._now_ms = max(self._now_ms, int(-(-moment // 1)))
            event.set()
            if not self._waiters or self._waiters[0][0] > self._now_ms:
                await self.settle()
        self._now_ms = end_ms
        await self.settle()


@dataclass
class Arrival:
    at_ms: int
    call: Call
    turn: int
    """Place among all begins and ends of requests, so that what overlaps in played time zero is told apart too."""
    ended_turn: int | None = None


Far = Callable[[Call, int], Answer]
"""A far side: from a call and how many calls it had before, to its answer."""


def ok(_call: Call, _before: int) -> Answer:
    return Answer(status=200, headers={})


class PlayedSender:
    """Far sides that answer by rule; every arrival is kept. `takes_ms` is how long an answer takes."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.far: Far = ok
        self.takes_ms: Callable[[Call], int] = lambda _call: 5
        self.arrivals: list[Arrival] = []
        self.in_air = 0
        self.in_air_max = 0
        self._turns = count()

    async def start(self) -> None: ...

    async def reload(self) -> None: ...

    async def stop(self) -> None: ...

    def unready(self) -> str | None:
        return None

    async def send(self, call: Call) -> Answer:
        before = len(self.arrivals)
        arrival = Arrival(self._clock.now_ms(), call, next(self._turns))
        self.arrivals.append(arrival)
        self.in_air += 1
        self.in_air_max = max(self.in_air_max, self.in_air)
        try:
            await self._clock.pass_time(self.takes_ms(call))
        finally:
            self.in_air -= 1
            arrival.ended_turn = next(self._turns)
        return self.far(call, before)

    def ids(self) -> list[str]:
        return [arrival.call.delivery_id for arrival in self.arrivals]


@dataclass
class Durable:
    """What would be in Kafka: it outlives the role. `commit` keeps the runtime's promise; `lost`: it is refused."""

    tables: dict[int, dict[str, MemoryTable]] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    lost: bool = False
    failures: list[BaseException] = field(default_factory=list)

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        if self.lost:
            raise PartitionLost(f"partition {partition}")
        self.effects.extend(effects)
        for change in changes:
            table = self.tables[partition][change.table]
            if change.value is None:
                table.delete(change.key)
            else:
                table.put(change.key, change.value)
        await asyncio.sleep(0)

    def of(self, partition: int) -> dict[str, MemoryTable]:
        return self.tables.setdefault(
            partition, {name: StockTable() if name == SENT else MemoryTable() for name in DeliveryRole.tables}
        )


def channels_for(
    increff: dict[str, Any] | None = None,
    marketplace: dict[str, Any] | None = None,
    stock: dict[str, Any] | None = None,
    others: tuple[str, ...] = (),
) -> Channels:
    """The channel `demo`, and others with its defaults."""
    channels = {
        name: {
            "credentials": {"username": name, "password": "demo-secret", "domain": "demo"},
            "increff_credentials": {"username": "sluice", "password": "sluice-secret", "domain": "demo"},
            "increff_headers": {"X-Api-Key": "demo-increff"},
            "marketplace_headers": {"X-Channel-Key": "demo-channel"},
            "marketplace": {"url": "http://127.0.0.1:9"},
        }
        for name in ("demo", *others)
    }
    channels["demo"] |= {
        "marketplace": {"url": "http://127.0.0.1:9", **(marketplace or {})},
        "stock": stock or {},
    }
    increff = {"url": "http://127.0.0.1:9/assure-magic2", **(increff or {})}
    return parse_channels({"increff": increff, "channels": channels}, where="test")


PARTITIONS = 8


def request_for(
    name: str,
    code: str,
    request_id: str,
    *,
    body: dict[str, Any] | None = None,
    deadline_ms: int | None = None,
    sequence: int = 0,
    created_ms: int = START_MS,
    channel: str = "demo",
    hold: bool = False,
) -> DeliveryRequest:
    """A request as the orders role would make it; a relay when it has a deadline."""
    touchpoint = BY_NAME[name]
    destination = INCREFF if touchpoint.far_side == "increff" else channel_destination(channel)
    entity = order_key(channel, code)
    beside = join(destination, entity.decode(), request_id)
    lane = beside if touchpoint.beside_lane else lane_key(destination, entity)
    return DeliveryRequest(
        id=request_id,
        destination=destination,
        shard=0,
        channel=channel,
        touchpoint=name,
        lane=lane.decode(),
        entity=entity.decode(),
        subject=code,
        body=body_of(body if body is not None else {"orderCode": code}),
        relay=deadline_ms is not None,
        deadline_ms=deadline_ms,
        withdraw=deadline_ms is not None and touchpoint.at_deadline is AtDeadline.WITHDRAW,
        sequence=sequence,
        created_ms=created_ms,
        hold=hold,
    )


class Played:
    """One worker with the delivery role, and the log and far sides around it."""

    def __init__(
        self,
        channels: Channels,
        *,
        durable: Durable | None = None,
        clock: ManualClock | None = None,
        seed: int = 1,
        stock: Stock | None = None,
        subscriptions: SubscriptionIndex | None = None,
        pauses: PauseIndex | None = None,
        state_dir: Path | None = None,
    ) -> None:
        """`state_dir`: where lanes are spilled; none are without one, if there are few."""
        self.channels = channels
        self._state_dir = state_dir or Path("never-spilled")
        self.subscriptions = subscriptions or SubscriptionIndex()
        self.pauses = pauses or PauseIndex()
        self.clock = clock or ManualClock()
        self.sender = PlayedSender(self.clock)
        self.durable = durable or Durable()
        self.poisoned: list[Poison] = []
        self._offset = count()
        self.role = DeliveryRole(
            Settings(partitions=PARTITIONS, state_dir=self._state_dir),
            channels,
            subscriptions=self.subscriptions,
            gates=GateRegistry(),
            pauses=self.pauses,
            sender=self.sender,
            stock=stock,
            clock=self.clock,
            random=Random(seed),
            failure=Failure(),
        )

    @property
    def crashes(self) -> list[BaseException]:
        return self.durable.failures

    async def start(self) -> Played:
        await self.role.start(self.durable)
        for partition in range(PARTITIONS):
            tables: dict[str, Table] = dict(self.durable.of(partition))
            self.role.on_assigned(partition, tables)
        return self

    async def kill(self) -> None:
        """The process is gone: nothing is committed any more, nothing ends in order."""
        self.durable.lost = True
        for partition in range(PARTITIONS):
            self.role.on_revoked(partition)
        await self.clock.settle()

    async def restart(self, seed: int = 2) -> Played:
        """Another worker over what was durable."""
        await self.kill()
        again = Durable(tables=self.durable.tables, effects=self.durable.effects)
        worker = Played(
            self.channels,
            durable=again,
            clock=self.clock,
            seed=seed,
            subscriptions=self.subscriptions,
            pauses=self.pauses,
            state_dir=self._state_dir,
        )
        worker.sender = self.sender
        worker.role._sender = self.sender
        return await worker.start()

    def give(self, *requests: DeliveryRequest, epoch: int = 0) -> None:
        """`epoch`: that of the orders role's worker that asks; 0: no role asks."""
        for request in requests:
            headers = Envelope(
                id=request.id, type=envelope.DELIVERY_REQUEST, source="test", channel=request.channel
            ).headers()
            if epoch:
                headers = (*headers, (MADE_BY, b"%d/7" % epoch))
            partition = destination_partition(request.destination, request.shard, PARTITIONS)
            self.feed(partition, request.lane.encode(), request.encode(), headers)

    def decide_lane(self, request: DeliveryRequest, action: LaneAction) -> None:
        decision = LaneDecision(lane=request.lane, request=request.id, action=action)
        headers = Envelope(id="decision", type=envelope.LANE_DECISION, source="test", channel="demo").headers()
        partition = destination_partition(request.destination, request.shard, PARTITIONS)
        self.feed(partition, request.lane.encode(), decision.encode(), headers)

    def feed(self, partition: int, key: bytes, value: bytes, headers: envelope.ReadHeaders) -> None:
        changes: list[Change] = []
        tables: Tables = {
            name: WatchedTable(table, name, changes) for name, table in self.durable.of(partition).items()
        }
        record = Record(partition, next(self._offset), self.clock.now_ms(), key, value, headers)
        try:
            effects = list(self.role.decide(record, tables))
        except Poison as poison:
            self.poisoned.append(poison)
            self.durable.effects.extend(self.role.set_aside(record, poison.code, poison.reason))
            return
        self.durable.effects.extend(effects)
        self.role.changed(partition, changes)

    def dispatcher(self, destination: str, shard: int = 0) -> Dispatcher:
        partition = destination_partition(destination, shard, PARTITIONS)
        return self.role._partitions[partition].dispatchers[destination, shard]

    @property
    def breakers(self) -> Mapping[str, CircuitBreaker]:
        assert self.role._shared is not None
        return self.role._shared.factory._breakers

    def outcomes(self) -> list[Outcome]:
        return [decode_outcome(effect.value) for effect in self.durable.effects if effect.topic == "orders.commands"]

    def final(self) -> dict[str, str]:
        """Request id -> final outcome."""
        return {outcome.request: outcome.kind.value for outcome in self.outcomes() if outcome.kind.final}
