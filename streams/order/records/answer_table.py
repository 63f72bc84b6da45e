"""Recorded answers of the far sides: bounded in count and bytes per partition, the oldest gives way.

Which answer is the oldest follows from the values alone, so a new owner of the partition evicts as the old one did.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.order.model.limits import ANSWER_BYTES_MAX, ANSWER_SIZE_MAX, ANSWERS_MAX
from streams.runtime.role import Table
from topics.records.json_text import read, write
from topics.records.unreadable import UNREADABLE


class AnswerTable:
    """The sizes of the answers in one partition's relay.answers table, oldest first."""

    __slots__ = ("_bytes", "_bytes_max", "_count_max", "_sizes")

    def __init__(
        self, table: Table, partition: int, count_max: int = ANSWERS_MAX, bytes_max: int = ANSWER_BYTES_MAX
    ) -> None:
        """Answers that this version cannot read are not in it; retention removes them."""
        self._count_max = count_max
        self._bytes_max = bytes_max
        found: list[tuple[int, bytes, int]] = []
        for key, value in table.items():
            answer = _read(key, value, partition)
            if answer is not None:
                found.append((answer.atMs, key, len(value)))
        found.sort()
        self._sizes: dict[bytes, int] = {key: size for _, key, size in found}
        self._bytes = sum(self._sizes.values())

    def store_answer(self, table: Table, key: bytes, status: int | None, body: Any, now_ms: int) -> None:
        value = write({"atMs": now_ms, "status": status, "body": body})
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
    """The status and body recorded under a key. One that this version cannot read counts as none: the far side is asked
    again, and knows a repeat."""
    value = table.get(key)
    answer = None if value is None else _read(key, value)
    if answer is None:
        return None
    try:
        return answer.status, read(bytes(answer.body))
    except ValueError as error:
        UNREADABLE.note("relay.answers", key, error)
        return None


class _Answer(msgspec.Struct, gc=False):
    """A value of the table. Its body is not decoded with it."""

    atMs: int  # noqa: N815 - as it is stored
    status: int | None
    body: msgspec.Raw


_decode = msgspec.json.Decoder(_Answer).decode


def _read(key: bytes, value: bytes, partition: int | None = None) -> _Answer | None:
    try:
        return _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        UNREADABLE.note("relay.answers", key, error, partition=partition)
        return None
