"""Record of the requests of a sandbox, for `/_sandbox/requests`: oldest first, bounded."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from topics.records.json_text import JsonTextError, read, write

REQUESTS_MAX = 50_000
"""Requests kept; the oldest are dropped. A test of a quarter of an hour at 50 a second fits."""
REQUEST_BYTES_MAX = 256 << 20
"""Bytes of bodies kept. Bodies of 2,500 items are half a megabyte, so a count alone would not bound memory."""
KEPT_MAX = 2_000
KEPT_BYTES_MAX = 8 << 20
"""Requests kept over a restart: as many as can be written in a fraction of the second that a stop may take."""
_LISTS = ("orders", "manifestItems", "handoverItems")
"""Members with items that each name an order."""


@dataclass(slots=True)
class Recorded:
    """One request. `status` is None until it is answered, and stays None when the connection was closed instead."""

    touchpoint: str
    orders: list[str]
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    query: dict[str, str] | None
    at: float
    status: int | None = None
    number: int = 0

    def show(self) -> dict[str, Any]:
        return {
            "touchpoint": self.touchpoint,
            "orders": self.orders,
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "body": self.query if self.query is not None else _parsed(self.raw),
            "at": self.at,
            "status": self.status,
        }


@dataclass(slots=True)
class Recorder:
    """The requests of one sandbox."""

    requests_max: int = REQUESTS_MAX
    bytes_max: int = REQUEST_BYTES_MAX
    _kept: deque[Recorded] = field(default_factory=deque)
    _bytes: int = 0
    _next: int = 0

    def add(self, request: Recorded) -> None:
        """Record a request, and drop the oldest beyond the bounds."""
        request.number = self._next
        self._next += 1
        self._kept.append(request)
        self._bytes += len(request.raw)
        while len(self._kept) > self.requests_max or (self._bytes > self.bytes_max and len(self._kept) > 1):
            self._bytes -= len(self._kept.popleft().raw)

    def clear(self) -> list[Recorded]:
        gone = list(self._kept)
        self._kept.clear()
        self._bytes = 0
        return gone

    def select(self, touchpoint: str = "", order: str = "") -> list[dict[str, Any]]:
        return [
            request.show()
            for request in self._kept
            if (not touchpoint or request.touchpoint == touchpoint) and (not order or order in request.orders)
        ]

    def newest(self, count_max: int = KEPT_MAX, bytes_max: int = KEPT_BYTES_MAX) -> list[Recorded]:
        """Return the newest requests, to keep over a restart, oldest first."""
        found: list[Recorded] = []
        size = 0
        for request in itertools.islice(reversed(self._kept), count_max):
            size += len(request.raw)
            if size > bytes_max:
                break
            found.append(request)
        return found[::-1]


def keep(request: Recorded) -> dict[str, Any]:
    """Return a request as the journal keeps it."""
    shown = request.show()
    return {**shown, "query": request.query, "body": None if request.query is not None else shown["body"]}


def restore(value: dict[str, Any]) -> Recorded:
    body = value.pop("body")
    return Recorded(**value, raw=b"" if body is None else write(body))


def codes_in(members: Any) -> list[str]:
    """Return the codes of orders and returns that a request names, each once, in their order."""
    if not isinstance(members, dict):
        return []
    found: list[Any] = [members.get(name) for name in ("orderCode", "forwardOrderCode", "returnOrderCode")]
    for name in _LISTS:
        items = members.get(name)
        found += [item.get("orderCode") for item in _objects(items)]
    return list(dict.fromkeys(code for code in found if isinstance(code, str)))


def _objects(items: Any) -> Iterable[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _parsed(raw: bytes) -> Any:
    """Return the body as JSON, or as text when it is no JSON."""
    if not raw:
        return None
    try:
        return read(raw)
    except JsonTextError:
        return raw.decode(errors="replace")
