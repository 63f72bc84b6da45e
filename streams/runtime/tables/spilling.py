"""Tables that outgrow memory: the newest values stay in it, older ones move to local disk.

Short-lived keys never touch the disk, and a small deployment never opens a file. A backlog of hours costs the memory
of one of minutes. A key is either in memory or on disk: a put brings it to memory, age moves it to disk.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator, Mapping
from itertools import islice

from streams.runtime.invariants import violated
from streams.runtime.tables import cold_table
from streams.runtime.tables.cold_table import ColdTable
from streams.runtime.tables.local_store import LocalStore
from streams.runtime.tables.partition_table import NO_OFFSET, MakeTable, PartitionState, PartitionTable

SPILLING_BYTES_MAX = 64 << 20
"""Memory of all spilling tables of a worker: some 40,000 requests of 1 kB, more than are in flight while the far sides
are well."""
ENTRY_BYTES = 320
"""Memory of a key beside the bytes of key and value: two objects, a number, and its slots in two dicts."""
SPILLED_AT_ONCE = 500
"""Keys that move together: a few milliseconds of the event loop, and one statement for all of them."""


class Spilling:
    """The memory that a worker's spilling tables share, and the disk they spill to."""

    def __init__(self, store: LocalStore, bytes_max: int = SPILLING_BYTES_MAX) -> None:
        self.store = store
        self.used = 0
        self._bytes_max = bytes_max
        self._tables: set[SpillingTable] = set()

    def table(self, name: str, state: PartitionState) -> SpillingTable:
        table = SpillingTable(name, state, self)
        self._tables.add(table)
        return table

    def maker(self, spills: Container[str], kinds: Mapping[str, MakeTable]) -> MakeTable:
        """Makes a role's tables: those of `spills` here, others of their kind."""

        def make(name: str, state: PartitionState) -> PartitionTable:
            return self.table(name, state) if name in spills else kinds.get(name, PartitionTable)(name, state)

        return make

    def make_room(self) -> None:
        """Spills from the table that uses most memory."""
        while self.used > self._bytes_max:
            max(self._tables, key=lambda table: table.memory_bytes).spill()

    def forget(self, table: SpillingTable) -> None:
        """The table gave its memory back."""
        self._tables.discard(table)
        if not self._tables and self.used:
            violated("spilling_memory_is_returned", f"no table is left, and {self.used} bytes count as used")


class SpillingTable(PartitionTable):
    """A PartitionTable whose `values`, `origins` and `deleted` are the part in memory, the newest."""

    __slots__ = ("_cold", "_moves", "_spilling", "memory_bytes")

    def __init__(self, name: str, state: PartitionState, spilling: Spilling) -> None:
        super().__init__(name, state)
        self._spilling = spilling
        self._cold: ColdTable | None = None
        self._moves = 0
        """Counts changes of the part on disk."""
        self.memory_bytes = 0
        """Its part of the shared memory."""

    @property
    def count(self) -> int:
        return len(self.values) + (self._cold.values if self._cold is not None else 0)

    def stored(self, key: bytes) -> bytes | None:
        value = self.values.get(key)
        return value if value is not None or self._cold is None else self._cold.get(key)

    def origin(self, key: bytes) -> int:
        found = super().origin(key)
        if found != NO_OFFSET or self._cold is None:
            return found
        cold = self._cold.origin(key)
        return NO_OFFSET if cold is None else cold

    def newest_origin(self) -> int:
        newest = super().newest_origin()
        cold = self._cold.newest_origin() if self._cold is not None else None
        return newest if cold is None else max(newest, cold)

    def set(self, key: bytes, value: bytes | None, origin: int) -> None:
        before = self._weight(key)
        if not before and self._cold is not None:
            self.bytes -= self._cold.remove(key)
            self._moved(self._cold)
        super().set(key, value, origin)
        self._use(len(key) + ENTRY_BYTES + (0 if value is None else len(value)) - before)
        self._spilling.make_room()

    def forget_deleted(self, next_offset: int) -> None:
        if self.deleted:
            self._use(-sum(len(key) + ENTRY_BYTES for key, offset in self.deleted.items() if offset < next_offset))
            super().forget_deleted(next_offset)
        if self._cold is not None and self._cold.deleted:
            self._cold.forget_deleted(next_offset)
            self._moved(self._cold)

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        hot = sorted(key for key in {*self.values, *self.overlay} if key.startswith(prefix))
        last = None
        for key, read, moves in heapq.merge(((key, None, 0) for key in hot), self._cold_rows(prefix), key=_key_of):
            if key == last:
                continue
            last = key
            # A value from disk is current as long as nothing has moved there or from there since.
            value = read if moves == self._moves and key not in self.overlay else None
            value = self.get(key) if value is None else value
            if value is not None:
                yield key, value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """As `walk`; it is no snapshot."""
        return self.walk()

    def spill(self) -> None:
        """Moves the oldest to disk: values or remembered deletions, whichever are more."""
        cold = self._cold = self._cold or ColdTable(self._spilling.store)
        if len(self.deleted) > len(self.values):
            keys = sorted(islice(self.deleted, SPILLED_AT_ONCE))
            self._use(-sum(map(self._weight, keys)))
            cold.add([(key, None, self.deleted.pop(key)) for key in keys], deleted=len(keys))
        else:
            keys = sorted(islice(self.values, SPILLED_AT_ONCE))
            self._use(-sum(map(self._weight, keys)))
            cold.add([(key, self.values.pop(key), self.origins.pop(key)) for key in keys], values=len(keys))
        self._moved(cold)

    def close(self) -> None:
        self._use(-self.memory_bytes)
        self._spilling.forget(self)
        if self._cold is not None:
            self._cold.drop()
            self._cold = None

    def _moved(self, cold: ColdTable) -> None:
        self._moves += 1
        if not cold.values and not cold.deleted:
            cold.drop()
            self._cold = None

    def _cold_rows(self, prefix: bytes) -> Iterator[tuple[bytes, bytes | None, int]]:
        first = prefix
        while self._cold is not None:
            page, moves = self._cold.page(first), self._moves
            for key, value in page:
                if not key.startswith(prefix):
                    return
                yield key, value, moves
            if len(page) < cold_table.PAGE_KEYS:
                return
            first = page[-1][0] + b"\x00"

    def _weight(self, key: bytes) -> int:
        """Memory that a key takes, 0 when it is not there."""
        value = self.values.get(key)
        if value is not None:
            return len(key) + len(value) + ENTRY_BYTES
        return len(key) + ENTRY_BYTES if key in self.deleted else 0

    def _use(self, more: int) -> None:
        self.memory_bytes += more
        self._spilling.used += more


def _key_of(row: tuple[bytes, bytes | None, int]) -> bytes:
    return row[0]
