"""What operators see of stock and ask of it, on the side of delivery: each refusal is said once, whatever dies when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from streams.delivery.stock.metrics import CHANNEL_DIRTY, CHANNEL_OLDEST, CHANNEL_PAUSED, CHANNEL_REFUSED
from streams.delivery.stock.operations.rejections import Refusals, RememberedRefusal
from streams.delivery.stock.operations.status import CLEAN_MS, WRITTEN_EVERY_MS, Rate
from streams.delivery.stock.operations.stock_operations import StockOperations
from streams.runtime.role import Effect
from tests.fakes.delivery import START_MS, Durable, ManualClock, channels_for
from tests.fakes.stock import PlayedLocation, refusal
from topics.configuration.channels import Channels
from topics.records.facts.catalogue import check
from topics.stock.controls import Ask, Control, ControlIndex, Scope
from topics.stock.status import StatusIndex

PARTITION = 3


class Stage:
    """A worker's stock operations over what is durable; `status` is what a gateway makes of it."""

    def __init__(self, durable: Durable, clock: ManualClock, controls: ControlIndex, channels: Channels) -> None:
        self.durable = durable
        self.clock = clock
        self.controls = controls
        self.operations = StockOperations(channels, controls)

    @classmethod
    async def began(cls, before: Stage | None = None, **stock: Any) -> Stage:
        """`before`: the process that was killed; this one begins over what is durable. `stock`: the channel's."""
        channels = channels_for()
        demo = channels.channels["demo"]
        object.__setattr__(demo, "stock", demo.stock.model_copy(update=stock))
        if before is None:
            stage = cls(Durable(), ManualClock(), ControlIndex(), channels)
        else:
            durable = Durable(tables=before.durable.tables, effects=before.durable.effects)
            stage = cls(durable, before.clock, before.controls, channels)
        await stage.operations.start(stage.durable, stage.clock)
        stage.operations.on_assigned(PARTITION, stage.durable.of(PARTITION)["inventory.sent"])
        return stage

    async def again(self) -> Stage:
        return await Stage.began(self)

    def place(self, location: str = "L1", skus: tuple[str, ...] = ()) -> PlayedLocation:
        return PlayedLocation(location, partition=PARTITION, skus=skus)

    def opened(self, location: str = "L1", skus: tuple[str, ...] = ()) -> PlayedLocation:
        place = self.place(location, skus)
        self.operations.on_opened(place)
        return place

    async def look(self, after_ms: int = 1_000) -> None:
        await self.clock.run_for(after_ms)
        await self.operations.tick()

    def facts(self) -> list[tuple[str, dict[str, Any]]]:
        found = []
        for effect in self.durable.effects:
            if effect.topic == "inventory.events":
                name = dict(effect.headers)["ce_type"].decode().removeprefix("sluice.fact.")
                fact = orjson.loads(effect.value)
                check(name, fact)
                assert (effect.key, effect.partition) == (f"demo|{fact['location']}".encode(), None)
                found.append((name, fact))
        return found

    def ids(self) -> list[str]:
        return [
            dict(effect.headers)["ce_id"].decode()
            for effect in self.durable.effects
            if effect.topic == "inventory.events"
        ]

    @property
    def status(self) -> StatusIndex:
        index = StatusIndex()
        for effect in self.statuses():
            index.apply(effect.key, effect.value or None)
        return index

    def statuses(self) -> list[Effect]:
        found = [effect for effect in self.durable.effects if effect.topic == "inventory.status"]
        assert {effect.partition for effect in found} <= {PARTITION}
        return found

    def refused(self) -> list[str]:
        return [sku for _, sku, _ in self.status.refused("demo", None, ("", ""), 99)]


async def test_a_refusal_is_said_once_and_so_is_its_end() -> None:
    stage = await Stage.began()
    place = stage.opened()
    stage.operations.on_refused(place, "A", **refusal())
    stage.operations.on_refused(place, "B", **refusal(status=400))
    await stage.look()
    assert stage.refused() == ["A", "B"]
    assert [(name, fact["channelSkuCode"], fact["reason"]) for name, fact in stage.facts()] == [
        ("stock-refused", "A", "failure-list"),
        ("stock-refused", "B", "refused"),
    ]
    assert "no such listing" not in str(stage.facts()), "a far side's words are in no fact"
    await stage.look()
    stage.operations.on_accepted(place, "A")
    stage.operations.on_accepted(place, "never refused")
    await stage.look()
    await stage.look()
    assert stage.refused() == ["B"]
    assert [name for name, _ in stage.facts()] == ["stock-refused"] * 2 + ["stock-accepted-again"]
    assert stage.facts()[-1][1]["refusedSinceMs"] == 1_000


async def test_a_refusal_survives_a_kill_and_is_not_said_again() -> None:
    stage = await Stage.began()
    stage.operations.on_refused(stage.opened(), "A", **refusal())
    await stage.look()
    stage = await stage.again()
    place = stage.place()
    assert stage.operations.on_opened(place) == {"A"}
    await stage.look()
    assert [name for name, _ in stage.facts()] == ["stock-refused"]
    stage.operations.on_accepted(place, "A")
    await stage.look()
    stage = await stage.again()
    assert stage.operations.on_opened(stage.place()) == set()
    await stage.look()
    assert [name for name, _ in stage.facts()] == ["stock-refused", "stock-accepted-again"]


def test_a_takeover_reads_nothing_of_refusals_that_were_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a million of them, and nothing else happens meanwhile."""
    first = Refusals(PlayedLocation())
    first.refused("A", failures=8, since_ms=1_000, status=200, now_ms=START_MS)
    first.refused("B", failures=8, since_ms=1_000, status=200, now_ms=START_MS)
    *_, told = first.steps(START_MS, 1)
    (remembered,) = told.changes
    untold = first._remember("B", first._known["B"])
    assert remembered.value is not None
    assert untold.value is not None
    monkeypatch.setattr(RememberedRefusal, "model_validate_json", unreadable_but(untold.value))
    after = Refusals(PlayedLocation(), [("A", remembered.value), ("B", untold.value)])
    assert list(after.skus) == ["A", "B"]
    assert list(after._pending) == ["B"]


def unreadable_but(readable: bytes) -> Callable[[bytes], RememberedRefusal]:
    def read(raw: bytes) -> RememberedRefusal:
        assert raw == readable
        return known

    known = RememberedRefusal.model_validate_json(readable)
    return read


@pytest.mark.parametrize("done", range(6))
async def test_killed_between_any_two_writes_each_is_the_same_fact(done: int) -> None:
    """`done` writes of a refusal and its end became durable, effects before changes; then the process was killed."""
    stage = await Stage.began()
    place = stage.opened()
    refusals = Refusals(place)
    table = stage.durable.of(PARTITION)["inventory.sent"]
    left = done

    def commit() -> None:
        nonlocal left
        for step in refusals.steps(START_MS, 100):
            for write in (step.effects, step.changes):
                if left <= 0:
                    return
                left -= bool(write)
                for one in write:
                    if isinstance(one, Effect):
                        stage.durable.effects.append(one)
                    elif one.value is None:
                        table.delete(one.key)
                    else:
                        table.put(one.key, one.value)

    refusals.refused("A", failures=8, since_ms=1_000, status=200, now_ms=START_MS)
    commit()
    refusals.accepted("A")
    commit()
    stage = await stage.again()
    place = stage.place()
    refused = stage.operations.on_opened(place)
    await stage.look()
    if done:
        assert stage.facts()[0][0] == "stock-refused"
    if refused:
        stage.operations.on_accepted(place, "A")
    await stage.look()
    assert stage.refused() == []
    counts = Counter(stage.ids())
    assert set(counts) == ({"demo/L1/A/1000/stock-refused", "demo/L1/A/1000/stock-accepted-again"} if done else set())
    assert all(count <= 2 for count in counts.values())


async def test_a_refusal_that_ends_before_it_was_said_is_none() -> None:
    stage = await Stage.began()
    place = stage.opened()
    stage.operations.on_refused(place, "A", **refusal())
    stage.operations.on_accepted(place, "A")
    await stage.look()
    assert stage.facts() == []
    assert stage.refused() == []
    stage.operations.on_refused(place, "A", **refusal(since_ms=2_000))
    stage.operations.on_accepted(place, "A")
    stage.operations.on_refused(place, "A", **refusal(since_ms=3_000))
    await stage.look()
    assert [fact["sinceMs"] for _, fact in stage.facts()] == [3_000]


async def test_what_is_remembered_of_places_that_are_none_any_more_goes() -> None:
    stage = await Stage.began()
    stage.operations.on_refused(stage.opened("L9"), "A", **refusal())
    await stage.look()
    stage = await stage.again()
    stage.opened("L1")
    await stage.operations.on_recovered(PARTITION)
    await stage.look()
    assert stage.refused() == []
    assert "L9" not in stage.status.locations("demo")
    assert list(stage.durable.of(PARTITION)["inventory.sent"].walk(b"~refused|")) == []


async def test_a_status_is_written_on_change_and_seldom() -> None:
    stage = await Stage.began()
    place = stage.opened()
    await stage.look()
    assert len(stage.statuses()) == 1
    await stage.look(WRITTEN_EVERY_MS)
    assert len(stage.statuses()) == 1, "nothing changed"
    for number in range(12):
        place.changes += 1
        place.sent += 1
        place.dirty, place.oldest_ms = number, START_MS
        await stage.look(1_000)
    assert 4 <= len(stage.statuses()) <= 6
    known = stage.status.locations("demo")["L1"]
    assert (known.oldest_ms, known.since_ms, known.paused) == (START_MS, START_MS, False)
    assert known.changes == known.sent > 8
    assert 0.1 < known.sent_per_s < 1.0


async def test_a_location_that_is_quiet_for_long_is_not_told_of_any_more_until_it_is_not() -> None:
    stage = await Stage.began()
    place = stage.opened()
    await stage.look()
    await stage.look()
    await stage.look(CLEAN_MS - 1_000)
    assert "L1" in stage.status.locations("demo")
    for _ in range(3):
        await stage.look()
    assert stage.status.locations("demo") == {}
    assert len(stage.statuses()) == 2
    place.dirty = 1
    await stage.look()
    assert stage.status.locations("demo")["L1"].dirty == 1


async def test_a_pause_reaches_what_is_open_and_what_opens_later() -> None:
    stage = await Stage.began()
    first = stage.opened("L1")
    stage.controls.apply(Scope("demo", "L2").key, Control(paused=True).encode())
    second = stage.opened("L2")
    assert (first.paused, second.paused) == (False, True)
    stage.controls.apply(Scope("demo").key, Control(paused=True).encode())
    stage.controls.apply(Scope("demo", "L2").key, Control().encode())
    assert (first.paused, second.paused) == (True, True)
    stage.controls.apply(Scope("other").key, Control().encode())
    stage.controls.apply(Scope("demo").key, Control().encode())
    assert (first.paused, second.paused) == (False, False)


async def test_a_resync_goes_on_after_a_kill_and_ends_in_a_fact() -> None:
    skus = tuple(f"S{number}" for number in range(9))
    stage = await Stage.began()
    place = stage.opened(skus=skus)
    stage.controls.apply(b"demo", Control(resync=Ask(id="res_1", at_ms=START_MS)).encode())
    for _ in range(3):
        await stage.look(250)
    assert place.again == list(skus)
    place.tell("S0", "S1")
    for _ in range(6):
        await stage.look()
    progress = stage.status.locations("demo")["L1"].resync
    assert progress is not None
    assert (progress.id, progress.told, progress.total) == ("res_1", 2, 9)
    stage = await stage.again()
    place = stage.opened(skus=skus)
    for _ in range(8):
        await stage.look()
        place.tell()
    assert place.told == list(skus[2:])
    assert [(name, fact["positions"]) for name, fact in stage.facts()] == [("resync-done", 9)]
    assert stage.status.locations("demo")["L1"].resync is None


async def test_a_location_that_comes_after_a_resync_was_asked_for_is_told_anyway() -> None:
    """Its worker may be killed: it is not taken for one that has to be told again."""
    stage = await Stage.began()
    stage.controls.apply(b"demo", Control(resync=Ask(id="res_1", at_ms=START_MS)).encode())
    await stage.operations.on_recovered(PARTITION)
    new = stage.opened("L2", ("A",))
    for _ in range(3):
        await stage.look()
    stage = await stage.again()
    again = stage.opened("L2", ("A",))
    old = stage.opened("L1", ("A",))
    for _ in range(3):
        await stage.look()
    assert (new.again, again.again, old.again) == ([], [], ["A"])
    stage.controls.apply(b"demo", Control(resync=Ask(id="res_2", at_ms=START_MS + 1)).encode())
    for _ in range(3):
        await stage.look()
    assert again.again == ["A"]


async def test_a_daily_resync_comes_at_its_time_and_few_places_resync_at_once() -> None:
    stage = await Stage.began(resync_daily_at="22:15")  # START_MS is 22:13:20
    places = [stage.opened(f"L{number}", ("A",)) for number in range(7)]
    await stage.look(90_000)
    assert not any(place.again for place in places)
    for _ in range(4):
        await stage.look(10_000)
    assert sum(place.again == ["A"] for place in places) == 4
    for _ in range(6):
        for place in places:
            place.tell()
        await stage.look()
    assert all(place.told == ["A"] for place in places)
    assert [fact["cause"] for _, fact in stage.facts()] == ["daily"] * 7


async def test_a_channels_gauges_are_the_sum_of_its_places_and_end_with_them() -> None:
    stage = await Stage.began()
    places = [stage.opened("L1"), stage.opened("L2")]
    for number, place in enumerate(places):
        place.dirty, place.refused, place.oldest_ms = 2 + number, number, stage.clock.now_ms() - 5_000 * number
    places[0].paused = True
    await stage.look()
    told = {
        gauge: gauge.labels("demo")._value.get()
        for gauge in (CHANNEL_DIRTY, CHANNEL_OLDEST, CHANNEL_REFUSED, CHANNEL_PAUSED)
    }
    assert told == {CHANNEL_DIRTY: 5, CHANNEL_OLDEST: 6, CHANNEL_REFUSED: 1, CHANNEL_PAUSED: 1}
    for place in places:
        stage.operations.on_closed(place)
    await stage.look()
    assert [sample for metric in CHANNEL_DIRTY.collect() for sample in metric.samples] == []


def test_a_rate_is_that_of_the_last_minute_or_so() -> None:
    rate = Rate()
    assert rate.per_s(5) == 0
    for second in range(120):
        rate.add(50, second * 1_000)
    assert rate.per_s(120_000) == pytest.approx(50, rel=0.05)
    assert rate.per_s(300_000) < 0.05
