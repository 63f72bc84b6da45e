"""PURE: a value in parts: a base, and changes of it on levels from 1 on. Each part is a record of its own.

While a role decides, it may give the whole value beside a change: then that is kept in place of the parts, with their
source offsets and sizes, because reading one whole takes less time than reading parts.

A change on a level says what differs from the levels before it, up to when it was written; so a new part outdates
those on deeper levels. In memory all parts of a key are one value, which this module makes of records, one by one:
the same way while deciding and while a changelog is read. What parts mean is the role's: here they are bytes, each with
the source offset that it was made from.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from topics.records.keys import LEVELS_MAX

MISSING = -2
"""In place of the source offset of a part that is not there: not read yet, deleted or outdated."""
_HEADS = [Struct(f">BB{levels + 1}q{levels}I") for levels in range(LEVELS_MAX + 1)]
"""By the number of levels: that number, the deepest level that ever had a record, the parts' source offsets, and the
lengths of those behind the base."""
_PLAIN = _HEADS[0]
_WHOLE = 0x40
"""In the first byte beside the number of levels: the value is whole."""
_WHOLE_HEADS = [Struct(f">BB{levels + 1}q{levels + 1}II") for levels in range(LEVELS_MAX + 1)]
"""As `_HEADS`, with the length of the base, too, and the role's note."""
_ONE_CHANGE = _WHOLE_HEADS[1]


class Parts(NamedTuple):
    """`origins` and `contents` of base and changes. `used`: the deepest level that may have a record in the log."""

    used: int
    origins: tuple[int, ...]
    contents: list[bytes]


class Whole(NamedTuple):
    """`origins` and `sizes` of the parts that the log has, and what they make. `note`: a number that the role keeps
    beside it."""

    used: int
    origins: tuple[int, ...]
    sizes: tuple[int, ...]
    note: int
    content: bytes


def is_whole(value: bytes) -> bool:
    return value[0] >= _WHOLE


def is_parted(value: bytes) -> bool:
    """Whether a value has the form of this module; others are of tables that know no parts."""
    return bool(value) and (value[0] <= LEVELS_MAX or 0 <= value[0] - _WHOLE <= LEVELS_MAX)


def whole_of(value: bytes) -> Whole:
    levels = value[0] - _WHOLE
    head = _WHOLE_HEADS[levels]
    fields = head.unpack_from(value)
    return Whole(fields[1], fields[2 : levels + 3], fields[levels + 3 : -1], fields[-1], value[head.size :])


def with_whole(value: bytes, level: int, size: int, origin: int, content: bytes, note: int = 0) -> bytes:
    """The value after a change of so many bytes, with what it makes of the value, and the role's note beside it."""
    levels = value[0]
    if level == 1 and levels == _WHOLE + 1:  # most of them
        _, used, base_origin, _, base_size, _, _ = _ONE_CHANGE.unpack_from(value)
        return _ONE_CHANGE.pack(levels, used, base_origin, origin, base_size, size, note) + content
    if levels >= _WHOLE:
        levels -= _WHOLE
        fields = _WHOLE_HEADS[levels].unpack_from(value)
        sizes = fields[levels + 3 : -1]
    else:
        head = _HEADS[levels]
        fields = head.unpack_from(value)
        lengths = fields[levels + 3 :]
        sizes = (len(value) - head.size - sum(lengths), *lengths)
    used = max(fields[1], level)
    origins = fields[2 : level + 2]
    return _WHOLE_HEADS[level].pack(_WHOLE + level, used, *origins, origin, *sizes[:level], size, note) + content


def as_base(value: bytes) -> bytes:
    """A whole value as one whose base was just written anew."""
    whole = whole_of(value)
    return _PLAIN.pack(0, whole.used, whole.origins[-1]) + whole.content


def split(value: bytes) -> Parts:
    """The parts of a value in memory that is not whole."""
    levels = value[0]
    head = _HEADS[levels]
    if not levels:
        _, used, origin = head.unpack_from(value)
        return Parts(used, (origin,), [value[head.size :]])
    fields = head.unpack_from(value)
    lengths = fields[levels + 3 :]
    contents: list[bytes] = [b""] * (levels + 1)
    end = len(value)
    for level in range(levels, 0, -1):
        start = end - lengths[level - 1]
        contents[level] = value[start:end]
        end = start
    contents[0] = value[head.size : end]
    return Parts(fields[1], fields[2 : levels + 3], contents)


def used_of(value: bytes) -> int:
    """The deepest level that may have a record in the log."""
    return value[1]


def newest_part(value: bytes) -> tuple[int, int]:
    """Where the part on the deepest level begins, and from which source offset it was made."""
    levels = value[0]
    if levels >= _WHOLE:
        levels -= _WHOLE
        head = _WHOLE_HEADS[levels]
        return head.size, head.unpack_from(value)[levels + 2]
    head = _HEADS[levels]
    fields = head.unpack_from(value)
    return (len(value) - fields[-1] if levels else head.size), fields[levels + 2]


def join(parts: Parts) -> bytes:
    levels = len(parts.contents) - 1
    lengths = [len(content) for content in parts.contents[1:]]
    return _HEADS[levels].pack(levels, parts.used, *parts.origins, *lengths) + b"".join(parts.contents)


def base(content: bytes, origin: int) -> bytes:
    """The value after the record of a base, where no part is known yet."""
    return _PLAIN.pack(0, 0, origin) + content


def with_part(value: bytes | None, level: int, content: bytes, origin: int) -> bytes:
    """The value after a record of one part. A part is outdated by one that was made later on a level before it. It
    does not matter in which order the records come: one that was written again comes after changes of it."""
    if value is None:
        if not level:
            return base(content, origin)
        missing = [b""] * level
        return join(Parts(level, (*(MISSING,) * level, origin), [*missing, content]))
    if not level and (not value[0] or is_whole(value)):
        return _PLAIN.pack(0, used_of(value), origin) + content
    if is_whole(value):
        raise ValueError("a whole value takes a change only together with what it makes of it")
    used, origins, contents = split(value)
    if any(at >= origin for at in origins[:level]):
        return join(Parts(max(used, level), origins, contents))
    kept = list(zip(origins, contents, strict=True))
    kept += [(MISSING, b"")] * (level + 1 - len(kept))
    kept[level] = (origin, content)
    kept[level + 1 :] = [one if one[0] > origin else (MISSING, b"") for one in kept[level + 1 :]]
    return _joined(max(used, level), kept)


def without_part(value: bytes, level: int) -> bytes | None:
    """The value after the deletion of one part; of a base: of all. None when no part can be in the log any more."""
    if not level:
        used = used_of(value)
        return _joined(used, [(MISSING, b"")]) if used else None
    used, origins, contents = split(value)
    kept = list(zip(origins, contents, strict=True))
    if level < len(kept):
        kept[level] = (MISSING, b"")
    used -= level == used
    if not used and kept[0][0] == MISSING:
        return None
    return _joined(used, kept)


def _joined(used: int, parts: list[tuple[int, bytes]]) -> bytes:
    while len(parts) > 1 and parts[-1][0] == MISSING:
        parts.pop()
    return join(Parts(used, tuple(at for at, _ in parts), [content for _, content in parts]))
