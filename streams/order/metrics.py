"""Every metric of the orders role, by name, in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

import prometheus_client

from streams.order.machine.watchdog import STEPS
from streams.order.model.effects import Effect, PublishFact
from streams.order.model.entities import Order, StateError
from streams.order.storage.changes import read
from streams.runtime.role import Record
from topics.metrics import made
from topics.records.verdicts import Verdict

STUCK = made.gauge("sluice_orders_stuck")
VERDICTS = made.counter("sluice_orders_verdicts_total")
NO_CHANNEL = "-"
"""The channel of commands that name none of channels.toml: any producer may write any name."""
_BY = {"order-stuck": 1, "order-unstuck": -1}


class Verdicts:
    """Counts the verdicts on commands by channel. Each counter is looked up once: a look-up takes a microsecond."""

    def __init__(self, channels: Container[str]) -> None:
        self._channels = channels
        self._counters: dict[tuple[str, Verdict], prometheus_client.Counter] = {}

    def count(self, channel: str, verdict: Verdict) -> None:
        key = channel if channel in self._channels else NO_CHANNEL, verdict
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = VERDICTS.labels(key[0], verdict.value)
        counter.inc()


class StuckGauge:
    """Counts the alarms of each partition: those in its state when it was assigned, and what changed since."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        """Partition and offset of the last record that was counted."""
        self._by_last: Counter[str] = Counter()

    def on_assigned(self, partition: int) -> None:
        for step in STEPS:
            STUCK.labels(str(partition), step).set(0)

    def add_recovered(self, partition: int, raw: bytes) -> None:
        """Count the alarms of an entity that was in the state, and stuck, when the partition was assigned."""
        for step in _stuck(raw):
            STUCK.labels(str(partition), step.partition(" ")[0]).inc()

    def count(self, record: Record, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if type(effect) is PublishFact and effect.name in _BY:
                self._count(record, effect.data["step"], _BY[effect.name])

    def undo(self, record: Record) -> None:
        """Take back the counts of a record that was set aside."""
        if self._last != (record.partition, record.offset):
            return
        for step, by in self._by_last.items():
            STUCK.labels(str(record.partition), step).dec(by)
        self._last = None

    def _count(self, record: Record, step: str, by: int) -> None:
        STUCK.labels(str(record.partition), step).inc(by)
        if self._last != (record.partition, record.offset):
            self._last = (record.partition, record.offset)
            self._by_last.clear()
        self._by_last[step] += by

    def on_revoked(self, partition: int) -> None:
        for step in STEPS:
            STUCK.remove(str(partition), step)


def _stuck(raw: bytes) -> Iterable[str]:
    try:
        entity = read(raw)
    except StateError:
        return ()  # its next command is set aside
    return entity.stuck if isinstance(entity, Order) else ()
