"""The lines that this process writes, as a test reads them; and a canary in each personal field of a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from topics.logs import lines
from topics.logs.catalogue import ALLOWED, SHARED
from topics.logs.lines import Lines

CANARY = "canary-7f3a"
PERSONAL = frozenset(
    {"name", "line1", "line2", "line3", "city", "state", "zip", "country", "email", "phone", "giftMessage"}
)
"""Members of calls that are about a person."""


@contextmanager
def written() -> Iterator[list[bytes]]:
    """What is written meanwhile."""
    kept: list[bytes] = []
    before = lines.use(Lines("test", "0", level=10, write=kept.append))
    try:
        yield kept
    finally:
        lines.use(before)


def read_lines(kept: list[bytes]) -> list[dict[str, Any]]:
    """The lines, each in the one shape."""
    found = [orjson.loads(line) for text in kept for line in text.splitlines()]
    for line in found:
        assert list(line)[: len(SHARED)] == list(SHARED), line
        assert line.keys() - SHARED.keys() <= ALLOWED[line["event"]], line
    return found


def marked(members: Any, *, as_what: Any = CANARY) -> Any:
    """The members with a canary in each personal field, `as_what` in its place."""
    if isinstance(members, dict):
        return {
            name: as_what if name in PERSONAL and isinstance(value, str) else marked(value, as_what=as_what)
            for name, value in members.items()
        }
    if isinstance(members, list):
        return [marked(value, as_what=as_what) for value in members]
    return members
