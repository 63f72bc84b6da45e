"""Whatever happens to stock calls, the channel ends with the last accepted position of every SKU.

Random histories of changes, successes, partial failures, refusals, errors, lost calls that arrive late or never, and
crashes at each step (what was not durable is forgotten, and of a commit perhaps only its beginning was) run against a
far side that applies what reaches it, in the order in which it arrives; several calls are in the air at once. When the
far side works again, its stock equals the positions: nothing old had the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.stock.in_doubt import InDoubtJournal
from streams.delivery.stock.queue.backoff import LATE_MS, QueuePolicy
from streams.delivery.stock.queue.dirty_queue import Batch, DirtyQueue
from streams.runtime.role import Change as Durable
from tests.fakes.stock_tables import TwoTables, journal_of
from topics.records.keys import split
from topics.stock.positions import encode_position

SKUS = tuple("abcd")
POLICY = QueuePolicy(batch_max=2, sku_retry_max_ms=60_000)
CALLS_MAX = 3
DRAIN_STEPS_MAX = 2_000
"""A queue that still has something to send after so many steps of a healthy far side never ends."""


class Fate(StrEnum):
    """How one call ends. A crash forgets the queue; what was durable stays."""

    OK = "applied and acknowledged"
    OK_AT_LAST = "applied just before it is acknowledged"
    FAILURE_LIST = "applied but for the SKUs in failureList"
    LEFT_OUT = "applied, and some SKUs are in neither list"
    UNNAMED = "half applied, and failureList names nothing of the call"
    REFUSED = "refused as a whole"
    THROTTLED = "asked for quiet"
    RETURNED = "not sent after all"
    ERROR = "500, nothing applied"
    ERROR_APPLIED = "500, applied all the same"
    ERROR_HALF = "500, half applied"
    LOST = "lost on the way, never arrives"
    LATE = "no answer, arrives later"
    ANSWER_LOST = "applied at once, the answer lost"
    CRASH_IN_NOTE = "crash while the note of the call becomes durable"
    CRASH_BEFORE_CALL = "crash when the note is durable and the call not sent"
    CRASH_IN_CALL = "crash while the call is on its way"
    CRASH_BEFORE_COMMIT = "crash between the answer and its commit"
    CRASH_IN_COMMIT = "crash while what was acknowledged becomes durable"


@dataclass
class Change:
    sku: str
    quantity: int


@dataclass
class Again:
    sku: str


@dataclass
class Wait:
    ms: int


@dataclass
class Begin:
    fate: Fate
    late_ms: int
    failing: frozenset[str]
    durable: int
    """How much of a commit is durable in a crash."""


@dataclass
class End:
    number: int
    took_ms: int


class Crash:
    def __repr__(self) -> str:
        return "Crash()"


Step = Change | Again | Wait | Begin | End | Crash


@dataclass
class World:
    """Kafka (`positions`, `sent`, `notes`), the far side and one owner that may crash."""

    now_ms: int = 1_000_000
    positions: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    notes: dict[bytes, bytes] = field(default_factory=dict)
    far: dict[str, bytes] = field(default_factory=dict)
    late: list[tuple[int, dict[str, bytes]]] = field(default_factory=list)
    air: list[tuple[Begin, Batch, int]] = field(default_factory=list)
    queue: DirtyQueue = field(init=False)
    journal: InDoubtJournal = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """What was in the air at a crash is on its way or not as its fate says; nobody hears of its end."""
        for step, batch, _ in self.air:
            if step.fate is Fate.OK_AT_LAST:
                self.late.append((self.now_ms + step.late_ms, dict(batch.items)))
        self.air.clear()
        self.queue = DirtyQueue(TwoTables(self.positions.get, self.sent.get), POLICY, lambda: 0.5)
        self.journal = journal_of(self.notes, "c", "L1")
        self.queue.recover(self.journal.skus, self.now_ms)
        for sku in self.positions:
            self.queue.compare(sku, self.now_ms)

    def change(self, change: Change) -> None:
        self.positions[change.sku] = position(change.sku, change.quantity)
        self.queue.compare(change.sku, self.now_ms)

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        for call in sorted(self.late, key=lambda call: call[0]):
            if call[0] <= self.now_ms:
                self.late.remove(call)
                self.far.update(call[1])

    def commit(self, changes: Sequence[Durable], up_to: int | None = None) -> None:
        """In order; `up_to`: the rest is lost."""
        for change in changes[:up_to]:
            if change.value is None:
                self.notes.pop(change.key, None)
            elif change.key.startswith(b"~"):
                self.notes[change.key] = change.value
            else:
                self.sent[split(change.key)[2]] = change.value

    def begin(self, step: Begin, *, spares: Callable[[Batch], bool] = lambda _: False) -> None:
        """Sends the next call, if there is one. A batch that the far side spares meets no evil fate."""
        batch = self.queue.pop_batch(self.now_ms) if len(self.air) < CALLS_MAX else None
        if batch is None:
            return
        if spares(batch):
            step = replace(step, fate=Fate.OK)
        assert 0 < len(batch.items) <= POLICY.batch_max
        assert all(self.positions[sku] == value for sku, value in batch.items.items()), "a call carries the newest"
        assert not any(sku in other.items for _, other, _ in self.air for sku in batch.items), "a SKU is in one call"
        changes = self.journal.begin(batch.items, self.queue.is_doubtful)
        if step.fate is Fate.CRASH_IN_NOTE:
            self.commit(changes, step.durable % len(changes))
            self.start()
            return
        self.commit(changes)
        assert set(batch.items) <= set(journal_of(self.notes, "c", "L1").skus), "no call without a note"
        if step.fate is Fate.CRASH_BEFORE_CALL:
            self.start()
            return
        self._reach_far_side(step, batch)
        self.air.append((step, batch, self.now_ms))
        if step.fate is Fate.CRASH_IN_CALL:
            self.start()

    def end(self, step: End) -> None:
        if self.air:
            self.wait(step.took_ms)
            self._end(*self.air.pop(step.number % len(self.air)))

    def _reach_far_side(self, step: Begin, batch: Batch) -> None:
        match step.fate:
            case (
                Fate.OK
                | Fate.LEFT_OUT
                | Fate.ERROR_APPLIED
                | Fate.ANSWER_LOST
                | Fate.CRASH_BEFORE_COMMIT
                | Fate.CRASH_IN_COMMIT
            ):
                self.far.update(batch.items)
            case Fate.FAILURE_LIST:
                self.far.update({sku: value for sku, value in batch.items.items() if sku not in step.failing})
            case Fate.ERROR_HALF | Fate.UNNAMED:
                self.far.update(dict(list(batch.items.items())[::2]))
            case Fate.LATE | Fate.CRASH_IN_CALL:
                self.late.append((self.now_ms + step.late_ms, dict(batch.items)))
            case _:
                pass

    def _end(self, step: Begin, batch: Batch, started_ms: int) -> None:
        match step.fate:
            case Fate.OK | Fate.OK_AT_LAST | Fate.FAILURE_LIST | Fate.LEFT_OUT | Fate.CRASH_IN_COMMIT:
                self._acknowledge(step, batch, started_ms)
            case Fate.UNNAMED:
                self.queue.refused(batch, self.now_ms, in_doubt=True)
            case Fate.REFUSED:
                self.queue.refused(batch, self.now_ms)
            case Fate.THROTTLED:
                self.queue.throttled(batch, self.now_ms, self.now_ms + step.late_ms)
            case Fate.RETURNED:
                self.queue.returned(batch, self.now_ms)
            case Fate.ERROR | Fate.ERROR_APPLIED | Fate.ERROR_HALF:
                self.queue.failed(batch, self.now_ms)
            case Fate.LOST | Fate.LATE | Fate.ANSWER_LOST:
                self.queue.failed(batch, self.now_ms, lost_since_ms=started_ms)
            case _:
                self.start()
        self.journal.settle_later(batch.items)

    def _acknowledge(self, step: Begin, batch: Batch, started_ms: int) -> None:
        if step.fate is Fate.OK_AT_LAST:
            self.far.update(batch.items)
        failed = step.failing if step.fate in (Fate.FAILURE_LIST, Fate.LEFT_OUT) else frozenset[str]()
        in_doubt = step.failing if step.fate is Fate.LEFT_OUT else frozenset[str]()
        ended = [
            sku
            for sku in batch.items
            if sku not in in_doubt and self.queue.ends_doubt(sku, started_ms, took=sku not in failed)
        ]
        changes = [
            Durable("inventory.sent", f"c|L1|{sku}".encode(), value)
            for sku, value in batch.items.items()
            if sku not in failed
        ]
        changes += self.journal.settle(ended)
        if step.fate is Fate.CRASH_IN_COMMIT:
            self.commit(changes, step.durable % len(changes))
            self.start()
            return
        self.commit(changes)
        self.queue.answered(batch, failed, started_ms, self.now_ms, in_doubt=in_doubt)

    def drain(self) -> None:
        """The far side works from now on: runs until nothing is left to send."""
        for _ in range(DRAIN_STEPS_MAX):
            while self.air:
                self.end(End(0, 10))
            next_ms = self.queue.next_ms()
            if next_ms is None:
                break
            self.wait(max(0, next_ms - self.now_ms))
            self.begin(Begin(Fate.OK, 0, frozenset(), 0))
        assert self.queue.next_ms() is None, "the queue never comes to rest"
        self.wait(LATE_MS)


def position(sku: str, quantity: int) -> bytes:
    return encode_position({"channelSkuCode": sku, "quantity": quantity})


# Few values, so that a position often returns to the one that was sent before.
a_change = st.builds(Change, sku=st.sampled_from(SKUS), quantity=st.integers(0, 2))
a_wait = st.builds(Wait, ms=st.sampled_from((1, 60, 1_000, 20_000, 60_000)))
an_end = st.builds(End, number=st.integers(0, CALLS_MAX), took_ms=st.sampled_from((1, 200, 30_000)))


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Long enough to matter, and with few kinds of fate each: a mixture of all drowns what two of them do together."""
    fates = draw(st.lists(st.sampled_from(Fate), min_size=1, max_size=2))
    a_begin = st.builds(
        Begin,
        fate=st.sampled_from([*fates, Fate.OK]),
        late_ms=st.integers(0, LATE_MS),
        failing=st.frozensets(st.sampled_from(SKUS), max_size=2),
        durable=st.integers(0, 5),
    )
    rare: st.SearchStrategy[Step] = draw(
        st.sampled_from((st.builds(Crash), a_wait, st.builds(Again, st.sampled_from(SKUS))))
    )
    mixture: Sequence[st.SearchStrategy[Step]] = (*[a_change] * 5, *[a_begin] * 4, *[an_end] * 3, rare)
    steps: st.SearchStrategy[Step] = st.integers(0, len(mixture) - 1).flatmap(lambda n: mixture[n])
    return draw(st.lists(steps, min_size=draw(st.integers(0, 30)), max_size=50))


def play(world: World, history: Sequence[Step]) -> None:
    for step in history:
        match step:
            case Change():
                world.change(step)
            case Again():
                world.queue.send_again([step.sku])
            case Wait():
                world.wait(step.ms)
            case Begin():
                # What gathers or backs off becomes due, so that most calls of a history find something to do.
                next_ms = world.queue.next_ms()
                if next_ms is not None and next_ms - world.now_ms <= 2_000:
                    world.wait(max(0, next_ms - world.now_ms))
                world.begin(step)
            case End():
                world.end(step)
            case Crash():
                world.start()


@settings(max_examples=500, deadline=None)
@given(histories())
def test_the_channel_ends_with_the_last_accepted_position(history: list[Step]) -> None:
    world = World()
    play(world, history)
    world.drain()
    assert world.far == world.positions
    assert world.sent == world.positions
    assert len(world.queue) == 0
    assert world.queue.resending == 0
    world.change(Change("z", 1))
    world.drain()
    assert not world.journal.skus, "notes that nobody needs go with the next call"


@settings(max_examples=150, deadline=None)
@given(histories(), st.sampled_from(SKUS), st.sampled_from((Fate.REFUSED, Fate.ERROR)))
def test_a_sku_that_breaks_every_call_does_not_keep_the_others_from_the_channel(
    history: list[Step], bad: str, fate: Fate
) -> None:
    """The far side refuses, or fails on, every call that contains one SKU: all the others arrive nevertheless."""
    world = World()
    play(world, history)
    while world.air:
        world.end(End(0, 10))
    for sku in SKUS:
        world.change(Change(sku, 7))
    for _ in range(DRAIN_STEPS_MAX):
        next_ms = world.queue.next_ms()
        if next_ms is None or all(world.far.get(sku) == world.positions[sku] for sku in SKUS if sku != bad):
            break
        world.wait(max(0, next_ms - world.now_ms))
        for _ in range(2):
            world.begin(Begin(fate, 0, frozenset(), 0), spares=lambda batch: bad not in batch.items)
        while world.air:
            world.end(End(0, 10))
    assert {sku: world.far.get(sku) for sku in SKUS if sku != bad} == {
        sku: position(sku, 7) for sku in SKUS if sku != bad
    }
