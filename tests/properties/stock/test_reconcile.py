"""Drift of every kind is found, said and repaired once; a channel that never obeys is no loop, whoever is killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.ports import AttemptResult, ResponseClass
from streams.delivery.stock.operations.reconciler import CONFIRM_MS, Reconciler
from streams.delivery.stock.operations.reconciliation import REPAIRED, Reconciliation, drift_of
from streams.delivery.stock.operations.step import Step
from streams.delivery.stock.ports import KnownStock
from tests.fakes.stock import PlayedLocation
from topics.records.facts.catalogue import check
from topics.records.keys import join, split
from topics.stock.controls import Ask
from topics.stock.positions import DRIFT, RECONCILE, is_position

QUANTITIES = st.integers(0, 3)
SKUS = [f"S{number:02d}" for number in range(30)]


class KilledError(Exception):
    """The process died."""


class JumpingClock:
    def __init__(self) -> None:
        self.ms = 1_000

    def now_ms(self) -> int:
        return self.ms

    async def wait(self, event: asyncio.Event, until_ms: float | None) -> None:
        self.ms = max(self.ms, int(until_ms or 0))


@dataclass
class World(PlayedLocation):
    """A place, its channel, and what is durable. `deaf`: SKUs that the channel acknowledges and does not take."""

    wanted: dict[str, int] = field(default_factory=dict)
    acked: dict[str, int] = field(default_factory=dict)
    has: dict[str, int] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    batch: int = 4
    kills: list[int] = field(default_factory=list)
    """Numbers of the commits that are cut off, after their effects or (negative) after all of it."""

    def __post_init__(self) -> None:
        super().__init__(skus=self.wanted)
        self.reading = self
        self.clock = JumpingClock()
        self.record: bytes | None = None
        self.memory: dict[str, bytes] = {}
        self.sends: Counter[str] = Counter()
        self.facts: dict[bytes, tuple[str, dict[str, Any]]] = {}
        self.commits = 0
        self.during: list[Any] = []
        """What happens while a question is in the air, one for each."""
        self.answers: list[AttemptResult] = []

    # StockReading

    def acknowledged(self) -> list[str]:
        return list(self.acked)

    def known(self, sku: str) -> KnownStock:
        refused = sku in self.bad
        settled = not refused and sku not in self.busy and (sku not in self.wanted or sku in self.acked)
        return KnownStock(wanted=self.wanted.get(sku), sent=self.acked.get(sku), settled=settled, refused=refused)

    async def ask(self, skus: Collection[str]) -> AttemptResult:
        assert len(skus) <= self.batch
        if self.during:
            self.during.pop(0)()
        if self.answers:
            return self.answers.pop(0)
        found = [{"channelSkuCode": s, "qcPassAvailableQuantity": self.has[s]} for s in skus if s in self.has]
        return AttemptResult(kind=ResponseClass.DELIVERED, at_ms=0, took_ms=1, status=200, body={"inventories": found})

    # StockLocation

    def compare(self, skus: Iterable[str]) -> None:
        """All that differs is sent at once."""
        for sku in skus:
            self.send(sku)

    def send(self, sku: str) -> None:
        if sku in self.wanted and sku not in self.acked and sku not in self.bad:
            self.sends[sku] += 1
            self.acked[sku] = self.wanted[sku]
            if sku not in self.deaf:
                self.has[sku] = self.wanted[sku]

    # What is durable

    async def commit(self, step: Step) -> None:
        self.commits += 1
        for effect in step.effects:
            headers = dict(effect.headers)
            name = headers["ce_type"].decode().removeprefix("sluice.fact.")
            fact = orjson.loads(effect.value)
            check(name, fact)
            self.facts[headers["ce_id"]] = (name, fact)
        if self.commits in self.kills:
            raise KilledError
        for change in step.changes:
            if is_position(change.key):
                assert change.value is None
                self.acked.pop(split(change.key)[2], None)
            elif change.key == join(RECONCILE, self.channel, self.location):
                self.record = change.value
            else:
                mark, _, _, sku = split(change.key)
                assert mark == DRIFT
                self.memory.pop(sku, None)
                if change.value is not None:
                    self.memory[sku] = change.value
        if -self.commits in self.kills:
            raise KilledError

    async def reconcile(self, name: str) -> dict[str, Any]:
        """To its end, through every kill; returns its last fact."""
        self.clock.ms += 1
        ask = Ask(id=name, at_ms=self.clock.ms)
        while True:
            for sku in self.wanted:
                self.send(sku)  # a takeover compares all
            state = Reconciliation(self, self.record, self.memory.items(), 0)
            try:
                wanted = state.wanted(ask, None)
                if wanted is not None:
                    await self.commit(state.begin(*wanted, self.clock.ms))
                await Reconciler(self, self, state, self.clock, self.commit).run()
            except KilledError:
                continue
            assert not state.goes_on
            done = (fact for kind, fact in self.facts.values() if kind == "reconcile-done")
            return next((fact for fact in done if fact["reconcile"] == name), {})

    def said(self, name: str, reconcile: str) -> dict[str, str]:
        """SKU -> kind."""
        told = [fact for kind, fact in self.facts.values() if kind == name and fact["reconcile"] == reconcile]
        return {fact["channelSkuCode"]: fact["kind"] for fact in told}


@st.composite
def worlds(draw: st.DrawFn, *, killed: bool) -> World:
    quantities = st.dictionaries(st.sampled_from(SKUS), QUANTITIES)
    wanted, has = draw(quantities), draw(quantities)
    gone = {sku: 1 for sku in has if sku not in wanted and draw(st.booleans())}
    return World(
        wanted=wanted,
        acked={**wanted, **gone},
        has={**wanted, **has} if draw(st.booleans()) else has,
        deaf=draw(st.sets(st.sampled_from(SKUS))),
        bad=draw(st.sets(st.sampled_from(SKUS), max_size=3)),
        batch=draw(st.integers(1, 40)),
        kills=draw(st.lists(st.integers(-12, 12), max_size=4)) if killed else [],
    )


def drifted(world: World) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for sku in {*world.wanted, *world.acked}:
        drift = drift_of(world.known(sku), world.has.get(sku))
        if drift is not None:
            kinds[sku] = drift.kind
    return kinds


@settings(max_examples=80, deadline=None)
@given(worlds(killed=False))
def test_drift_of_every_kind_is_found_and_repaired_once(world: World) -> None:
    asyncio.run(_found_and_repaired(world))


async def _found_and_repaired(world: World) -> None:
    for sku in world.bad:
        world.acked.pop(sku, None)
    expected = drifted(world)
    repairable = {sku for sku, kind in expected.items() if kind in REPAIRED}
    done = await world.reconcile("first")
    assert world.said("stock-drift-found", "first") == expected
    assert set(world.sends) == repairable
    assert done["compared"] == len({*world.wanted, *world.acked})
    assert done["repaired"] == len(repairable)
    for kind in ("missing", "extra", "stale", "refused"):
        assert done[kind] == list(expected.values()).count(kind)
    left = drifted(world)
    assert {sku for sku, kind in left.items() if kind in REPAIRED} <= world.deaf
    for name in ("second", "third", "fourth"):
        done = await world.reconcile(name)
        assert world.said("stock-drift-persists", name) == left
        assert (world.said("stock-drift-found", name), done["repaired"]) == ({}, 0)
    assert max(world.sends.values(), default=0) <= 1, "a channel that never obeys is told once"
    assert set(world.memory) == set(left)


@settings(max_examples=80, deadline=None)
@given(worlds(killed=True))
def test_whoever_is_killed_what_drifted_is_repaired_and_nothing_is_told_without_end(world: World) -> None:
    asyncio.run(_killed(world))


async def _killed(world: World) -> None:
    for sku in world.bad:
        world.acked.pop(sku, None)
    expected = drifted(world)
    await world.reconcile("first")
    assert expected.items() <= world.said("stock-drift-found", "first").items()
    await world.reconcile("second")
    left = {sku for sku, kind in drifted(world).items() if kind in REPAIRED}
    assert left <= world.deaf
    assert max(world.sends.values(), default=0) <= 1 + len(world.kills)
    before = world.sends.copy()
    await world.reconcile("third")
    assert world.sends == before


async def test_what_drifts_again_after_it_was_seen_well_is_repaired_again() -> None:
    world = World(wanted={"A": 1}, acked={"A": 1}, has={})
    await world.reconcile("first")
    await world.reconcile("second")
    assert (world.has, world.memory) == ({"A": 1}, {})
    world.has["A"] = 9
    await world.reconcile("third")
    assert world.said("stock-drift-found", "third") == {"A": "stale"}
    assert world.has == {"A": 1}


@pytest.mark.parametrize("when", [1, 2])
async def test_what_is_on_its_way_is_no_drift(when: int) -> None:
    """Also when it begins between the two looks at what the channel has."""
    world = World(wanted={"A": 1}, acked={"A": 1}, has={"A": 2})
    world.during = [lambda: None] * (when - 1) + [lambda: world.busy.add("A")]
    done = await world.reconcile("first")
    assert (done["stale"], world.sends, world.memory) == (0, {}, {})


async def test_a_channel_that_answers_from_an_old_copy_for_a_moment_drifts_not() -> None:
    world = World(wanted={"A": 1}, acked={"A": 1}, has={"A": 2})
    began_ms = world.clock.ms
    world.during = [lambda: None, lambda: world.has.update(A=1)]
    done = await world.reconcile("first")
    assert done["stale"] == 0
    assert world.clock.ms - began_ms >= CONFIRM_MS


async def test_a_call_that_told_a_sku_in_between_makes_what_was_read_of_it_worthless() -> None:
    world = World(wanted={"A": 1, "B": 1}, acked={"A": 1, "B": 1}, has={"A": 2, "B": 2})
    state = Reconciliation(world, None, (), 0)
    await world.commit(state.begin(Ask(id="first", at_ms=1), "asked", 1))
    going = Reconciler(world, world, state, world.clock, world.commit)
    world.during = [lambda: None, lambda: going.on_acknowledged(["A", "C"])]
    await going.run()
    assert world.said("stock-drift-found", "first") == {"B": "stale"}


async def test_a_channel_that_cannot_be_asked_is_given_up_and_that_is_no_fact() -> None:
    world = World(wanted={"A": 1}, acked={"A": 1}, has={})
    refused = AttemptResult(kind=ResponseClass.REFUSED, at_ms=0, took_ms=1, status=404)
    nonsense = AttemptResult(kind=ResponseClass.DELIVERED, at_ms=0, took_ms=1, status=200, body={"inventories": 7})
    world.answers = [refused, nonsense] * 4
    assert await world.reconcile("first") == {}
    state = Reconciliation(world, world.record, (), 0)
    assert state.shown is not None
    assert (state.shown.failed, state.goes_on, world.sends) == (True, False, {})
    world.answers = [refused]
    assert (await world.reconcile("second"))["missing"] == 1


async def test_a_sku_that_the_channel_names_unasked_and_nobody_knows_is_extra() -> None:
    class Generous(World):
        async def ask(self, skus: Collection[str]) -> AttemptResult:
            return await super().ask([*skus, "X"][: self.batch])

    world = Generous(wanted={"A": 1, "B": 2}, acked={"A": 1, "B": 2}, has={"A": 1, "B": 2, "X": 5})
    await world.reconcile("first")
    assert world.said("stock-drift-found", "first") == {"X": "extra"}
