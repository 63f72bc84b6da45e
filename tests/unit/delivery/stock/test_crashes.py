"""A worker that dies after any record of any commit leaves what its successor needs: the channel ends with the newest.

Each history is played to its end, and then once more for every record that was made durable in it: the process dies
when just that one is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import orjson
import pytest

from streams.delivery.ports import Answer, Call
from streams.delivery.stock.queue.backoff import LATE_MS
from streams.runtime.invariants import InvariantError
from streams.runtime.role import Change, Effect
from tests.fakes.delivery import Durable
from tests.fakes.stock_sending import StockWorker, stock_channels
from tests.fakes.stock_tables import journal_of
from topics.records.keys import join
from topics.stock.positions import FLIGHT

History = Callable[[StockWorker], None]


class Mortal(Durable):
    """After so many records nothing is made durable any more, and whoever waits for it waits for ever."""

    left: int = 1 << 30
    written: int = 0

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        changes = list(changes)
        alive = changes[: self.left]
        self.left -= len(alive)
        self.written += len(alive)
        await super().commit(partition, effects, alive)
        if len(alive) < len(changes) or not self.left:
            await asyncio.Event().wait()


class Channel:
    """What it has is what it took last. `first_answers` are of its first calls, and say whether it took them."""

    def __init__(self, first_answers: tuple[tuple[int | None, bool], ...]) -> None:
        self.has: dict[str, int] = {}
        self._first = list(first_answers)

    def __call__(self, call: Call, before: int) -> Answer:
        status, takes = self._first[before] if before < len(self._first) else (200, True)
        assert call.members is not None
        if takes:
            self.has |= {item["channelSkuCode"]: item["quantity"] for item in call.members["inventories"]}
        return Answer(status=status, headers={}, error="" if status else "no answer")


async def played(first_answers: tuple[tuple[int | None, bool], ...], dies_after: int) -> int:
    """Returns how many records became durable."""
    channel = Channel(first_answers)
    durable = Mortal()
    durable.left = dies_after
    worker = StockWorker(stock_channels({"batch_max": 2, "gather_ms": 0}), durable=durable)
    worker.sender.far = channel
    await worker.start()
    worker.change("L1", a=1, b=1, c=1)
    await worker.clock.run_for(300)
    worker.change("L1", a=2, b=0)
    await worker.clock.run_for(3)
    worker.change("L1", a=1)
    await worker.clock.run_for(5_000)
    worker = await worker.restart()
    await worker.clock.run_for(3 * LATE_MS)
    assert channel.has == {"a": 1, "b": 0, "c": 1}
    await worker.played.kill()
    return durable.written


@pytest.mark.parametrize(
    "first_answers",
    [
        (),
        ((200, True), (None, True)),
        ((200, True), (200, True), (500, True), (500, False)),
        ((200, True), (200, True), (400, False), (400, False)),
        ((429, False), (200, True), (200, True), (None, True)),
    ],
    ids=["well", "lost", "errors", "refused", "throttled"],
)
async def test_after_a_death_at_any_record_the_channel_ends_with_the_newest(
    first_answers: tuple[tuple[int | None, bool], ...],
) -> None:
    records = await played(first_answers, 1 << 30)
    assert records > 8
    for dies_after in range(1, records):
        await played(first_answers, dies_after)


def durable(notes: dict[bytes, bytes], changes: Iterable[Change]) -> None:
    for change in changes:
        if change.value is None:
            notes.pop(change.key, None)
        else:
            notes[change.key] = change.value


def test_a_note_is_never_larger_than_its_call_however_many_are_doubtful() -> None:
    notes: dict[bytes, bytes] = {}
    journal = journal_of(notes, "demo", "L1")
    for number in range(100):
        durable(notes, journal.begin([f"s{number}", f"t{number}"], lambda _: True))
    assert max(len(orjson.loads(raw)) for raw in notes.values()) == 2
    assert len(journal_of(notes, "demo", "L1").skus) == 200
    durable(notes, journal.settle([f"s{number}" for number in range(100)]))
    assert len(notes) == 100, "the other SKU of each is doubtful"
    durable(notes, journal.settle([f"t{number}" for number in range(100)]))
    assert notes == {}


def test_keys_of_notes_are_as_few_as_there_were_notes_at_once() -> None:
    """Each key that was ever written is a record that the topic keeps, and a deletion that the runtime remembers."""
    notes: dict[bytes, bytes] = {}
    keys: set[bytes] = set()
    journal = journal_of(notes, "demo", "L1")
    for number in range(100):
        changes = journal.begin([f"s{number}"], lambda _: True)
        assert changes[0].key not in notes, "a note that still says something is not overwritten"
        if number % 10 == 9:
            changes += journal.settle([f"s{earlier}" for earlier in range(number - 9, number + 1)])
        durable(notes, changes)
        keys.update(change.key for change in changes)
        if number % 25 == 0:
            journal = journal_of(notes, "demo", "L1")
    assert len(keys) == 10


def test_a_note_that_a_later_one_has_overtaken_goes_with_the_next_call() -> None:
    notes = {join(FLIGHT, "demo", "L1", "0"): b'["a"]', join(FLIGHT, "demo", "L1", "3"): b'["a","b"]'}
    journal = journal_of(notes, "demo", "L1")
    durable(notes, journal.begin(["c"], lambda _: True))
    assert journal_of(notes, "demo", "L1").skus == {"a", "b", "c"}
    assert sum(b'"a"' in raw for raw in notes.values()) == 1


def test_a_note_is_settled_once() -> None:
    journal = journal_of({}, "demo", "L1")
    journal.begin(["a", "b"], lambda _: True)
    journal.settle(["a"])
    with pytest.raises(InvariantError, match=r"no note has \['a'\]"):
        journal.settle(["a", "b"])


def test_notes_of_one_location_say_nothing_of_another() -> None:
    notes: dict[bytes, bytes] = {}
    for location in ("L1", "L1|", "~ALL", "L2"):
        durable(notes, journal_of(notes, "demo", location).begin([location], lambda _: True))
    assert len(notes) == 4
    for location in ("L1", "L1|", "~ALL", "L2"):
        assert set(journal_of(notes, "demo", location).skus) == {location}
