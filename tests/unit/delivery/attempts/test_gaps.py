"""A subscriber can tell what it did not get, and what was given up is followed by what its subscription chose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import orjson
from msgspec.structs import replace

from streams.delivery.outbox.records import (
    HEADER_KEPT_MS,
    HEADER_WITH_GAP_KEPT_MS,
    STORIES_WITH_GAP_MAX,
    LaneHeader,
    decode_header,
)
from streams.delivery.ports import Answer, Call
from streams.runtime.role import Change, Effect
from tests.fakes.delivery import START_MS, Durable, ok
from tests.fakes.delivery_dispatcher import PlayedDispatcher, fact
from tests.support.subscriptions import subscription
from topics.records.deliveries import DeliveryRequest
from topics.records.keys import header_key

GIVE_UP_MS = 60_000


def answering(**statuses: int) -> object:
    """A far side that answers deliveries of these ids (with `_` for `-`) so, and takes the others."""

    def far(call: Call, _before: int) -> Answer:
        return Answer(status=statuses.get(call.delivery_id.replace("-", "_"), 200))

    return far


def in_story(request: DeliveryRequest, story: int) -> DeliveryRequest:
    return replace(request, story=story)


def played(when_dead: str) -> PlayedDispatcher:
    return PlayedDispatcher(subscription(when_dead=when_dead, retry_for_s=30, retry_max_s=10))


async def test_each_delivery_says_which_one_came_before() -> None:
    dispatcher = played("skip")
    dispatcher.give(fact("A", 2), fact("A", 5), fact("B", 1), fact("A", 6))
    await dispatcher.clock.run_for(1_000)
    assert sorted(dispatcher.told()) == [("A-2", 2, 0, 0), ("A-5", 5, 2, 2), ("A-6", 6, 5, 5), ("B-1", 1, 0, 0)]
    dispatcher.give(fact("A", 9))
    await dispatcher.clock.run_for(1_000)
    assert dispatcher.told()[-1] == ("A-9", 9, 6, 6)


async def test_without_a_gap_a_delivery_writes_nothing_more() -> None:
    dispatcher = played("skip")
    fact_of = fact("A", 1)
    dispatcher.give(fact_of)
    before = dispatcher.outbox.get(header_key(fact_of.lane))
    await dispatcher.clock.run_for(1_000)
    assert dispatcher.outbox.values == {header_key(fact_of.lane): before}


async def test_a_gap_is_told_by_all_that_follows_over_a_restart() -> None:
    for status in (500, 413):
        dispatcher = played("skip")
        dispatcher.sender.far = answering(A_2=status)  # type: ignore[assignment]
        dispatcher.give(fact("A", 1), fact("A", 2), fact("A", 3))
        await dispatcher.clock.run_for(GIVE_UP_MS)
        assert dispatcher.told()[-1] == ("A-3", 3, 2, 1)
        again = await dispatcher.restart()
        again.give(fact("A", 7))
        await again.clock.run_for(1_000)
        assert again.told()[-1] == ("A-7", 7, 3, 1)
        dead = [effect for effect in dispatcher.durable.effects if effect.topic == "deliveries.dead"]
        assert [orjson.loads(effect.value)["request"]["id"] for effect in dead] == ["A-2"]


class WaitingForRoom(Durable):
    """As the runtime's: a commit has its changes, and waits before they are applied."""

    def __init__(self) -> None:
        super().__init__()
        self.room = asyncio.Event()
        self.room.set()

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        effects, changes = list(effects), list(changes)
        await self.room.wait()
        await super().commit(partition, effects, changes)


async def test_what_a_lane_takes_while_an_end_waits_for_room_stays_known() -> None:
    """An older header would give positions and sequences out again: repeats, and inversions after a restart."""
    durable = WaitingForRoom()
    dispatcher = PlayedDispatcher(subscription(when_dead="skip"), durable=durable)
    dispatcher.sender.far = answering(A_2=413)  # type: ignore[assignment]
    dispatcher.give(fact("A", 1), fact("A", 2))
    await dispatcher.clock.run_for(7)
    durable.room.clear()
    await dispatcher.clock.run_for(100)
    dispatcher.give(fact("A", 3))
    key = header_key(fact("A", 1).lane)
    taken = decode_header(dispatcher.outbox.get(key))
    durable.room.set()
    await dispatcher.clock.run_for(1_000)
    assert dispatcher.sender.ids() == ["A-1", "A-2", "A-3"]
    assert taken.watermark is None, "the end of A-2 waited"
    taken.watermark = 1
    assert decode_header(dispatcher.outbox.get(key)) == taken
    dispatcher.give(fact("A", 4))
    await dispatcher.clock.run_for(1_000)
    assert dispatcher.told()[-2:] == [("A-3", 3, 2, 1), ("A-4", 4, 3, 1)]


async def test_what_a_delivery_says_is_the_same_in_every_attempt() -> None:
    """Over retries, a crash in the air, and a gap that opens behind it."""
    dispatcher = played("skip")
    dispatcher.sender.far = answering(A_2=500)  # type: ignore[assignment]
    dispatcher.give(fact("A", 1), fact("A", 2))
    await dispatcher.clock.run_for(5_000)
    dispatcher.sender.takes_ms = lambda _: 20_000
    await dispatcher.clock.run_for(10_000)
    dispatcher.sender.takes_ms = lambda _: 5
    again = await dispatcher.restart()
    key = header_key(fact("A", 1).lane)
    header = decode_header(again.outbox.get(key))
    header.abandon(fact("A", 3), previous=2)
    again.outbox.put(key, header.encode())
    again.sender.far = ok
    await again.clock.run_for(GIVE_UP_MS)
    said = [told for told in again.told() if told[0] == "A-2"]
    assert len(said) > 3
    assert set(said) == {("A-2", 2, 1, 1)}


def test_a_gap_is_remembered_longer_than_a_lane_without_one() -> None:
    """Forgotten, its subscriber would be told that it got everything."""
    header = LaneHeader()
    header.append(fact("A", 1), START_MS)
    assert header.is_old(START_MS + HEADER_KEPT_MS + 1)
    header.abandon(fact("A", 1), previous=0)
    assert not header.is_old(START_MS + HEADER_KEPT_MS + 1)
    assert header.is_old(START_MS + HEADER_WITH_GAP_KEPT_MS + 1)


def test_a_later_story_begins_without_the_gaps_of_those_before_it() -> None:
    """Also where the subscriber wants nothing of its first facts."""
    header = LaneHeader()
    header.append(in_story(fact("A", 2), 100), START_MS)
    header.abandon(in_story(fact("A", 2), 100), previous=0)
    for sequence, previous in ((5, 0), (6, 5)):
        entry = header.append(in_story(fact("A", sequence), 200), START_MS)
        assert (entry.previous, header.watermark_before(entry.request, entry.previous)) == (previous, previous)


async def test_a_gap_is_told_by_what_still_waits_when_its_order_comes_again() -> None:
    """Before and after the later story began."""
    dispatcher = played("skip")
    dispatcher.sender.far = answering(A_1=413, A_3=413)  # type: ignore[assignment]
    dispatcher.give(in_story(fact("A", 1), 100))
    await dispatcher.clock.run_for(1_000)
    dispatcher.dispatcher.pause(paused=True)
    dispatcher.give(*(in_story(fact("A", n), 100) for n in (2, 3, 4)))
    dispatcher.give(*(replace(in_story(fact("A", n), 200), id=f"again-{n}") for n in (1, 2)))
    dispatcher.dispatcher.pause(paused=False)
    await dispatcher.clock.run_for(1_000)
    assert dispatcher.told()[1:] == [
        ("A-2", 2, 1, 0),
        ("A-3", 3, 2, 0),
        ("A-4", 4, 3, 0),
        ("again-1", 1, 0, 0),
        ("again-2", 2, 1, 1),
    ]
    header = decode_header(dispatcher.outbox.get(header_key(fact("A", 1).lane)))
    assert not header.is_old(header.last_ms + HEADER_KEPT_MS + 1)


def test_the_gaps_of_many_stories_take_no_more_room_than_those_of_some() -> None:
    header = LaneHeader()
    for story in range(1, 50):
        header.append(in_story(fact("A", 1), story), START_MS)
        header.abandon(in_story(fact("A", 1), story), previous=0)
    assert list(header.earlier) == [str(story) for story in range(49 - STORIES_WITH_GAP_MAX, 49)]


async def test_block_waits_for_an_operator() -> None:
    for status in (500, 413):
        dispatcher = played("block")
        dispatcher.sender.far = answering(A_1=status)  # type: ignore[assignment]
        dispatcher.give(fact("A", 1), fact("A", 2), fact("B", 1))
        await dispatcher.clock.run_for(GIVE_UP_MS)
        assert {told[0] for told in dispatcher.told()} == {"A-1", "B-1"}


async def test_the_newest_supersedes_what_waits_before_it() -> None:
    for status in (500, 413):
        dispatcher = played("supersede")
        dispatcher.sender.far = answering(A_2=status)  # type: ignore[assignment]
        dispatcher.sender.takes_ms = lambda _: 100
        dispatcher.give(*(fact("A", n) for n in range(1, 6)), fact("B", 1))
        await dispatcher.clock.run_for(GIVE_UP_MS)
        assert list(dict.fromkeys(told[0] for told in dispatcher.told() if told[0] != "B-1")) == ["A-1", "A-2", "A-5"]
        assert dispatcher.told()[-1] == ("A-5", 5, 4, 1)
        attempts = [orjson.loads(one.value) for one in dispatcher.durable.effects if one.topic == "deliveries.attempts"]
        passed = [one for one in attempts if one["class"] == "superseded"]
        assert [(one["request"], one["error"]) for one in passed] == [
            ("A-3", "superseded by A-5"),
            ("A-4", "superseded by A-5"),
        ]
        assert len(dispatcher.outbox.values) == 2, "the headers of the two lanes"


async def test_a_dead_fact_with_nothing_behind_it_lets_its_lane_go_on() -> None:
    dispatcher = played("supersede")
    dispatcher.sender.far = answering(A_1=413)  # type: ignore[assignment]
    dispatcher.give(fact("A", 1))
    await dispatcher.clock.run_for(1_000)
    dispatcher.give(fact("A", 2))
    await dispatcher.clock.run_for(1_000)
    assert dispatcher.told() == [("A-1", 1, 0, 0), ("A-2", 2, 1, 0)]
