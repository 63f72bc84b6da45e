"""Bounds on the shape of JSON from outside: how many values it has, and how deep it nests.

A text of 4 MiB can hold 1.4 million values: objects of 100 to 190 MB, made in a third of a second in which nothing else
runs, in each process that decodes it. So values are counted in the text, before any object is made.
"""

from __future__ import annotations

from typing import Any

from topics.schema_base import VALUES_MAX

NESTING_MAX = 64
"""Levels of objects and lists. The contract's bodies have five; every envelope around one adds a level, and orjson
writes 254, though it reads 1024: a value that was read must be writable."""

_SPACE = b" \t\r\n"


def has_too_many_values(raw: bytes, most: int = VALUES_MAX) -> bool:
    """Whether a JSON text has more than `most` values. Of a text that is no JSON it says nothing of worth.

    Each value but the first follows a comma, or is the first of its list or object. Counting these bytes settles it for
    nearly every body. Texts may hold them as well, so a body that seems to have too many is counted again without.
    """
    if len(raw) <= 2 * most:  # each value takes a byte, and another one separates it from the next
        return False
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") < most:
        return False
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if raw.count(b'"') // 2 > 2 * most:
        return True  # each text is a value, or the name of one
    outside = b'"'.join(raw.split(b'"')[::2]).translate(None, _SPACE)
    empty = outside.count(b"[]") + outside.count(b"{}")
    return 1 + outside.count(b",") + outside.count(b"[") + outside.count(b"{") - empty > most


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
