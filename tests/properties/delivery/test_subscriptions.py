"""Whatever happens to a subscription while its facts wait (disabled, enabled, other settings, 410, a killed worker),
each fact that was taken in reaches it, in its order's sequence, until it is deleted; then nothing does."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.outbox.records import OUTBOX
from streams.delivery.ports import Answer, Call
from tests.fakes.delivery import Played, channels_for
from tests.support.subscriptions import A, fact_request, subscription
from topics.records.deliveries import DeliveryRequest
from topics.records.keys import is_entry_key
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import Deleted

LONG_MS = 1_200_000
"""Four of the longest pauses between two attempts."""
STEPS = ("fact", "fact", "fact", "disable", "enable", "settings", "gone", "failing", "well", "kill", "wait", "long")


class Story:
    """One subscription, its endpoint, and the worker that delivers to it."""

    def __init__(self) -> None:
        self.revision = 0
        self.enabled = True
        self.concurrency = 1
        self.status = 200
        self.taken: list[DeliveryRequest] = []
        self.sequences: defaultdict[int, int] = defaultdict(int)
        self.seen = 0
        self.index = SubscriptionIndex()

    async def start(self) -> None:
        self.worker = await Played(channels_for(), subscriptions=self.index).start()
        self.worker.sender.far = lambda _call, _before: Answer(status=self.status)
        self.worker.sender.takes_ms = lambda _call: 20

    async def step(self, name: str, order: int) -> None:
        if name == "fact":
            self.fact(order)
        elif name in ("disable", "enable", "settings"):
            self.enabled = name != "disable" if name != "settings" else self.enabled
            self.concurrency += name == "settings"
            self.written()
        elif name in ("gone", "failing", "well"):
            self.status = {"gone": 410, "failing": 503, "well": 200}[name]
        elif name == "kill":
            await self.worker.clock.settle()
            self.worker = await self.worker.restart(seed=order)
        await self.worker.clock.run_for({"wait": 500, "long": 60_000}.get(name, 7))
        self.follow()

    def fact(self, order: int) -> None:
        self.sequences[order] += 1
        request = fact_request(f"O-{order}", self.sequences[order])
        self.taken.append(request)
        self.worker.give(request)

    def written(self) -> None:
        """An operator's word: a new revision."""
        self.revision += 1
        one = subscription(revision=self.revision, enabled=self.enabled, concurrency=self.concurrency)
        self.index.apply(A.encode(), one.encode())

    def follow(self) -> None:
        """What delivery made durable about it is read."""
        for effect in self.worker.durable.effects[self.seen :]:
            if effect.topic == "subscriptions.status":
                self.index.apply_status(effect.key, effect.value)
        self.seen = len(self.worker.durable.effects)

    def waiting(self) -> int:
        tables = self.worker.durable.tables.values()
        return sum(is_entry_key(key) for table in tables for key in table[OUTBOX].values)


async def play(steps: list[tuple[str, int]], *, known_from: int, deleted: bool) -> None:
    story = Story()
    await story.start()
    answered: dict[str, list[int]] = defaultdict(list)

    def far(call: Call, _before: int) -> Answer:
        answered[call.delivery_id].append(story.status)
        return Answer(status=story.status)

    story.worker.sender.far = far
    for number, (name, order) in enumerate(steps):
        if number == known_from:
            story.written()
        await story.step(name, order)
    story.status, story.enabled = 200, True
    if deleted:
        story.index.apply(A.encode(), Deleted(id=A, deleted_ms=1).encode())
        before = len(story.worker.sender.arrivals)
        story.fact(0)
        await story.worker.clock.run_for(LONG_MS)
        assert len(story.worker.sender.arrivals) == before
        assert story.waiting() == 0
    else:
        story.written()
        await story.worker.clock.run_for(LONG_MS)
        assert [one.id for one in story.taken if 200 not in answered[one.id]] == []
        assert story.waiting() == 0
    assert story.worker.crashes == []
    assert set(answered) <= {one.id for one in story.taken}
    calls = [arrival.call for arrival in story.worker.sender.arrivals]
    for order in story.sequences:
        sequences = [call.sequence for call in calls if call.entity.endswith(f"O-{order}")]
        assert all(earlier <= later for earlier, later in pairwise(sequences)), f"O-{order} inverted: {sequences}"
    for name, statuses in answered.items():
        assert statuses.count(200) <= 1, f"{name} was sent again after it was taken"


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), max_size=25),
    known_from=st.integers(0, 8),
    deleted=st.booleans(),
)
def test_nothing_is_lost_inverted_or_sent_to_who_is_gone(
    steps: list[tuple[str, int]], known_from: int, *, deleted: bool
) -> None:
    asyncio.run(play(steps, known_from=known_from, deleted=deleted))
