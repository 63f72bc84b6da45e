"""Recorded answers of the far sides: bounded in count and bytes per partition, the oldest gives way.

Which answer is the oldest follows from the values alone, so a new owner of the partition evicts as the old one did.
"""

from __future__ import annotations

from typing import Any

import orjson

from streams.order.model.limits import ANSWER_BYTES_MAX, ANSWER_SIZE_MAX, ANSWERS_MAX
from streams.runtime.role import Table


class AnswerTable:
    """The sizes of the answers in one partition's relay.answers table, oldest first."""

    __slots__ = ("_bytes", "_bytes_max", "_count_max", "_sizes")

    def __init__(self, table: Table, count_max: int = ANSWERS_MAX, bytes_max: int = ANSWER_BYTES_MAX) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        found = sorted((orjson.loads(value)["atMs"], key, len(value)) for key, value in table.items())
        self._sizes: dict[bytes, int] = {key: size for _, key, size in found}
        self._bytes = sum(self._sizes.values())

    def store_answer(self, table: Table, key: bytes, status: int | None, body: Any, now_ms: int) -> None:
        value = orjson.dumps({"atMs": now_ms, "status": status, "body": body})
        if len(value) > min(ANSWER_SIZE_MAX, self._bytes_max):
            return
        self._forget(key)
        while self._sizes and (len(self._sizes) >= self._count_max or self._bytes + len(value) > self._bytes_max):
            oldest = next(iter(self._sizes))
            self._forget(oldest)
            table.delete(oldest)
        table.put(key, value)
        self._sizes[key] = len(value)
        self._bytes += len(value)

    def _forget(self, key: bytes) -> None:
        self._bytes -= self._sizes.pop(key, 0)


def stored_answer(table: Table, key: bytes) -> tuple[int | None, Any] | None:
    """The status and body recorded under a key."""
    value = table.get(key)
    if value is None:
        return None
    data = orjson.loads(value)
    return data["status"], data["body"]
