"""One partition's stock on its way to the channel: what is durable before and after each call, and what is not sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from streams.delivery.ports import AttemptResult, Recalled, ResponseClass
from streams.delivery.stock.partition import StockPartition
from streams.delivery.stock.ports import SENT, StockContext
from streams.delivery.stock.queue.backoff import LATE_MS
from streams.runtime.role import PartitionLost
from tests.fakes.delivery import Durable, ManualClock, channels_for
from tests.fakes.stock import SilentListener
from tests.fakes.stock_tables import journal_of
from topics.configuration.channels import Channels
from topics.contract.definition import Priority, Touchpoint
from topics.records.keys import channel_destination, destination_partition, position_key
from topics.stock.positions import encode_position

PARTITIONS = 8
DEMO = channel_destination("demo")
PARTITION = destination_partition(DEMO, 0, PARTITIONS)


class PlayedCaller:
    """The destination's owner. `answers` say how calls end; `during` runs with each call in the air."""

    destination = DEMO
    shard = 0
    partition = PARTITION

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.calls: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.weights: list[float] = []
        self.priorities: list[Priority] = []
        self.during: Callable[[], None] = lambda: None
        self.answers: list[AttemptResult | Exception] = []
        self.taken_back = 0
        """So many calls are recalled: while their slot was held, the destination's gate closed."""

    async def call(self, *_: Any, **__: Any) -> AttemptResult:
        raise AssertionError("stock is chosen when its turn has come")

    @asynccontextmanager
    async def slot(
        self, touchpoint: Touchpoint, channel: str, *, priority: Priority = Priority.STOCK, weight: float = 0.0
    ) -> AsyncIterator[PlayedSlot]:
        assert channel == "demo"
        self.priorities.append(priority)
        yield PlayedSlot(self, touchpoint, weight)

    async def recall(self) -> bool:
        """Whether the destination's gate closed while a call was made durable; it opens a little later."""
        if not self.taken_back:
            return False
        self.taken_back -= 1
        await self._clock.wait(asyncio.Event(), self._clock.now_ms() + 50)
        return True

    async def answer(self, touchpoint: Touchpoint, members: dict[str, Any], weight: float) -> AttemptResult:
        """The call leaves, and has its answer."""
        self.calls.append(members)
        self.names.append(touchpoint.name)
        self.weights.append(weight)
        self.during()
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else delivered()
        if isinstance(answer, Exception):
            raise answer
        return AttemptResult(
            kind=answer.kind,
            at_ms=self._clock.now_ms(),
            took_ms=1,
            status=answer.status,
            body=answer.body,
            not_before_ms=answer.not_before_ms,
        )

    def skus(self) -> list[list[str]]:
        return [[item["channelSkuCode"] for item in call["inventories"]] for call in self.calls]


class PlayedSlot:
    """streams.delivery.ports.Slot."""

    def __init__(self, caller: PlayedCaller, touchpoint: Touchpoint, weight: float) -> None:
        self._caller = caller
        self._touchpoint = touchpoint
        self._weight = weight

    async def send(self, members: dict[str, Any], delivery_id: str = "") -> AttemptResult:
        assert delivery_id
        if await self._caller.recall():
            raise Recalled
        return await self._caller.answer(self._touchpoint, members, self._weight)


def delivered(body: dict[str, Any] | None = None) -> AttemptResult:
    return AttemptResult(kind=ResponseClass.DELIVERED, at_ms=0, took_ms=0, status=200, body=body)


def answered(kind: ResponseClass, status: int | None, not_before_ms: int | None = None) -> AttemptResult:
    return AttemptResult(kind=kind, at_ms=0, took_ms=0, status=status, not_before_ms=not_before_ms)


def _raise(error: BaseException) -> None:
    raise error


class Worker:
    """One owner of the partition, over what is durable."""

    def __init__(self, durable: Durable, clock: ManualClock, caller: PlayedCaller, channels: Channels) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        context = StockContext(
            channels=channels,
            partitions=PARTITIONS,
            committer=durable,
            clock=clock,
            listener=SilentListener(),
            spawn=self._spawn,
            crashed=_raise,
            chance=lambda: 0.5,
        )
        self.stock = StockPartition(context, PARTITION, durable.of(PARTITION), {(DEMO, 0): caller})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]


class Stage:
    def __init__(self, channels: Channels | None = None) -> None:
        self.clock = ManualClock()
        self.durable = Durable()
        self.channels = channels or channels_for()
        self.caller = PlayedCaller(self.clock)
        self.positions: dict[bytes, bytes] = {}
        self.worker = self._worker()

    def _worker(self) -> Worker:
        return Worker(self.durable, self.clock, self.caller, self.channels)

    def change(self, location: str, channel: str = "demo", **quantities: int) -> None:
        for sku, quantity in quantities.items():
            key = position_key(channel, location, sku)
            self.positions[key] = encode_position({"channelSkuCode": sku, "quantity": quantity})
            self.worker.stock.on_position(key, self.positions[key])

    async def open(self) -> None:
        await self.worker.stock.on_recovered()
        await self.clock.run_for(100)

    async def kill_and_begin_again(self) -> None:
        self.worker.stock.on_revoked()
        await self.clock.settle()
        self.worker = self._worker()
        for key, value in self.positions.items():
            self.worker.stock.on_position(key, value)
        await self.open()

    def sent(self, sku: str, location: str = "L1") -> int | None:
        raw = self.durable.of(PARTITION)[SENT].get(position_key("demo", location, sku))
        return None if raw is None else int(orjson.loads(raw)["quantity"])

    def doubtful(self, location: str = "L1") -> list[str]:
        return sorted(journal_of(self.durable.of(PARTITION)[SENT].values, "demo", location).skus)


@asynccontextmanager
async def staged(channels: Channels | None = None) -> AsyncIterator[Stage]:
    stage = Stage(channels)
    try:
        yield stage
    finally:
        stage.worker.stock.on_revoked()
        await stage.clock.settle()


async def test_nothing_leaves_before_the_partition_is_open_then_all_that_differs() -> None:
    async with staged() as stage:
        stage.change("L1", a=0, b=1)
        await stage.clock.run_for(1_000)
        assert stage.caller.calls == []
        await stage.open()
        assert stage.caller.skus() == [["a", "b"]]
        assert stage.caller.weights == [1.0]
        assert (stage.sent("a"), stage.sent("b")) == (0, 1)
        stage.change("L1", b=2)
        await stage.clock.run_for(100)
        assert stage.caller.skus() == [["a", "b"], ["b"]]
        assert stage.caller.weights == [1.0, 0.0]


async def test_a_call_is_durable_as_doubtful_before_it_leaves_and_no_longer_when_it_is_acknowledged() -> None:
    async with staged() as stage:
        seen: list[tuple[list[str], int | None]] = []
        stage.caller.during = lambda: seen.append((stage.doubtful(), stage.sent("a")))
        stage.change("L1", a=1)
        await stage.open()
        assert seen == [(["a"], None)]
        assert (stage.doubtful(), stage.sent("a")) == ([], 1)


async def test_killed_with_a_call_in_the_air_the_next_owner_sends_although_nothing_differs() -> None:
    async with staged() as stage:
        stage.change("L1", a=1, b=1)
        await stage.open()
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def hang(*_: Any, **__: Any) -> AttemptResult:
            await never
            raise AssertionError("the call never ends")

        answering, stage.caller.answer = stage.caller.answer, hang  # type: ignore[method-assign]
        stage.change("L1", a=2)
        await stage.clock.run_for(100)
        stage.caller.answer = answering  # type: ignore[method-assign]
        stage.change("L1", a=1)
        await stage.kill_and_begin_again()
        assert stage.caller.skus() == [["a", "b"], ["a"]]
        await stage.clock.run_for(LATE_MS + 100)
        assert stage.caller.skus() == [["a", "b"], ["a"], ["a"]], "once more when the killed call can no longer arrive"
        assert stage.doubtful() == []


async def test_a_sku_in_the_failure_list_comes_again_alone() -> None:
    async with staged() as stage:
        stage.caller.answers = [delivered({"successList": ["a"], "failureList": ["b"]})]
        stage.change("L1", a=1, b=1)
        await stage.open()
        assert (stage.sent("a"), stage.sent("b")) == (1, None)
        await stage.clock.run_for(2_000)
        assert stage.caller.skus() == [["a", "b"], ["b"]]
        assert stage.sent("b") == 1


@pytest.mark.parametrize("status", [None, 502, 504, 408])
async def test_after_a_lost_call_the_value_is_sent_at_once_and_again_later(status: int | None) -> None:
    async with staged() as stage:
        stage.caller.answers = [answered(ResponseClass.RETRY, status)]
        stage.change("L1", a=1)
        await stage.open()
        await stage.clock.run_for(2_000)
        assert len(stage.caller.calls) == 2
        await stage.clock.run_for(LATE_MS)
        assert len(stage.caller.calls) == 3
        await stage.clock.run_for(10 * LATE_MS)
        assert len(stage.caller.calls) == 3


async def test_after_an_answered_error_one_more_success_is_enough() -> None:
    async with staged() as stage:
        stage.caller.answers = [answered(ResponseClass.RETRY, 500)]
        stage.change("L1", a=1)
        await stage.open()
        assert stage.doubtful() == ["a"]
        await stage.clock.run_for(10 * LATE_MS)
        assert len(stage.caller.calls) == 2
        assert stage.doubtful() == []


async def test_a_refusal_of_address_or_key_is_not_searched_for_a_bad_sku() -> None:
    async with staged() as stage:
        stage.caller.answers = [answered(ResponseClass.REFUSED, 401)] * 3
        stage.change("L1", a=1, b=1)
        await stage.open()
        await stage.clock.run_for(30_000)
        assert stage.caller.skus() == [["a", "b"]] * 4


async def test_a_refused_body_is_searched_for_its_bad_sku() -> None:
    async with staged() as stage:
        stage.caller.answers = [answered(ResponseClass.REFUSED, 400)] * 2
        stage.change("L1", a=1, b=1)
        await stage.open()
        await stage.clock.run_for(200)
        assert stage.caller.skus() == [["a", "b"], ["a"], ["b"]]


async def test_a_throttled_call_waits_until_it_is_told_to_and_takes_the_newest_then() -> None:
    async with staged() as stage:
        stage.caller.answers = [answered(ResponseClass.THROTTLED, 429, stage.clock.now_ms() + 5_000)]
        stage.change("L1", a=1)
        await stage.open()
        stage.change("L1", a=7)
        await stage.clock.run_for(4_000)
        assert len(stage.caller.calls) == 1
        await stage.clock.run_for(1_100)
        assert [call["inventories"][0]["quantity"] for call in stage.caller.calls] == [1, 7]


async def test_locations_do_not_wait_for_each_other() -> None:
    async with staged() as stage:
        stage.caller.answers = [answered(ResponseClass.RETRY, 500)]
        stage.change("L1", a=1)
        stage.change("L2", a=1)
        await stage.open()
        assert [call["locationCode"] for call in stage.caller.calls] == ["L1", "L2"]
        assert stage.sent("a", "L2") == 1


async def test_what_a_channel_does_not_take_is_not_sent() -> None:
    """A touchpoint that is off, a channel that is not configured, a shard that lives elsewhere."""
    off = channels_for()
    object.__setattr__(off.channels["demo"], "off", frozenset({"consolidated-atp-inventory"}))
    async with staged(off) as stage:
        stage.change("~ALL", a=1)
        stage.change("L1", channel="other", a=1)
        await stage.open()
        assert stage.caller.calls == []
    spread = channels_for(marketplace={"shards": 64})
    async with staged(spread) as stage:
        for number in range(40):
            stage.change(f"L{number}", a=1)
        await stage.open()
        assert 0 < len(stage.caller.calls) < 20, "only the locations of the shard that lives here"


async def test_a_call_that_is_given_back_does_not_leave_its_location_waiting_for_the_end_of_a_call() -> None:
    """Its permit was the only one of the location, and another call had asked for it in vain meanwhile."""
    limited = {"batch_max": 1, "locations": {"L1": {"budget": {"requests": 1, "window_s": 1}}}}
    async with staged(channels_for(stock=limited)) as stage:
        stage.caller.taken_back = 1
        stage.change("L1", a=1, b=2)
        await stage.open()
        await stage.clock.run_for(10_000)
        assert sorted(stage.caller.skus()) == [["a"], ["b"]]


async def test_a_partition_that_is_lost_ends_the_lane_with_nothing_recorded() -> None:
    async with staged() as stage:
        stage.caller.answers = [PartitionLost("gone")]
        stage.change("L1", a=1)
        await stage.open()
        assert stage.sent("a") is None
        with pytest.raises(PartitionLost):
            await asyncio.gather(*stage.worker.tasks)


async def test_what_cannot_be_recorded_first_is_not_sent() -> None:
    async with staged() as stage:
        stage.durable.lost = True
        stage.change("L1", a=1)
        await stage.open()
        assert stage.caller.calls == []
        with pytest.raises(PartitionLost):
            await asyncio.gather(*stage.worker.tasks)


async def test_the_end_waits_for_the_call_in_the_air_and_starts_no_other() -> None:
    async with staged() as stage:

        def ending() -> None:
            stage.worker.stock.close()
            stage.change("L1", b=1)

        stage.caller.during = ending
        stage.change("L1", a=1)
        await stage.open()
        assert stage.caller.skus() == [["a"]]
        assert stage.sent("a") == 1
        assert stage.worker.stock.close() == []
