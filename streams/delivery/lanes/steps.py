"""Steps of a lane: what it does next."""

from __future__ import annotations

from streams.delivery.outbox.records import OutboxEntry
from topics.values import Value


class Send(Value, frozen=True):
    """`passed`: the failing notifications that a relay is sent before."""

    entry: OutboxEntry
    passed: tuple[OutboxEntry, ...] = ()


class Expire(Value, frozen=True):
    """The caller of this relay is gone, or will be before an answer could reach it."""

    entry: OutboxEntry


class Wait(Value, frozen=True):
    """Nothing to do before `until_ms`; None: before a request comes or an operator decides (empty, or held)."""

    until_ms: int | None


Step = Send | Expire | Wait
