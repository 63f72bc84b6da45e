"""A delivery role with subscriptions, and what tests of it look at."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from streams.delivery.outbox.records import OUTBOX
from tests.fakes.delivery import Played, channels_for
from tests.support.subscriptions import index
from topics.records.keys import is_entry_key
from topics.subscriptions.model import Subscription

DAY_MS = 86_400_000


async def started(*known: Subscription) -> Played:
    return await Played(channels_for(), subscriptions=index(*known)).start()


def learn(worker: Played, changed: Subscription) -> None:
    worker.subscriptions.apply(changed.id.encode(), changed.encode())


def follow_status(worker: Played) -> Callable[[], list[dict[str, object]]]:
    """Statuses reach the view when they are durable; returns the facts so far."""
    seen = 0

    def facts() -> list[dict[str, object]]:
        nonlocal seen
        for effect in worker.durable.effects[seen:]:
            if effect.topic == "subscriptions.status":
                worker.subscriptions.apply_status(effect.key, effect.value)
        seen = len(worker.durable.effects)
        return [orjson.loads(e.value) for e in worker.durable.effects if e.topic == "subscriptions.events"]

    return facts


def waiting(worker: Played) -> int:
    return sum(is_entry_key(key) for tables in worker.durable.tables.values() for key in tables[OUTBOX].values)
