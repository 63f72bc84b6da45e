"""Read-your-writes: a change starts from what this gateway wrote last, even if its view has not read that yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from gateway.ports import Outgoing, Position, Producer

VISIBLE_TIMEOUT_S = 5.0
"""How long the view may take to read what was written. It is durable by then, so the caller is answered all the same,
and the next change starts from it."""

Key = TypeVar("Key", bound=Hashable)
Record = TypeVar("Record")

log = logging.getLogger(__name__)


class WrittenView(Protocol):
    """A view of the topic that is written to."""

    def has_written(self, partition: int, offset: int) -> bool: ...

    async def until_written(self, partition: int, offset: int) -> None: ...


class ReadYourWrites(Generic[Key, Record]):
    """Records that were written here and are not in the view yet, by the keys of what they are about."""

    def __init__(self, view: WrittenView, producer: Producer) -> None:
        self._view = view
        self._producer = producer
        self._unseen: dict[Key, tuple[Position, Record]] = {}

    def unseen(self, key: Key) -> Record | None:
        """The record that was written here and is not in the view; None: the view has the last one."""
        if key not in self._unseen:
            return None
        position, record = self._unseen[key]
        if not self._view.has_written(position.partition, position.offset):
            return record
        del self._unseen[key]
        return None

    async def write(self, key: Key, record: Record, outgoing: Outgoing) -> Position:
        """Returns when the record is on all in-sync replicas and in the view, if that takes no longer than
        VISIBLE_TIMEOUT_S."""
        position = await self._producer.produce(outgoing)
        self._unseen[key] = (position, record)
        try:
            async with asyncio.timeout(VISIBLE_TIMEOUT_S):
                await self._view.until_written(position.partition, position.offset)
        except TimeoutError:
            log.warning("view.late key=%s position=%s: stored, and not read here yet", key, position)
        else:
            self._unseen.pop(key, None)
        return position
