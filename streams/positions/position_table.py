"""PURE: a table of stock positions: kept compactly, put in batches, written like any other table.

It is a PartitionTable in every respect. Records that are not positions (bookkeeping under `~`) are kept as the runtime
keeps them. Beside `get` and `put` the table has two calls for batches of stock: `known` and `put_quantities`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from streams.runtime.role import Table
from streams.runtime.tables.partition_table import Changelog, Headers, PartitionState, PartitionTable
from topics.records.reading import MADE_BY
from topics.stock.packed_positions import PackedPositions
from topics.stock.position_map import Location, PositionMap, encode_many, encode_plain, parts_of
from topics.stock.positions import is_position


class Quantities(Table, Protocol):
    """The table as roles see it, with the two calls for batches."""

    def known(self, stock: str) -> PackedPositions:
        """The positions of one channel and location, as of the last decision."""

    def put_quantities(self, stock: str, quantities: dict[str, int]) -> Mapping[str, int]:
        """Puts plain positions of one channel and location; at most once for a location in one decision.

        Leaves out those that were made from this record or a later one (see `is_made_from`), and returns the others.
        These are written before what the same decision put by key.
        """


class _Notes(NamedTuple):
    """Bookkeeping that one record put or deleted by key."""

    values: dict[bytes, bytes | None]
    offset: int


class _Words(NamedTuple):
    """The last quantity of each SKU of a location that was put, and the offset that this was made from.

    Two dicts in one order rather than a pair for each SKU: they are filled and read without a step of Python for each.
    """

    quantities: dict[str, int]
    origins: dict[str, int]


_Stock = dict[Location, _Words]
"""Plain positions. Their order does not matter: each says itself what it was made from."""


class _HeadersByOrigin(dict[int, Headers]):
    """Headers by origin. A record has changed many positions: `made_by` is asked once of each."""

    def __init__(self, made_by: Callable[[int], Headers]) -> None:
        super().__init__()
        self._made_by = made_by

    def __missing__(self, origin: int) -> Headers:
        headers = self[origin] = self._made_by(origin)
        return headers


class PositionTable(PartitionTable):
    """`values`, `origins`, `overlay` and `dirty` hold what is put by key; `map` has all positions."""

    __slots__ = ("_any_deleted", "_leaving", "_put", "map")

    def __init__(self, name: str, state: PartitionState) -> None:
        super().__init__(name, state)
        self.map = PositionMap()
        self._put: dict[str, dict[str, int]] = {}
        """Quantities that the record being decided has put by `put_quantities`."""
        self._leaving: list[_Stock | _Notes] = []
        """Written after `dirty`, in this order."""
        self._any_deleted = False
        """Whether there may be positions in `deleted`."""

    # -- batches of stock -----------------------------------------------------------------------------------------

    def known(self, stock: str) -> PackedPositions:
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
        keys = {key for some in (self.values, self.overlay, self._keys_put()) for key in some if key.startswith(prefix)}
        keys.update(key for key, _ in self.map.items(prefix))
        for key in sorted(keys):
            value = self.get(key)
            if value is not None:
                yield key, value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """As of now; a key that changes during the iteration may come with its new value, or not at all."""
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
        """Merges as the runtime does, without a look at each key that was put before."""
        offset, notes = self.state.offset, dict(self.overlay)
        for key, value in notes.items():
            super().set(key, None if value is None else memoryview(value).tobytes(), offset)
            self.dirty.pop(key, None)
        self._leaving.append(_Notes(notes, offset))
        self.overlay.clear()

    def _merge_quantities(self, location: Location, quantities: dict[str, int]) -> None:
        offset = self.state.offset
        self.bytes += location.put_plain(quantities, offset)
        last = self._leaving[-1] if self._leaving else None
        if not isinstance(last, dict):
            last = {}
            self._leaving.append(last)
        words = last.get(location)
        if words is None:
            words = last[location] = _Words({}, {})
        words.quantities.update(quantities)
        words.origins.update(dict.fromkeys(quantities, offset))
        if self.dirty or self._any_deleted:
            for key in map(location.key, quantities):
                self.dirty.pop(key, None)
                self.deleted.pop(key, None)

    def set(self, key: bytes, value: bytes | None, origin: int) -> None:
        found = self.map.find(key) if is_position(key) else None
        if found is None:
            super().set(key, value, origin)
            return
        location, sku = found
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

    def write_changes(self, changelog: Changelog) -> tuple[int, int]:
        records, size = super().write_changes(changelog) if self.dirty else (0, 0)
        epoch = self.state.epoch
        for piece in self._taken():
            if isinstance(piece, _Notes):
                made_by = [(MADE_BY, b"%d/%d" % (epoch, piece.offset))]
                for key, note in piece.values.items():
                    changelog.append(key, note, made_by)
                    size += len(note or b"")
                records += len(piece.values)
                continue
            for location, words in piece.items():
                size += changelog.extend(*_columns(location, words, self.made_by))
                records += len(words.quantities)
        return records, size

    def rewrite_overwritten(self) -> None:
        """Overwritten changes that are about to be written keep their order among the others."""
        self._spread()
        super().rewrite_overwritten()

    def _spread(self) -> None:
        """Changes by key are written after what was put before them."""
        for piece in self._taken():
            for key, value in _changes(piece):
                self.dirty.pop(key, None)
                self.dirty[key] = value

    def _taken(self) -> list[_Stock | _Notes]:
        """Takes what is to be written; each note only in the last piece that has it."""
        leaving, self._leaving = self._leaving, []
        noted: set[bytes] = set()
        kept: list[_Stock | _Notes] = []
        for piece in reversed(leaving):
            if not isinstance(piece, _Notes):
                kept.append(piece)
            elif last := {key: value for key, value in piece.values.items() if key not in noted}:
                kept.append(_Notes(last, piece.offset))
                noted.update(last)
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


def _changes(piece: _Stock | _Notes) -> Iterator[tuple[bytes, bytes | None]]:
    if isinstance(piece, _Notes):
        yield from piece.values.items()
        return
    for location, words in piece.items():
        keys, values, _ = _columns(location, words, lambda _: [])
        yield from zip(keys, values, strict=True)


def _columns(
    location: Location, words: _Words, made_by: Callable[[int], Headers]
) -> tuple[list[bytes], list[bytes], list[Headers]]:
    """Keys, values and headers of plain positions, as they are in the changelog.

    Columns, because most of the time of a row would go to the steps between its parts.
    """
    quantities = words.quantities
    headers = list(map(_HeadersByOrigin(made_by).__getitem__, words.origins.values()))
    return location.keys(quantities), encode_many(quantities, quantities.values()), headers
