"""A channel's large bodies wait for each other; other channels' do not, and small ones go between their steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator

import pytest

from gateway.http import large_bodies
from gateway.http.answers import Refused
from gateway.http.large_bodies import CHANNEL_BYTES_MAX, CHANNEL_WAITING_BYTES_MAX, LargeBodies

LARGEST = CHANNEL_BYTES_MAX


async def test_a_channel_has_few_in_hand_and_another_does_not_wait_for_it() -> None:
    bodies = LargeBodies()
    first = await bodies.enter("a", LARGEST, None)
    second, third = (asyncio.create_task(bodies.enter("a", LARGEST, None)) for _ in range(2))
    other = await bodies.enter("b", LARGEST, None)
    await asyncio.sleep(0)
    assert not second.done()
    first.end()
    first.end()
    await second
    assert not third.done()
    other.decided(0.0)
    second.result().acknowledged(0.0)
    (await third).end()
    assert (bodies._channels, bodies._in_hand, bodies._waiting) == ({}, 0, 0)


async def test_smaller_ones_are_in_hand_together_in_the_order_they_came() -> None:
    bodies = LargeBodies()
    small = [await bodies.enter("a", LARGEST // 4, None) for _ in range(4)]
    large = asyncio.create_task(bodies.enter("a", LARGEST, None))
    late = asyncio.create_task(bodies.enter("a", LARGEST // 4, None))
    small[0].end()
    await asyncio.sleep(0.01)
    assert not large.done()
    assert not late.done(), "it came behind the large one"
    for one in small[1:]:
        one.end()
    (await large).end()
    (await late).end()


async def test_too_many_that_wait_are_refused_and_so_are_those_that_wait_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(large_bodies, "WAIT_S_MAX", 0.05)
    bodies = LargeBodies()
    first = await bodies.enter("a", LARGEST, None)
    waiting = [
        asyncio.create_task(bodies.enter("a", LARGEST, None)) for _ in range(CHANNEL_WAITING_BYTES_MAX // LARGEST)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Refused) as refused:
        await bodies.enter("a", LARGEST, None)
    assert refused.value.status == 503
    waiting[0].cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError)
    assert all(isinstance(one, Refused) and one.status == 503 for one in ended[1:])
    first.end()
    assert (bodies._channels, bodies._in_hand, bodies._waiting) == ({}, 0, 0)


async def test_one_that_is_admitted_and_cut_off_at_the_same_time_gives_back_its_bytes() -> None:
    bodies = LargeBodies()
    first = await bodies.enter("a", LARGEST, None)
    second = asyncio.create_task(bodies.enter("a", LARGEST, None))
    await asyncio.sleep(0)
    first.end()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert bodies._in_hand == 0


async def test_others_go_between_the_steps_of_large_ones() -> None:
    bodies = LargeBodies()
    done: list[str] = []

    def steps(name: str) -> Generator[None, None, str]:
        for number in range(3):
            time.sleep(0.005)
            done.append(f"{name}{number}")
            yield
        return name

    async def another() -> None:
        while not done:  # noqa: ASYNC110 - the steps set no event
            await asyncio.sleep(0)
        done.append("another")

    results = await asyncio.gather(*(bodies.run(steps(name)) for name in "ab"), another())
    assert results[:2] == ["a", "b"]
    assert done == ["a0", "another", "a1", "a2", "b0", "b1", "b2"]


async def test_a_fault_in_a_step_is_the_callers_and_the_next_has_its_turn() -> None:
    bodies = LargeBodies()

    def broken() -> Generator[None, None, None]:
        yield
        raise ValueError("no")

    def well() -> Generator[None, None, int]:
        yield
        return 1

    with pytest.raises(ValueError, match="no"):
        await bodies.run(broken())
    assert await bodies.run(well()) == 1
