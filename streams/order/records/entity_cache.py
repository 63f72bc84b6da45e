"""Entities as the last decisions left them, so that the next event of an order need not decode it again.

Only the table tells what is true: a kept entity is used when the table still has the very bytes that it was encoded to,
and those bytes decode to nothing else. It is taken out before it is decided upon, so that what a failed decision leaves
half changed is never seen.
"""

from __future__ import annotations

from collections import OrderedDict

from streams.order.model.entities import Entity
from streams.order.model.limits import RECENT_BYTES_MAX


class Recent:
    """Bounded in bytes of the encoded states; the one that was not decided upon for longest gives way."""

    __slots__ = ("_bytes", "_bytes_max", "_kept")

    def __init__(self, bytes_max: int = RECENT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[bytes, tuple[bytes, Entity]] = OrderedDict()
        self._bytes = 0

    def take(self, key: bytes, raw: bytes) -> Entity | None:
        """The entity that was encoded to `raw`, the caller's to change; None when it is not here."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        self._bytes -= len(kept[0])
        return kept[1] if kept[0] == raw else None

    def keep(self, key: bytes, raw: bytes, entity: Entity) -> None:
        """`entity` was encoded to `raw`; nobody may change it from here on."""
        former = self._kept.pop(key, None)
        if former is not None:
            self._bytes -= len(former[0])
        self._kept[key] = (memoryview(raw).tobytes(), entity)  # without the buffer that orjson wrote it in
        self._bytes += len(raw)
        while self._bytes > self._bytes_max:
            _, (oldest, _) = self._kept.popitem(last=False)
            self._bytes -= len(oldest)

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0
