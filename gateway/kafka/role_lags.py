"""How far the orders role and the journal are behind their topics, as Kafka says. Asked for when a story is told, and
kept for a moment: many stories are told from one answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final

from aiokafka.errors import KafkaError

from gateway.ports import RoleLag
from topics.configuration.settings import Settings
from topics.kafka.groups import GroupState, Place, group_states

log = logging.getLogger(__name__)

KEPT_S: Final = 2.0
"""How old an answer may be. A role that is behind for less is not: the story counts from five seconds on."""
TIMEOUT_S: Final = 3.0
"""A story is told without this rather than late."""
COMMANDS: Final = "orders.commands"
TOLD_FROM: Final = (
    "orders.events",
    "deliveries.requests",
    "deliveries.outbox",
    "deliveries.attempts",
    "deliveries.dead",
    "deliveries.permits",
    "orders.refused",
)
"""Topics whose records are in stories."""


class RoleLags:
    """Asks Kafka. Implements gateway.ports.Lags."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: RoleLag | None = None
        self._asked_s = -KEPT_S
        self._lock = asyncio.Lock()

    async def look(self, positions: Mapping[Place, int]) -> RoleLag | None:
        """How far each is behind; None: Kafka did not say. `positions`: what the journal reads next."""
        async with self._lock:
            if time.monotonic() - self._asked_s >= KEPT_S:
                self._kept = await self._ask(positions)
                self._asked_s = time.monotonic()
            return self._kept

    async def _ask(self, positions: Mapping[Place, int]) -> RoleLag | None:
        topics = {"orders": (COMMANDS,), "journal": TOLD_FROM}
        try:
            states = await group_states(self._settings, topics, TIMEOUT_S, positions={"journal": positions})
        except (KafkaError, OSError, TimeoutError) as error:
            log.debug("Kafka did not say how far roles are behind: %r", error)
            return None
        orders, journal = states
        return RoleLag(
            orders={one.partition: one for one in orders.behind},
            journal_since_ms=_oldest_ms(journal),
        )


def _oldest_ms(state: GroupState) -> int | None:
    """The time of the oldest record that is not in the journal; None: all are."""
    return min((one.since_ms for one in state.behind if one.records and one.since_ms is not None), default=None)
