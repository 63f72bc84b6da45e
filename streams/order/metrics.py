"""Every metric of the orders role, by name, in one place."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Gauge

from streams.order.effects import Effect, PublishFact
from streams.order.model import Order, StateError, decode, is_stuck
from streams.order.watchdog import STEPS

STUCK = Gauge(
    "sluice_orders_stuck",
    "Waits of this worker's orders that are longer than their channel allows",
    ["partition", "step"],
)
_BY = {"order-stuck": 1, "order-unstuck": -1}


class StuckGauge:
    """Counts what is raised and withdrawn in each partition, on top of what was stuck when it came."""

    def ready(self, partition: int) -> None:
        for step in STEPS:
            STUCK.labels(str(partition), step).set(0)

    def add(self, partition: int, raw: bytes) -> None:
        """An entity that was there when the partition came."""
        if is_stuck(raw):  # few are, so few are decoded
            for step in _stuck(raw):
                STUCK.labels(str(partition), step.partition(" ")[0]).inc()

    def count(self, partition: int, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if type(effect) is PublishFact and effect.name in _BY:
                STUCK.labels(str(partition), effect.data["step"]).inc(_BY[effect.name])

    def lost(self, partition: int) -> None:
        for step in STEPS:
            STUCK.remove(str(partition), step)


def _stuck(raw: bytes) -> Iterable[str]:
    try:
        entity = decode(raw)
    except StateError:
        return ()  # its next command says so
    return entity.stuck if isinstance(entity, Order) else ()
