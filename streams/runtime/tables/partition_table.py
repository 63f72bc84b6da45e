"""The state of one partition: its tables, kept apart from other partitions' and dropped as one when it leaves.

Puts of the record being decided are in an overlay until `decide` has returned, so one that raises leaves nothing.
Every value remembers the source offset it was made from; that is how a redelivery is told from a caller's repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from streams.runtime.role import Table, Tables
from topics.records.reading import MADE_BY, OWNER_KEY

NO_OFFSET = -1
"""Older than every record."""
_ABSENT = object()


class Changelog(Protocol):
    """Where the changes of a table leave to (streams.runtime.durability.publisher.Batches)."""

    def append(self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None: ...

    def extend(self, records: Iterable[tuple[bytes, bytes, list[tuple[str, bytes]]]]) -> int: ...


class PartitionTable:
    """One partition of one table; implements streams.runtime.role.Table."""

    __slots__ = (
        "bytes",
        "covered",
        "deleted",
        "dirty",
        "log_end",
        "name",
        "origins",
        "overlay",
        "state",
        "values",
    )

    def __init__(self, name: str, state: PartitionState) -> None:
        self.name = name
        self.state = state
        self.values: dict[bytes, bytes] = {}
        self.origins: dict[bytes, int] = {}
        self.deleted: dict[bytes, int] = {}
        """Deleted keys with the offset that deleted them, until that offset is committed."""
        self.overlay: dict[bytes, bytes | None] = {}
        self.dirty: dict[bytes, bytes | None] = {}
        """Changes of the chunk being decided, the last per key."""
        self.covered: set[bytes] = set()
        """Keys whose last record in the log is a former owner's: they are written again with the next group."""
        self.log_end = NO_OFFSET
        """The offset after the last record in the log that was read or written by us; NO_OFFSET: not known."""
        self.bytes = 0

    def get(self, key: bytes) -> bytes | None:
        if self.overlay:
            value = self.overlay.get(key, _ABSENT)
            if value is not _ABSENT:
                return value  # type: ignore[return-value]
        return self.stored(key)

    def stored(self, key: bytes) -> bytes | None:
        """As of the last decision."""
        return self.values.get(key)

    @property
    def count(self) -> int:
        """Keys as of the last decision."""
        return len(self.values)

    def put(self, key: bytes, value: bytes) -> None:
        if key in self.overlay:
            del self.overlay[key]  # the changelog has the order of the last puts; see merge
        self.overlay[key] = value

    def delete(self, key: bytes) -> None:
        self.overlay[key] = None

    def is_made_from(self, key: bytes) -> bool:
        offset = self.state.offset
        if offset > self.state.horizon:
            return False
        return offset <= self.origin(key)

    def origin(self, key: bytes) -> int:
        """The source offset from which the key was last changed."""
        found = self.origins.get(key)
        return self.deleted.get(key, NO_OFFSET) if found is None else found

    def newest_origin(self) -> int:
        """The newest source offset that a value, or a deletion that is remembered, was made from."""
        return max(max(self.origins.values(), default=NO_OFFSET), max(self.deleted.values(), default=NO_OFFSET))

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(key for key in {*self.values, *self.overlay} if key.startswith(prefix)):
            value = self.get(key)
            if value is not None:
                yield key, value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """A snapshot, so that a role may change the table while it walks."""
        if not self.overlay:
            return iter(list(self.values.items()))  # perhaps a million, when a partition comes
        merged: dict[bytes, bytes | None] = {**self.values, **self.overlay}
        return iter([(key, value) for key, value in merged.items() if value is not None])

    def __len__(self) -> int:
        new = sum((value is not None) - (self.stored(key) is not None) for key, value in self.overlay.items())
        return self.count + new

    def is_changed(self) -> bool:
        """Whether the record being decided has put or deleted anything."""
        return bool(self.overlay)

    def undo(self) -> None:
        """The record was not decided: its puts are gone."""
        self.overlay.clear()

    def merge(self) -> None:
        """The record was decided: its changes are the table's, and leave with the chunk.

        In the order of the last puts: a role may put a mark after what it stands for, and a crash between two batches
        of the changelog must not leave the mark alone.
        """
        offset = self.state.offset
        dirty = self.dirty
        for key, value in self.overlay.items():
            # A copy takes the memory of its bytes; what orjson.dumps returns keeps the buffer it was written in (4 KiB
            # where 233 bytes are needed).
            self.set(key, None if value is None else memoryview(value).tobytes(), offset)
            if key in dirty:
                del dirty[key]
            dirty[key] = value
        self.overlay.clear()

    def set(self, key: bytes, value: bytes | None, origin: int) -> None:
        old = self.values.get(key)
        if old is not None:
            self.bytes -= len(old)
        if value is None:
            self.values.pop(key, None)
            self.origins.pop(key, None)
            self.deleted[key] = origin
            return
        self.values[key] = value
        self.origins[key] = origin
        self.bytes += len(value)
        if self.deleted:
            self.deleted.pop(key, None)

    def is_dirty(self) -> bool:
        """Whether anything has to leave with the next group."""
        return bool(self.dirty)

    def leave(self, changelog: Changelog) -> tuple[int, int]:
        """What is dirty goes to the changelog, in its order. Returns how many records, and how many bytes."""
        epoch, size, records = self.state.epoch, 0, len(self.dirty)
        for key, value in self.dirty.items():
            changelog.append(key, value, [(MADE_BY, b"%d/%d" % (epoch, self.origin(key)))])
            if value is not None:
                size += len(value)
        self.dirty.clear()
        return records, size

    def uncover(self) -> None:
        """What a former owner wrote over leaves again with the next group, as it is now."""
        for key in self.covered:
            if key not in self.dirty:
                self.dirty[key] = self.state.claim if key == OWNER_KEY else self.stored(key)
        self.covered.clear()

    def forget_deleted(self, next_offset: int) -> None:
        """Offsets below are committed: their redelivery cannot come, so what they deleted need not be remembered."""
        if self.deleted:
            self.deleted = {key: offset for key, offset in self.deleted.items() if offset >= next_offset}

    def close(self) -> None:
        """The partition left."""


MakeTable = Callable[[str, "PartitionState"], PartitionTable]


class PartitionState:
    """All tables of one partition, with where it stands."""

    __slots__ = ("all", "claim", "epoch", "horizon", "last_decided", "next_read", "offset", "partition", "tables")

    def __init__(self, partition: int, names: Iterable[str], make: MakeTable = PartitionTable) -> None:
        self.partition = partition
        self.all = tuple(make(name, self) for name in names)
        self.tables: Tables = MappingProxyType({table.name: _as_table(table) for table in self.all})
        self.epoch = 0
        """Grows with every owner of the partition; in `sluice-made-by`, so a former owner's late records are known."""
        self.claim = b""
        """Value of the record with which this owner began, under OWNER_KEY in each changelog."""
        self.offset = NO_OFFSET
        """The record being decided."""
        self.last_decided = NO_OFFSET
        self.next_read = 0
        """Within one assignment offsets only grow."""
        self.horizon = NO_OFFSET
        """No state was made from a record after this one: records beyond need no look-up to be known as new."""

    def undo(self) -> None:
        """The record was not decided: its puts are gone."""
        for table in self.all:
            table.undo()

    def reopened(self) -> None:
        """After a rebalance that left the partition here: records may be read again from the committed offset."""
        self.horizon = max(self.horizon, self.last_decided)
        self.next_read = 0

    def close(self) -> None:
        """The partition is another's: nothing is read or written here any more."""
        for table in self.all:
            table.close()

    def by_name(self, name: str) -> PartitionTable:
        for table in self.all:
            if table.name == name:
                return table
        raise KeyError(f"no table {name}; this role has {', '.join(table.name for table in self.all) or 'none'}")


def _as_table(table: PartitionTable) -> Table:
    return table


def sizes(states: Mapping[int, PartitionState]) -> dict[str, tuple[int, int]]:
    """Table -> (keys, bytes of values) over all partitions."""
    found: dict[str, tuple[int, int]] = {}
    for state in states.values():
        for table in state.all:
            keys, size = found.get(table.name, (0, 0))
            found[table.name] = (keys + table.count, size + table.bytes)
    return found
