"""A slot holds what it needs from when its turn came until its call is answered, and gives it back however it ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streams.delivery.ports import Answer, Call, Recalled, ResponseClass
from streams.runtime.limits import STOP_ROLE_S
from streams.runtime.role import PartitionLost
from tests.fakes.delivery import Played, channels_for, request_for
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import channel_destination, destination_partition

DEMO = channel_destination("demo")
STOCK = BY_NAME["location-wise-atp-inventory"]


class Stage:
    """A marketplace that takes one call at a time, and two in a minute."""

    def __init__(self, **marketplace: Any) -> None:
        known = {"concurrency": 1, "budget": {"requests": 2, "window_s": 60}}
        self.played = Played(channels_for(marketplace={**known, **marketplace}))
        self.clock = self.played.clock
        self.sender = self.played.sender

    async def start(self) -> Stage:
        await self.played.start()
        return self

    @property
    def dispatcher(self) -> Any:
        return self.played.dispatcher(DEMO)

    @asynccontextmanager
    async def held(self) -> Any:
        async with asyncio.timeout(5), self.dispatcher.slot(STOCK, "demo") as slot:
            yield slot

    async def sends(self, calls: int) -> None:
        """As many calls leave now, and no more until the minute is over: nothing of the budget was lost."""
        tasks = [asyncio.create_task(self.dispatcher.call(STOCK, "demo", {})) for _ in range(calls + 1)]
        before = len(self.sender.arrivals)
        await self.clock.run_for(1_000)
        assert len(self.sender.arrivals) - before == calls
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slot_that_is_left_without_a_call_costs_nothing() -> None:
    stage = await Stage().start()
    for _ in range(3):
        async with stage.held():
            pass
    await stage.sends(2)


async def test_what_fails_inside_a_slot_gives_it_back() -> None:
    stage = await Stage().start()
    with pytest.raises(ZeroDivisionError):
        async with stage.held():
            raise ZeroDivisionError
    await stage.sends(2)


async def test_a_slot_is_given_back_when_its_holder_is_cancelled_at_any_step() -> None:
    """While it waits, between its turn and its waking, and while it holds: one more turn of the loop each."""
    for turns in range(40):
        stage = await Stage().start()

        async def holder(stage: Stage = stage) -> None:
            async with stage.dispatcher.slot(STOCK, "demo"):
                await asyncio.Event().wait()

        task = asyncio.create_task(holder())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stage.sends(2)
        await stage.played.kill()


async def test_a_turn_whose_waiter_was_cancelled_goes_to_the_next() -> None:
    stage = await Stage().start()
    async with stage.held():
        waiting = [asyncio.create_task(stage.dispatcher.call(STOCK, "demo", {"n": n})) for n in range(2)]
        await stage.clock.run_for(10)
        waiting[0].cancel()
    await stage.clock.run_for(10)
    assert [arrival.call.members for arrival in stage.sender.arrivals] == [{"n": 1}]
    assert waiting[1].done()


async def test_a_slot_sends_once() -> None:
    stage = await Stage().start()
    async with stage.held() as slot:
        sending = asyncio.create_task(slot.send({}))
        await stage.clock.run_for(10)
        assert (await sending).kind is ResponseClass.DELIVERED
        with pytest.raises(RuntimeError, match="sends once"):
            await slot.send({})


async def test_a_held_slot_is_a_place_and_a_call_that_was_answered_is_none() -> None:
    """What became of the answer may be recorded inside."""
    stage = await Stage().start()
    async with stage.held() as slot:
        other = asyncio.create_task(stage.dispatcher.call(STOCK, "demo", {"n": 2}))
        await stage.clock.run_for(1_000)
        assert stage.sender.arrivals == []
        sending = asyncio.create_task(slot.send({"n": 1}))
        await stage.clock.run_for(1_000)
        assert sending.done()
        assert other.done()
    assert [arrival.call.members for arrival in stage.sender.arrivals] == [{"n": 1}, {"n": 2}]


async def test_a_gate_that_closes_while_a_slot_is_held_keeps_its_call_here() -> None:
    stage = await Stage().start()
    called: list[int] = []

    async def call() -> None:
        async with stage.dispatcher.slot(STOCK, "demo") as slot:
            if not called:
                stage.played.role._gates.gate_of(DEMO).close_until(stage.clock.now_ms() + 5_000)
            called.append(stage.clock.now_ms())
            await slot.send({})

    first = asyncio.create_task(call())
    await stage.clock.run_for(10)
    assert isinstance(first.exception(), Recalled)
    await stage.clock.run_for(5_000)
    await stage.sends(2)


async def test_a_partition_that_is_lost_is_told_to_who_waits_who_holds_and_who_sends() -> None:
    """Two slots for one place: the other call waits all the time."""
    for moment in ("holds", "sends"):
        stage = await Stage().start()
        stage.sender.takes_ms = lambda _call: 60_000
        go = asyncio.Event()

        async def call(stage: Stage = stage, go: asyncio.Event = go) -> None:
            async with stage.dispatcher.slot(STOCK, "demo") as slot:
                await go.wait()
                await slot.send({})

        tasks = [asyncio.create_task(call()) for _ in range(2)]
        await stage.clock.run_for(10)
        if moment == "sends":
            go.set()
            await stage.clock.run_for(10)
        stage.played.role.on_revoked(destination_partition(DEMO, 0, 8))
        go.set()
        await stage.clock.settle()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in ended] == [PartitionLost] * 2
        assert len(stage.sender.arrivals) == (moment == "sends")


async def test_a_stop_lets_a_held_slot_send_and_gives_no_other() -> None:
    stage = await Stage().start()
    go = asyncio.Event()

    async def call() -> None:
        async with stage.dispatcher.slot(STOCK, "demo") as slot:
            await go.wait()
            await slot.send({})

    holding, waiting = asyncio.create_task(call()), asyncio.create_task(call())
    await stage.clock.run_for(10)
    stopping = asyncio.create_task(stage.played.role.stop())
    await stage.clock.run_for(100)
    assert not stopping.done()
    go.set()
    await stage.clock.run_for(round(STOP_ROLE_S * 1000))
    await stopping
    assert holding.exception() is None
    assert isinstance(waiting.exception(), PartitionLost)
    assert len(stage.sender.arrivals) == 1
    permits = stage.played.durable.of(destination_partition(DEMO, 0, 8))["deliveries.permits"].values
    assert b'"open":0' in permits[b"channel:demo|0"]


async def test_a_call_does_not_leave_through_a_gate_that_closed_in_the_same_step_of_the_loop() -> None:
    """Its note becomes durable and another request is answered 429 in one poll of the sockets."""
    stage = Stage(concurrency=2, budget={"requests": 9, "window_s": 60})
    await stage.start()
    loop = asyncio.get_running_loop()
    note: asyncio.Future[None] = loop.create_future()
    reply: asyncio.Future[Answer] = loop.create_future()
    plain = stage.sender.send

    async def send(call: Call) -> Answer:
        return await (plain(call) if call.touchpoint is STOCK else reply)

    stage.sender.send = send  # type: ignore[method-assign]
    stage.played.give(request_for("acknowledgement", "O-1", "r-1"))
    await stage.clock.settle()

    async def call() -> None:
        async with stage.dispatcher.slot(STOCK, "demo") as slot:
            await note
            await slot.send({})

    task = asyncio.create_task(call())
    await stage.clock.settle()
    note.set_result(None)
    reply.set_result(Answer(status=429, headers={"Retry-After": "30"}))
    await stage.clock.settle()
    with pytest.raises(Recalled):
        await task
    assert stage.sender.arrivals == []
