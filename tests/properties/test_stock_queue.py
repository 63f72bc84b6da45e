"""Whatever happens to stock calls, the channel ends with the last accepted position of every SKU.

Random histories of changes, successes, partial failures, refusals, errors, lost calls that arrive late or never, and
crashes at each step (what was not durable is forgotten) run against a far side that applies what reaches it, in the
order in which it arrives. When the far side works again, its stock equals the positions: nothing old had the last word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.stock_queue import LATE_MS, Batch, Policy, StockQueue
from topics.positions import encode_position

SKUS = tuple("abc")
POLICY = Policy(batch_max=2, sku_retry_max_ms=60_000)
DRAIN_STEPS_MAX = 2_000
"""A queue that still has something to send after so many steps of a healthy far side never ends."""


class Fate(StrEnum):
    """How one call ends. A crash forgets the queue; what was durable stays."""

    OK = "applied and acknowledged"
    FAILURE_LIST = "applied but for the SKUs in failureList"
    REFUSED = "refused as a whole"
    THROTTLED = "asked for quiet"
    ERROR = "500, nothing applied"
    ERROR_APPLIED = "500, applied all the same"
    ERROR_HALF = "500, half applied"
    LOST = "lost on the way, never arrives"
    LATE = "no answer, arrives later"
    ANSWER_LOST = "applied at once, the answer lost"
    CRASH_BEFORE_CALL = "crash when the intent is durable and the call not sent"
    CRASH_IN_CALL = "crash while the call is on its way"
    CRASH_BEFORE_COMMIT = "crash between the answer and its commit"


@dataclass
class Change:
    sku: str
    quantity: int


@dataclass
class Wait:
    ms: int


@dataclass
class Send:
    fate: Fate
    took_ms: int
    late_ms: int
    failing: frozenset[str]
    meanwhile: list[Change]


class Crash:
    def __repr__(self) -> str:
        return "Crash()"


Step = Change | Wait | Send | Crash


@dataclass
class World:
    """Kafka (`positions`, `sent`, `doubtful`), the far side and one owner that may crash."""

    now_ms: int = 1_000_000
    positions: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    far: dict[str, bytes] = field(default_factory=dict)
    late: list[tuple[int, dict[str, bytes]]] = field(default_factory=list)
    queue: StockQueue = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.queue = StockQueue(self.positions.get, self.sent.get, POLICY, lambda: 0.5)
        self.queue.recover(self.doubtful, self.now_ms)
        for sku in self.positions:
            self.queue.changed(sku, self.now_ms)

    def change(self, change: Change) -> None:
        self.positions[change.sku] = position(change.sku, change.quantity)
        self.queue.changed(change.sku, self.now_ms)

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        for call in sorted(self.late, key=lambda call: call[0]):
            if call[0] <= self.now_ms:
                self.late.remove(call)
                self.far.update(call[1])

    def send(self, step: Send, *, spares: Callable[[Batch], bool] = lambda _: False) -> None:
        """Sends the next call, if there is one. A batch that the far side spares meets no evil fate."""
        batch = self.queue.take(self.now_ms)
        if batch is None:
            return
        if spares(batch):
            step = replace(step, fate=Fate.OK)
        assert 0 < len(batch.items) <= POLICY.batch_max
        assert all(self.positions[sku] == value for sku, value in batch.items.items()), "a call carries the newest"
        self.doubtful = self.queue.doubtful()
        if step.fate is Fate.CRASH_BEFORE_CALL:
            self.start()
            return
        started_ms = self.now_ms
        self._reach_far_side(step, batch)
        for change in step.meanwhile:
            self.change(change)
            assert self.queue.take(self.now_ms) is None, "one call at a time"
        self.wait(step.took_ms)
        self._end(step, batch, started_ms)

    def _reach_far_side(self, step: Send, batch: Batch) -> None:
        match step.fate:
            case Fate.OK | Fate.ERROR_APPLIED | Fate.ANSWER_LOST | Fate.CRASH_BEFORE_COMMIT:
                self.far.update(batch.items)
            case Fate.FAILURE_LIST:
                self.far.update({sku: value for sku, value in batch.items.items() if sku not in step.failing})
            case Fate.ERROR_HALF:
                self.far.update(dict(list(batch.items.items())[::2]))
            case Fate.LATE | Fate.CRASH_IN_CALL:
                self.late.append((self.now_ms + step.late_ms, dict(batch.items)))
            case _:
                pass

    def _end(self, step: Send, batch: Batch, started_ms: int) -> None:
        match step.fate:
            case Fate.OK | Fate.FAILURE_LIST:
                failed = step.failing if step.fate is Fate.FAILURE_LIST else frozenset()
                self.sent.update({sku: value for sku, value in batch.items.items() if sku not in failed})
                self.queue.answered(failed, started_ms, self.now_ms)
            case Fate.REFUSED:
                self.queue.refused(self.now_ms)
            case Fate.THROTTLED:
                self.queue.throttled(self.now_ms, self.now_ms + step.late_ms)
            case Fate.ERROR | Fate.ERROR_APPLIED | Fate.ERROR_HALF:
                self.queue.failed(self.now_ms)
            case Fate.LOST | Fate.LATE | Fate.ANSWER_LOST:
                self.queue.failed(self.now_ms, lost_since_ms=started_ms)
            case _:
                self.start()

    def drain(self) -> None:
        """The far side works from now on: runs until nothing is left to send."""
        for _ in range(DRAIN_STEPS_MAX):
            next_ms = self.queue.next_ms()
            if next_ms is None:
                break
            self.wait(max(0, next_ms - self.now_ms))
            self.send(Send(Fate.OK, 10, 0, frozenset(), []))
        assert self.queue.next_ms() is None, "the queue never comes to rest"
        self.wait(LATE_MS)


def position(sku: str, quantity: int) -> bytes:
    return encode_position({"channelSkuCode": sku, "quantity": quantity})


# Few values, so that a position often returns to the one that was sent before.
a_change = st.builds(Change, sku=st.sampled_from(SKUS), quantity=st.integers(0, 2))
a_wait = st.builds(Wait, ms=st.sampled_from((1, 60, 1_000, 20_000, 60_000)))


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Long enough to matter, and with few kinds of fate each: a mixture of all drowns what two of them do together."""
    fates = draw(st.lists(st.sampled_from(Fate), min_size=1, max_size=2))
    a_send = st.builds(
        Send,
        fate=st.sampled_from([*fates, Fate.OK]),
        took_ms=st.sampled_from((1, 200, 30_000)),
        late_ms=st.integers(0, LATE_MS),
        failing=st.frozensets(st.sampled_from(SKUS), max_size=2),
        meanwhile=st.lists(a_change, max_size=2),
    )
    rare: st.SearchStrategy[Step] = st.builds(Crash) if draw(st.booleans()) else a_wait
    mixture: Sequence[st.SearchStrategy[Step]] = (*[a_change] * 5, *[a_send] * 4, rare)
    steps: st.SearchStrategy[Step] = st.integers(0, len(mixture) - 1).flatmap(lambda n: mixture[n])
    return draw(st.lists(steps, min_size=draw(st.integers(0, 25)), max_size=40))


def play(world: World, history: Sequence[Step]) -> None:
    for step in history:
        match step:
            case Change():
                world.change(step)
            case Wait():
                world.wait(step.ms)
            case Send():
                # What gathers or backs off becomes due, so that most sends of a history find something to do.
                next_ms = world.queue.next_ms()
                if next_ms is not None and next_ms - world.now_ms <= 2_000:
                    world.wait(max(0, next_ms - world.now_ms))
                world.send(step)
            case Crash():
                world.start()


@settings(max_examples=600, deadline=None)
@given(histories())
def test_the_channel_ends_with_the_last_accepted_position(history: list[Step]) -> None:
    world = World()
    play(world, history)
    world.drain()
    assert world.far == world.positions
    assert world.sent == world.positions
    assert len(world.queue) == 0
    assert world.queue.doubtful() == set()


@settings(max_examples=150, deadline=None)
@given(histories(), st.sampled_from(SKUS), st.sampled_from((Fate.REFUSED, Fate.ERROR)))
def test_a_sku_that_breaks_every_call_does_not_keep_the_others_from_the_channel(
    history: list[Step], bad: str, fate: Fate
) -> None:
    """The far side refuses, or fails on, every call that contains one SKU: all the others arrive nevertheless."""
    world = World()
    play(world, history)
    for sku in SKUS:
        world.change(Change(sku, 7))
    for _ in range(DRAIN_STEPS_MAX):
        next_ms = world.queue.next_ms()
        if next_ms is None or all(world.far.get(sku) == world.positions[sku] for sku in SKUS if sku != bad):
            break
        world.wait(max(0, next_ms - world.now_ms))
        world.send(Send(fate, 10, 0, frozenset(), []), spares=lambda batch: bad not in batch.items)
    assert {sku: world.far.get(sku) for sku in SKUS if sku != bad} == {
        sku: position(sku, 7) for sku in SKUS if sku != bad
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), min_size=1, max_size=300))
def test_out_of_stock_goes_first_then_what_has_been_dirty_longest(changes: list[tuple[int, int]]) -> None:
    wanted: dict[str, bytes] = {}
    sent: dict[str, bytes] = {}
    queue = StockQueue(wanted.get, sent.get, Policy(batch_max=10), lambda: 0.5)
    first_seen: dict[str, int] = {}
    for number, quantity in changes:
        sku = f"s{number}"
        first_seen.setdefault(sku, len(first_seen))
        wanted[sku] = position(sku, quantity)
        queue.changed(sku, 0)
    order: list[str] = []
    now_ms = 1_000
    while (batch := queue.take(now_ms)) is not None:
        order.extend(batch.items)
        sent.update(batch.items)
        queue.answered((), now_ms, now_ms)
        now_ms += 1
    urgency = [(json.loads(wanted[sku])["quantity"] > 0, first_seen[sku]) for sku in order]
    assert urgency == sorted(urgency)
    assert sorted(order) == sorted(wanted)
