"""The consumer groups of all roles, asked of Kafka for one call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka.errors import KafkaError

from gateway.ports import Unavailable
from journal.rows.sources import SOURCES
from topics.configuration.settings import Settings
from topics.kafka.groups import GroupState, Place, group_states

ASK_S: Final = 5.0
"""How long Kafka may take to say everything: some dozen milliseconds while it is well."""
TOPICS_OF: Final[Mapping[str, Sequence[str]]] = {
    "orders": ("orders.commands",),
    "inventory": ("inventory.updates",),
    "delivery": ("deliveries.requests",),
    "journal": tuple(SOURCES),
}
"""The topics that each role reads as a member of its group."""


class KafkaGroups:
    """Implements gateway.ports.Groups. One call asks at a time: each has connections of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()

    async def states(self, positions: Mapping[str, Mapping[Place, int]]) -> Sequence[GroupState]:
        async with self._turn:
            try:
                return await group_states(self._settings, TOPICS_OF, ASK_S, positions=positions)
            except (KafkaError, OSError, TimeoutError) as error:
                raise Unavailable(
                    f"Kafka at {self._settings.kafka} does not say how roles do: {error or type(error).__name__}"
                ) from error
