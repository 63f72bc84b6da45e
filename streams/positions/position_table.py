"""A table whose values are stock positions: kept compactly, put many at once, written like any other table.

It is a PartitionTable in every respect. What is no position (bookkeeping under `~`) is kept as the runtime keeps it.
Beside `get` and `put` it has two calls for batches of stock: `known` and `put_quantities`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from streams.runtime.role import Table
from streams.runtime.tables import Changelog, PartitionState, PartitionTable
from topics.keys import escape
from topics.position_map import QUANTITY_MASK, Location, Plain, PositionMap, encode, encode_plain, pack, parts_of
from topics.positions import is_position
from topics.reading import MADE_BY


class Quantities(Table, Protocol):
    """The two calls, for roles."""

    def known(self, stock: str) -> Mapping[str, int]:
        """SKU -> packed position (topics.position_map) of one channel and location, as of the last decision."""

    def put_quantities(self, stock: str, quantities: dict[str, int]) -> Mapping[str, int]:
        """Plain positions of one channel and location; at most once for a location in one decision.

        Without those that were made from this record or a later one already (see `is_made_from`): returns the others.
        They leave before what the same decision put by key.
        """


class _Segment(NamedTuple):
    """Plain positions that one record changed, packed."""

    location: Location
    packed: dict[str, int]
    offset: int


class _Notes(NamedTuple):
    """What one record put or deleted by key that is no position."""

    values: dict[bytes, bytes | None]
    offset: int


class PositionTable(PartitionTable):
    """`values`, `origins`, `overlay` and `dirty` are of what is put by key; `map` has all positions."""

    __slots__ = ("_any_deleted", "_leaving", "_put", "map")

    def __init__(self, name: str, state: PartitionState) -> None:
        super().__init__(name, state)
        self.map = PositionMap()
        self._put: dict[str, dict[str, int]] = {}
        """What the record being decided put by `put_quantities`."""
        self._leaving: list[_Segment | _Notes] = []
        """Leave after `dirty`, in order."""
        self._any_deleted = False
        """Whether `deleted` may have positions."""

    # -- batches of stock -----------------------------------------------------------------------------------------

    def known(self, stock: str) -> Mapping[str, int]:
        return self.map.at(stock).packed

    def put_quantities(self, stock: str, quantities: dict[str, int]) -> Mapping[str, int]:
        if self.state.offset <= self.state.horizon:
            location = self.map.at(stock)
            quantities = {
                sku: quantity for sku, quantity in quantities.items() if not self.is_made_from(location.key(sku))
            }
        if quantities:
            self._put[stock] = quantities
        return quantities

    # -- a PartitionTable -----------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        if self._put and key not in self.overlay:
            quantity = self._put_now(key)
            if quantity is not None:
                return encode_plain(*quantity)
        return super().get(key)

    def stored(self, key: bytes) -> bytes | None:
        value = self.map.get(key) if is_position(key) else None
        return super().stored(key) if value is None else value

    @property
    def count(self) -> int:
        return len(self.values) + len(self.map)

    def origin(self, key: bytes) -> int:
        found = self.map.origin(key) if is_position(key) else None
        return super().origin(key) if found is None else found

    def newest_origin(self) -> int:
        newest = self.map.newest_origin()
        return super().newest_origin() if newest is None else max(newest, super().newest_origin())

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        keys = {*self.values, *self.overlay, *self._keys_put()}
        keys.update(key for key, _ in self.map.items(prefix))
        for key in sorted(key for key in keys if key.startswith(prefix)):
            value = self.get(key)
            if value is not None:
                yield key, value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """As of now where it matters: a key that changes meanwhile may come with its new value, or not at all."""
        changed = {*self.overlay, *self._keys_put()}
        yield from [(key, value) for key in changed if (value := self.get(key)) is not None]
        yield from [item for item in self.values.items() if item[0] not in changed]
        for item in self.map.items():
            if item[0] not in changed:
                yield item

    def __len__(self) -> int:
        changed = {*self.overlay, *self._keys_put()}
        return self.count + sum((self.get(key) is not None) - (self.stored(key) is not None) for key in changed)

    def is_changed(self) -> bool:
        return bool(self.overlay or self._put)

    def undo(self) -> None:
        super().undo()
        self._put.clear()

    def merge(self) -> None:
        if self._put:
            for stock, quantities in self._put.items():
                self._merge_quantities(self.map.at(stock), quantities)
            self._put.clear()
        if any(map(is_position, self.overlay)):
            self._spread()
            super().merge()
        elif self.overlay:
            self._merge_notes()

    def _merge_notes(self) -> None:
        """As the runtime merges, but that what was put before need not be looked at key by key."""
        offset, notes = self.state.offset, dict(self.overlay)
        for key, value in notes.items():
            super().set(key, None if value is None else memoryview(value).tobytes(), offset)
            self.dirty.pop(key, None)
        self._leaving.append(_Notes(notes, offset))
        self.overlay.clear()

    def _merge_quantities(self, location: Location, quantities: dict[str, int]) -> None:
        offset = self.state.offset
        base = pack(offset, 0)
        packed = {sku: base | quantity for sku, quantity in quantities.items()}
        self.bytes += location.put_packed(packed)
        self._leaving.append(_Segment(location, packed, offset))
        if self.dirty or self._any_deleted:
            for key in map(location.key, packed):
                self.dirty.pop(key, None)
                self.deleted.pop(key, None)

    def set(self, key: bytes, value: bytes | None, origin: int) -> None:
        place = self.map.place(key) if is_position(key) else None
        if place is None:
            super().set(key, value, origin)
            return
        location, sku = place
        if value is None:
            self.bytes -= location.weight(sku)
            location.delete(sku)
            self.deleted[key] = origin
            self._any_deleted = True
            return
        self.bytes += location.put(sku, value, origin)
        if self.deleted:
            self.deleted.pop(key, None)

    def is_dirty(self) -> bool:
        return bool(self.dirty or self._leaving)

    def leave(self, changelog: Changelog) -> tuple[int, int]:
        records, size = super().leave(changelog) if self.dirty else (0, 0)
        epoch = self.state.epoch
        for piece in self._taken():
            made_by = [(MADE_BY, b"%d/%d" % (epoch, piece.offset))]
            if isinstance(piece, _Segment):
                rows = _rows(piece)
                size += changelog.extend(rows, made_by)
                records += len(rows)
                continue
            for key, value in piece.values.items():
                changelog.append(key, value, made_by)
                size += len(value or b"")
            records += len(piece.values)
        return records, size

    def uncover(self) -> None:
        """What is covered and about to leave keeps its place among the rest."""
        self._spread()
        super().uncover()

    def _spread(self) -> None:
        """What is put by key leaves after what was put before it."""
        for piece in self._taken():
            for key, value in _rows(piece) if isinstance(piece, _Segment) else piece.values.items():
                self.dirty.pop(key, None)
                self.dirty[key] = value

    def _taken(self) -> list[_Segment | _Notes]:
        """What is leaving, each key only with the last piece that has it."""
        leaving, self._leaving = self._leaving, []
        later: dict[Location, set[str]] = {}
        noted: set[bytes] = set()
        kept: list[_Segment | _Notes] = []
        for segment in reversed(leaving):
            if isinstance(segment, _Notes):
                if last := {key: value for key, value in segment.values.items() if key not in noted}:
                    kept.append(_Notes(last, segment.offset))
                    noted.update(last)
                continue
            location, packed, offset = segment
            known = later.setdefault(location, set())
            if known.isdisjoint(packed):
                kept.append(segment)
            elif rest := {sku: each for sku, each in packed.items() if sku not in known}:
                kept.append(_Segment(location, rest, offset))
            known.update(packed)
        kept.reverse()
        return kept

    def _put_now(self, key: bytes) -> tuple[str, int] | None:
        parts = parts_of(key)
        quantity = self._put.get(parts[0], {}).get(parts[1]) if parts is not None else None
        return None if parts is None or quantity is None else (parts[1], quantity)

    def _keys_put(self) -> Iterator[bytes]:
        for stock, quantities in self._put.items():
            key = self.map.at(stock).key
            for sku in quantities:
                yield key(sku)


def _rows(segment: _Segment) -> list[tuple[bytes, bytes]]:
    location, packed, _ = segment
    prefix, names = location.prefix, "".join(packed)
    if escape(names) == names:
        return [((prefix + sku).encode(), encode(Plain(sku, each & QUANTITY_MASK))) for sku, each in packed.items()]
    return [(location.key(sku), encode_plain(sku, each & QUANTITY_MASK)) for sku, each in packed.items()]
