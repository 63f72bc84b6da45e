"""The bound on nesting of JSON. orjson reads 1024 levels and writes 254, and a value that was read must be writable."""

from __future__ import annotations

from typing import Any

NESTING_MAX = 64
"""Levels of objects and lists. The contract's bodies have five; every envelope around one adds a level, and 254 is
where orjson stops writing."""


def is_too_deep(raw: bytes, value: Any) -> bool:
    """Whether `value`, parsed from `raw`, nests deeper than NESTING_MAX.

    Counting brackets settles it for nearly every body; the others are walked level by level.
    """
    if raw.count(b"{") + raw.count(b"[") <= NESTING_MAX:
        return False
    level = [value]
    for _ in range(NESTING_MAX):
        level = [
            member
            for container in level
            for member in (container.values() if type(container) is dict else container)
            if type(member) is dict or type(member) is list
        ]
        if not level:
            return False
    return True
