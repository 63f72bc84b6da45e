"""A resync tells every position once more, in hands of bounded size, and after a restart goes on from where it was."""

from __future__ import annotations

import random

import orjson
import pytest

from streams.delivery.stock.operations import resync as stock_resync
from streams.delivery.stock.operations import sweep
from streams.delivery.stock.operations.reconciliation import Reconciliation
from streams.delivery.stock.operations.resync import Resync
from streams.delivery.stock.operations.step import Step
from streams.delivery.stock.operations.sweep import daily_ask
from streams.runtime.invariants import InvariantError
from tests.fakes.stock import PlayedLocation
from topics.records.facts.catalogue import check
from topics.stock.controls import Ask

ASK = Ask(id="res_1", at_ms=1_000)
DAY_MS = 86_400_000
SKUS = [f"S{number:04d}" for number in range(250)]


@pytest.fixture(autouse=True)
def small_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_resync, "IN_HAND_MAX", 20)
    monkeypatch.setattr(stock_resync, "WINDOW_MAX", 50)
    monkeypatch.setattr(sweep, "SORTED_AT_ONCE", 40)


class Run:
    """A place and its resync; `record` is what a crash leaves."""

    def __init__(self, skus: list[str], record: bytes | None = None) -> None:
        self.place = PlayedLocation(skus=skus)
        self.resync = Resync(self.place, record, now_ms=500)
        self.record = record
        self.facts: list[dict[str, object]] = []
        self.ids: list[bytes] = []
        self.refused: set[str] = set()

    def keep(self, step: Step | None) -> None:
        if step is None:
            return
        for change in step.changes:
            assert (change.table, change.key) == ("inventory.sent", self.resync.key)
            self.record = change.value
        for effect in step.effects:
            self.facts.append(orjson.loads(effect.value))
            self.ids.append(dict(effect.headers)["ce_id"])
            check("resync-done", self.facts[-1])

    def begin(self, ask: Ask = ASK) -> None:
        self.keep(self.resync.begin(ask, "asked", now_ms=2_000))

    def move(self) -> None:
        while not self.resync.sort_some():
            pass
        self.keep(self.resync.move(is_refused=self.refused.__contains__, now_ms=9_000))

    def to_the_end(self) -> None:
        for _ in range(1_000):
            self.move()
            if not self.resync.goes_on:
                return
            self.place.tell()
        raise AssertionError("it does not end")


def shuffled() -> list[str]:
    skus = list(SKUS)
    random.Random(7).shuffle(skus)
    return skus


def test_every_position_is_told_once_and_that_is_a_fact() -> None:
    run = Run(shuffled())
    run.place.changes = 5
    run.begin()
    run.place.changes = 9
    run.to_the_end()
    assert run.place.told == SKUS
    assert run.facts == [
        {
            "channel": "demo",
            "location": "L1",
            "atMs": 9_000,
            "resync": "res_1",
            "cause": "asked",
            "positions": 250,
            "changed": 0,
            "startedMs": 2_000,
        }
    ]
    assert run.ids == [b"demo/L1/res_1/resync-done"]
    assert run.resync.progress is None


def test_a_place_has_a_bounded_number_in_hand_and_progress_is_shown() -> None:
    run = Run(shuffled())
    run.begin()
    most = 0
    for _ in range(100):
        run.move()
        most = max(most, len(run.place.again))
        if run.place.again:
            run.place.tell(run.place.again[0])
    assert most == 20
    progress = run.resync.progress
    assert progress is not None
    assert (progress.id, progress.cause, progress.total, progress.started_ms) == ("res_1", "asked", 250, 2_000)
    assert 0 < progress.told <= len(run.place.told)


@pytest.mark.parametrize("seed", range(5))
def test_killed_anywhere_it_goes_on_and_misses_none(seed: int) -> None:
    chance = random.Random(seed)
    run = Run(shuffled())
    run.begin()
    told: list[str] = []
    for _ in range(10_000):
        run.move()
        if not run.resync.goes_on:
            break
        if run.place.again:
            run.place.tell(*chance.sample(run.place.again, chance.randint(1, len(run.place.again))))
        if chance.random() < 0.1:
            told += run.place.told
            run = Run(shuffled(), run.record)
            assert run.resync.goes_on
    told += run.place.told
    assert set(told) == set(SKUS)
    assert len(told) < 2 * len(SKUS), "it does not begin anew"
    assert run.facts[0]["positions"] == 250


def test_a_sku_that_the_channel_refuses_stops_nothing() -> None:
    """One that is known as refused is left out; one that becomes it is passed then."""
    run = Run(SKUS)
    run.refused.add("S0003")
    run.begin()
    for _ in range(40):
        run.move()
        for sku in set(run.place.again) - {"S0001"}:
            run.place.tell(sku)
    assert run.place.again == ["S0001"]
    assert "S0003" not in run.place.told
    progress = run.resync.progress
    assert progress is not None
    assert progress.told == 1
    assert len(run.place.told) == 50 - 1, "what may be told behind one that waits is bounded"
    run.refused.add("S0001")
    run.to_the_end()
    assert set(run.place.told) | {"S0001", "S0003"} == set(SKUS)


def test_a_new_one_begins_from_the_first_and_an_empty_place_has_nothing_to_tell() -> None:
    run = Run(SKUS)
    run.begin()
    for _ in range(5):
        run.move()
        run.place.tell()
    run.begin(Ask(id="res_2", at_ms=3_000))
    run.to_the_end()
    assert run.place.told[-250:] == SKUS
    assert [fact["resync"] for fact in run.facts] == ["res_2"]
    empty = Run([])
    empty.begin()
    empty.to_the_end()
    assert empty.facts[0]["positions"] == 0


def test_what_is_wanted_is_begun_once() -> None:
    resync = Resync(PlayedLocation(), None, now_ms=10 * DAY_MS)
    old, new = Ask(id="daily_1", at_ms=9 * DAY_MS), Ask(id="daily_2", at_ms=11 * DAY_MS)
    assert resync.wanted(None, old) is None, "it was due before this worker knew the place"
    assert resync.wanted(None, new) == (new, "daily")
    assert resync.wanted(ASK, new) == (ASK, "asked")
    record = resync.begin(new, "daily", now_ms=1).changes[0].value
    again = Resync(PlayedLocation(), record, now_ms=12 * DAY_MS)
    for one in (resync, again):
        assert one.wanted(ASK, new) is None
        late = Ask(id="daily_3", at_ms=12 * DAY_MS)
        assert one.wanted(None, late) == (late, "daily")


@pytest.mark.parametrize(
    ("daily_at", "now_ms", "at_ms"),
    [
        ("00:00", 5 * DAY_MS, 5 * DAY_MS),
        ("03:30", 5 * DAY_MS, 4 * DAY_MS + 12_600_000),
        ("03:30", 5 * DAY_MS + 12_600_000, 5 * DAY_MS + 12_600_000),
        ("23:59", 5 * DAY_MS - 1, 4 * DAY_MS + 86_340_000),
    ],
)
def test_a_daily_one_is_due_at_its_minute_of_utc(daily_at: str, now_ms: int, at_ms: int) -> None:
    ask = daily_ask(daily_at, now_ms)
    assert ask is not None
    assert ask.at_ms == at_ms
    assert daily_ask(daily_at, at_ms) == ask
    assert daily_ask(None, now_ms) is None


@pytest.mark.parametrize(
    "contradiction",
    [
        {"cursor": "S0001"},
        {"cursor": "S0001", "compared": 3, "missing": 4},
        {"cursor": "S0001", "compared": 3, "missing": 1, "repaired": 1, "persisting": 1},
    ],
)
def test_a_record_that_contradicts_itself_is_a_violation_when_it_is_read(contradiction: dict[str, object]) -> None:
    place = PlayedLocation()
    sound = Reconciliation(place, None, (), 0)
    sound.begin(ASK, "asked", 2_000)
    assert sound.shown is not None
    record = {**sound.shown.model_dump(), **contradiction}
    with pytest.raises(InvariantError, match="stock_sweep_record"):
        Reconciliation(place, orjson.dumps(record), (), 0)


def test_a_cursor_that_goes_back_is_a_violation() -> None:
    sweep = Reconciliation(PlayedLocation(), None, (), 0)
    sweep.begin(ASK, "asked", 2_000)
    sweep.judge({}, compared=1, cursor="S0002", now_ms=3_000)
    with pytest.raises(InvariantError, match="stock_sweep_cursor"):
        sweep.judge({}, compared=1, cursor="S0001", now_ms=3_000)
