"""Large records: the part of their work that needs no table is done before their chunk is decided, in steps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from streams.runtime.limits import PREPARED_BYTES_MIN
from streams.runtime.role import Record, Role


class Preparing:
    """Has a role prepare records, one after the other; between two steps other tasks have their turn.

    Nothing of it is durable or kept: a chunk that leaves meanwhile is prepared again by whoever decides it. In memory
    are the records of one chunk, which is bounded in bytes.
    """

    def __init__(self, role: Role) -> None:
        self._role = role
        self._is_for_this_role = type(role).prepare is not Role.prepare

    async def prepare(self, partition: int, raws: Sequence[Any]) -> dict[int, Any]:
        """Returns what the role makes of the large records of a chunk, by their offset."""
        prepared: dict[int, Any] = {}
        if not self._is_for_this_role:
            return prepared
        for raw in raws:
            if raw.value is not None and len(raw.value) >= PREPARED_BYTES_MIN:
                record = Record(partition, raw.offset, raw.timestamp, raw.key or b"", raw.value, raw.headers)
                made = await self._prepared(record)
                if made is not None:
                    prepared[raw.offset] = made
        return prepared

    async def _prepared(self, record: Record) -> Any:
        steps = self._role.prepare(record)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            except Exception:  # noqa: BLE001 - `decide` raises it again, and what becomes of the record is said there
                return None
            await asyncio.sleep(0)
