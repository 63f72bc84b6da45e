"""A table whose values are written in parts: a base, and changes of it under keys of their own.

To the changelog it is a table like any other: each record replaces the one before of its own key, and a decision puts
one record. So what recovery, claims and late writes promise for a key holds for every part. The value of a key is what
its parts make of it (value_parts), and that is known from the records alone, in whatever order compaction left them:

- A change belongs to a base or change that it names by its source offset; the role looks at that when it reads.
- A part with an older offset than one on a level before it is outdated. Its record stays until its key is used again.
- A deletion is one record as well. Changes that it leaves behind are without a base, and are deleted after it; those
  that a crash left are deleted by the next owner.
"""

from __future__ import annotations

from collections.abc import Iterator

from streams.runtime.tables.partition_table import NO_OFFSET, Changelog, PartitionState, PartitionTable
from streams.runtime.tables.value_parts import (
    MISSING,
    as_base,
    base,
    is_whole,
    newest_part,
    split,
    used_of,
    with_part,
    with_whole,
    without_part,
)
from topics.records.keys import LEVELS_MAX, change_key, is_change_key, level_of
from topics.records.reading import OWNER_KEY


class PartedTable(PartitionTable):
    """`values` has the parts of each key as one value. `overlay`, `dirty` and `overwritten` have records by their own
    keys, and `origins` the source offsets of those that are to be written.

    `get` gives all parts; `put` under a key is a new base, and under its `change_key` a change."""

    __slots__ = ("_left", "_newest", "_wholes")

    def __init__(self, name: str, state: PartitionState) -> None:
        super().__init__(name, state)
        self._left: dict[bytes, bytes] = {}
        """Changes without a base."""
        self._newest = NO_OFFSET
        self._wholes: dict[bytes, tuple[bytes, int, bytes, int]] = {}
        """By the record key of a change that the record being decided has put: key, level, what it makes of the value,
        and the role's note."""

    # -- what a role sees -----------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        return self._as_put(key) if self.overlay else self.values.get(key)

    def put_change(self, key: bytes, level: int, change: bytes, whole: bytes | None = None, note: int = 0) -> None:
        """Puts a change on a level. `whole`: what it makes of the value, to be kept in place of the parts, with a
        `note` of the role below 2**32."""
        name = change_key(key, level)
        self.put(name, change)
        if whole is not None:
            self._wholes[name] = key, level, whole, note

    def undo(self) -> None:
        super().undo()
        self._wholes.clear()

    def delete(self, key: bytes) -> None:
        """Deletes the base first: what follows is without a base after a crash, and never a change of another one."""
        super().delete(key)
        value = self.values.get(key)
        if value is not None:
            for level in range(used_of(value), 0, -1):
                self.overlay[change_key(key, level)] = None

    def origin(self, key: bytes) -> int:
        value = self.values.get(key)
        return self.deleted.get(key, NO_OFFSET) if value is None else newest_part(value)[1]

    def newest_origin(self) -> int:
        return self._newest

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(key for key in self._keys() if key.startswith(prefix)):
            value = self.get(key)
            if value is not None:
                yield key, value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        if not self.overlay:
            return super().items()
        return iter([(key, value) for key in self._keys() if (value := self.get(key)) is not None])

    def __len__(self) -> int:
        changed = [key for key in self.overlay if not level_of(key)[1]]
        return self.count + sum((self.get(key) is not None) - (key in self.values) for key in changed)

    def _keys(self) -> set[bytes]:
        return {*self.values, *(key for key in self.overlay if not level_of(key)[1])}

    def _as_put(self, key: bytes) -> bytes | None:
        """The value with what the record being decided has put."""
        value, overlay, offset = self.values.get(key), self.overlay, self.state.offset
        if key in overlay:
            base = overlay[key]
            if base is None:
                return None
            value = with_part(value, 0, base, offset)
        for level in range(1, LEVELS_MAX + 1):
            changed = change_key(key, level)
            change = overlay.get(changed)
            whole = self._wholes.get(changed)
            if change is not None and whole is not None and value is not None:
                value = with_whole(value, level, len(change), offset, *whole[2:])
            elif change is not None:
                value = with_part(value, level, change, offset)
        return value

    # -- records, of decisions and of a changelog -----------------------------------------------------------------

    def merge(self) -> None:
        offset, dirty, values, wholes = self.state.offset, self.dirty, self.values, self._wholes
        for key, value in self.overlay.items():
            whole = wholes.get(key) if wholes else None
            name, level = whole[:2] if whole is not None else level_of(key)
            old = values.get(name)
            if whole is not None and old is not None and value is not None:
                self._newest = max(self._newest, offset)
                new = values[name] = with_whole(old, level, len(value), offset, *whole[2:])
                self.bytes += len(new) - len(old)
            else:
                self.set(key, value, offset)
            is_moved = key in dirty
            if is_moved:
                del dirty[key]
            dirty[key] = value
            self.origins[key] = offset
            if is_moved:
                # Deletions of deeper changes may lie before it now, also those of a value that was deleted in this
                # chunk: a crash behind them would leave an older state.
                self._delete_outdated(name, level, LEVELS_MAX)
            elif old is not None and (used := used_of(old)) > level:
                self._delete_outdated(name, level, used)
        self.overlay.clear()
        wholes.clear()

    def set(self, key: bytes, value: bytes | None, origin: int) -> None:
        if value is not None and not (self._left or self.deleted or key in self.values or is_change_key(key)):
            # A new base, and nothing else to look at: most records of a recovery. It takes a third of the time.
            self.values[key] = new = base(value, origin)
            self.bytes += len(new)
            self._newest = max(self._newest, origin)
            return
        self._set_part(key, value, origin)

    def _set_part(self, key: bytes, value: bytes | None, origin: int) -> None:
        name, level = level_of(key)
        self._newest = max(self._newest, origin)
        old = self.values.get(name)
        if old is not None:
            self.bytes -= len(old)
        has_base = old is not None if level else value is not None
        if old is None and self._left:
            old = self._left.pop(name, None)
        if value is not None:
            new: bytes | None = with_part(old, level, value, origin)
        else:
            new = without_part(old, level) if old is not None else None
        if not level:
            if value is None:
                self.deleted[name] = origin
            elif self.deleted:
                self.deleted.pop(name, None)
        if has_base and new is not None:
            self.values[name] = new
            self.bytes += len(new)
            return
        self.values.pop(name, None)
        if new is not None:
            self._left[name] = new

    def recovered(self) -> None:
        """Changes without a base were left by a crash amid a deletion: they are deleted with the next group."""
        for name, value in self._left.items():
            self.overwritten.update(change_key(name, level) for level in range(1, used_of(value) + 1))
        self._left.clear()

    def write_changes(self, changelog: Changelog) -> tuple[int, int]:
        size, records = 0, len(self.dirty)
        for key, value in self.dirty.items():
            changelog.append(key, value, self.made_by(self.origins[key]))
            if value is not None:
                size += len(value)
        self.dirty.clear()
        self.origins.clear()
        return records, size

    def rewrite_overwritten(self) -> None:
        for key in self.overwritten:
            name, level = level_of(key)
            value = self.values.get(name)
            if value is not None and is_whole(value):
                self._write_base(name, value)
            if key not in self.dirty:
                self._rewrite(key, name, level)
        self.overwritten.clear()

    def _write_base(self, name: bytes, value: bytes) -> None:
        """Has a whole value written as a base: its parts are not in memory any more."""
        written = self.values[name] = as_base(value)
        self.bytes += len(written) - len(value)
        self.dirty.pop(name, None)
        self._rewrite(name, name, 0)
        self._delete_outdated(name, 0, LEVELS_MAX)

    def _delete_outdated(self, name: bytes, level: int, deepest: int) -> None:
        """Has changes deleted that are outdated by a part on a level before they were written.

        Left out they cannot be: another worker's record may be under their key. They are deleted behind the part: a
        crash before that must not leave deeper changes without them.
        """
        for deeper in range(level + 1, deepest + 1):
            key = change_key(name, deeper)
            if key in self.dirty:
                del self.dirty[key]
                self.dirty[key] = None

    def _rewrite(self, key: bytes, name: bytes, level: int) -> None:
        """Has what belongs under a key written again; nothing does: has the key deleted."""
        value = self.values.get(name)
        content, origin = None, self.deleted.get(name, NO_OFFSET)
        if value is not None:
            parts = split(value)
            if level < len(parts.contents) and parts.origins[level] != MISSING:
                content, origin = parts.contents[level], parts.origins[level]
        self.dirty[key] = self.state.claim if key == OWNER_KEY else content
        self.origins[key] = origin
