"""The state of one partition: its tables, kept apart from those of other partitions and dropped together.

Puts of the record being decided are in an overlay until `decide` has returned, so one that raises leaves nothing.
Every value has the source offset it was made from, which tells a redelivery from a caller's repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from mypy_extensions import mypyc_attr

from streams.runtime.role import Table, Tables
from topics.records.reading import MADE_BY, OWNER_KEY

NO_OFFSET = -1
"""Older than every record."""
_ABSENT = object()
Headers = list[tuple[str, bytes]]


class Changelog(Protocol):
    """Takes the changes of a table (streams.runtime.durability.publisher.Batches)."""

    def append(self, key: bytes, value: bytes | None, headers: Headers) -> None: ...

    def extend(self, keys: Sequence[bytes], values: Sequence[bytes], headers: Sequence[Headers]) -> int: ...


@mypyc_attr(allow_interpreted_subclasses=True)
class PartitionTable:
    """One partition of one table; implements streams.runtime.role.Table."""

    __slots__ = (
        "bytes",
        "deleted",
        "dirty",
        "log_end",
        "name",
        "origins",
        "overlay",
        "overwritten",
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
        """Changes of the chunk being decided, the last of each key."""
        self.overwritten: set[bytes] = set()
        """Keys whose last record in the log is a former owner's: they are written again with the next group."""
        self.log_end = NO_OFFSET
        """The offset after the last record in the log that this worker read or wrote; NO_OFFSET: not known."""
        self.bytes = 0

    def get(self, key: bytes) -> bytes | None:
        if self.overlay:
            value = self.overlay.get(key, _ABSENT)
            if value is not _ABSENT:
                return value  # type: ignore[return-value]
        return self.stored(key)

    def stored(self, key: bytes) -> bytes | None:
        """The value as of the last decision."""
        return self.values.get(key)

    @property
    def count(self) -> int:
        """Keys as of the last decision."""
        return len(self.values)

    def put(self, key: bytes, value: bytes) -> None:
        if key in self.overlay:
            del self.overlay[key]  # so that the changelog has the order of the last puts; see merge
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
        """The newest source offset that a value, or a remembered deletion, was made from."""
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
        """Discards the changes of a record whose decision failed."""
        self.overlay.clear()

    def merge(self) -> None:
        """Applies the changes of a decided record; they are written with the chunk.

        They are written in the order of the last puts: a role may put a count after the entries it counts, and a crash
        between two batches of the changelog must not leave the count alone.
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
        """Whether anything has to be written with the next group."""
        return bool(self.dirty)

    def write_changes(self, changelog: Changelog) -> tuple[int, int]:
        """Appends the changes to the changelog, in their order. Returns the numbers of records and bytes."""
        size, records = 0, len(self.dirty)
        for key, value in self.dirty.items():
            changelog.append(key, value, self.made_by(self.origin(key)))
            if value is not None:
                size += len(value)
        self.dirty.clear()
        return records, size

    def made_by(self, origin: int) -> Headers:
        """The headers of changes that were made from a source offset."""
        return [(MADE_BY, b"%d/%d" % (self.state.epoch, origin))]

    def learn(self, origin: int, record: Any) -> None:
        """Takes from a changelog record what a kind of table wants to know of the source offset it was made from."""

    def recovered(self) -> None:
        """Called when the table is rebuilt, and its log claimed."""

    def rewrite_overwritten(self) -> None:
        """Makes the overwritten keys dirty, so that their present values are written with the next group."""
        for key in self.overwritten:
            if key not in self.dirty:
                self.dirty[key] = self.state.claim if key == OWNER_KEY else self.stored(key)
        self.overwritten.clear()

    def forget_deleted(self, next_offset: int) -> None:
        """Forgets deletions by offsets below, which are committed: no redelivery of them can come."""
        if self.deleted:
            self.deleted = {key: offset for key, offset in self.deleted.items() if offset >= next_offset}

    def close(self) -> None:
        """Gives back what the table uses: the partition left."""


@mypyc_attr(native_class=False)
class OrderBrokenError(RuntimeError):
    """Records came twice or out of order within one assignment: what was decided from them cannot be trusted."""


MakeTable = Callable[[str, "PartitionState"], PartitionTable]


def of_kinds(kinds: Mapping[str, MakeTable]) -> MakeTable:
    """Makes each table of its kind."""
    return lambda name, state: kinds.get(name, PartitionTable)(name, state)


class PartitionState:
    """All tables of one partition, its epoch and its offsets."""

    __slots__ = (
        "all",
        "claim",
        "epoch",
        "failed_in_a_row",
        "horizon",
        "last_decided",
        "next_read",
        "offset",
        "partition",
        "tables",
    )

    def __init__(self, partition: int, names: Iterable[str], make: MakeTable = PartitionTable) -> None:
        self.partition = partition
        self.all = tuple(make(name, self) for name in names)
        self.tables: Tables = MappingProxyType({table.name: _as_table(table) for table in self.all})
        self.epoch = 0
        """Grows with every owner of the partition; in `sluice-made-by` it shows late records of a former owner."""
        self.claim = b""
        """Value of the record with which this owner began, under OWNER_KEY in each changelog."""
        self.offset = NO_OFFSET
        """The record being decided."""
        self.last_decided = NO_OFFSET
        self.next_read = 0
        """The next offset to decide; within one assignment it only grows."""
        self.horizon = NO_OFFSET
        """No state was made from a record after this one, so later records are new without a look-up."""
        self.failed_in_a_row = 0
        """Records whose decisions failed since the last one that was decided."""

    def undo(self) -> None:
        """Drops the puts of a record that was not decided."""
        for table in self.all:
            table.undo()

    def read_on(self, first: int, last: int) -> None:
        """Notes that records are decided next. Raises OrderBrokenError for records that came before."""
        if first < self.next_read:
            raise OrderBrokenError(f"partition {self.partition} was read again from {first} before {self.next_read}")
        self.next_read = last + 1

    def reopened(self) -> None:
        """Prepares for reading again from the committed offset, after a rebalance that left the partition here."""
        self.horizon = max(self.horizon, self.last_decided)
        self.next_read = 0

    def close(self) -> None:
        """Closes all tables: the partition is another worker's."""
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
    """Keys and bytes of values of each table over all partitions."""
    found: dict[str, tuple[int, int]] = {}
    for state in states.values():
        for table in state.all:
            keys, size = found.get(table.name, (0, 0))
            found[table.name] = (keys + table.count, size + table.bytes)
    return found
