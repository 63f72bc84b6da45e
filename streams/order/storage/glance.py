"""A look at a stored state that decodes nothing: a partition may have a million of them.

The newest part of a state says when the entity is due and whether it is stuck, in front.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 - it is an exception

from streams.runtime.tables.value_parts import is_parted, newest_part

AT_ONCE = 1
"""A due time that is over."""

_DUE = b'"due":'
_STUCK = b',"stuck":'
_FORMER_HEAD = 64
"""Bytes of a state of an earlier version, `{"kind":"order","due":0,"stuck":`, in which these begin."""
_SHORT_ARRAY, _ARRAY_16 = 0x90, 0xDC
_INTEGERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
"""The first byte of a whole number in msgpack, and the bytes behind it; below 0x80 it is the number."""
_INTEGER_64 = 0xCF
_USUAL = Struct(">B9xB4xBQB")
"""The beginning of a state that is one base, whose entity has more than 15 members and a due time in milliseconds: the
levels, the array's first byte, the first byte of the due time, the due time, the first byte of `stuck`."""
_SMALL_INTEGERS = 0x80
_TAG_BYTES = 2
_NO_ENTRIES = 0x80
"""An empty map in msgpack."""


def look(value: bytes) -> tuple[int, bool]:
    """`due_of` a state, and whether it is of an order with waits that were reported as too long."""
    try:
        levels, first, kind, due_ms, stuck = _USUAL.unpack_from(value)
    except StructError:
        return _look(value)
    if not levels and first == _ARRAY_16 and kind == _INTEGER_64:
        return due_ms, stuck != _NO_ENTRIES
    return _look(value)


def due_of(value: bytes) -> int:
    """`due_ms` of a state. A state without one is to be looked at once: the tick that looks finds out whether it can be
    read."""
    return look(value)[0]


def _look(value: bytes) -> tuple[int, bool]:
    try:
        start = newest_part(value)[0] if is_parted(value) else 0
        first = value[start]
        if first == ord("{"):
            return _look_at_former(value, start)
        if first == ord("["):
            _, due, stuck = value[start : start + _FORMER_HEAD].split(b",", 2)
            return max(0, int(due)), not stuck.startswith(b"{}")
        at = start + _TAG_BYTES + (3 if first == _ARRAY_16 else 1)
        size = _INTEGERS.get(value[at], 0)
        due_ms = int.from_bytes(value[at + 1 : at + 1 + size]) if size else value[at]
        if not size and due_ms >= _SMALL_INTEGERS:
            return AT_ONCE, False
        return due_ms, value[at + 1 + size] != _NO_ENTRIES
    except (IndexError, ValueError, StructError):
        return AT_ONCE, False


def _look_at_former(value: bytes, start: int) -> tuple[int, bool]:
    end = start + _FORMER_HEAD
    at = value.find(_DUE, start, end)
    if at < 0:
        return AT_ONCE, False
    at += len(_DUE)
    due_ms = int(value[at : value.index(b",", at)])
    return max(0, due_ms), value.find(_STUCK, start, end) >= 0
