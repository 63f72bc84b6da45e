"""The last accepted positions of all channels, in memory, for Search Inventory: one look-up for a SKU everywhere.

What is kept of a position is which of its channel's locations it is at and how much there is, eight bytes beside the
others of its SKU, and a serial number where it has one.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from gateway.views.snapshots import SnapshotIndex
from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByView, WholeView
from topics.records.keys import join, split
from topics.stock.position_map import parts_of
from topics.stock.positions import is_consolidated, is_position

_AT = struct.Struct("<II")
"""One position of a SKU: the number of its location, and its quantity."""


class _Item(msgspec.Struct, gc=False):
    """What a search tells of a position."""

    quantity: int
    channelSerialNo: str | None = None  # noqa: N815 - the contract's spelling


_decode = msgspec.json.Decoder(_Item).decode


class _Channel:
    """`packed`: SKU -> its positions, one `_AT` behind the other. `serials`: by SKU and location number."""

    __slots__ = ("locations", "packed", "places", "serials")

    def __init__(self) -> None:
        self.packed: dict[str, bytes] = {}
        self.locations: list[str] = []
        self.serials: dict[tuple[str, int], str] = {}
        self.places: set[str] = set()


class _Place(NamedTuple):
    """One location of one channel. `number` None: consolidated stock, which is no location's and is not kept."""

    channel: _Channel
    number: int | None


class StockIndex:
    """Positions by channel, SKU and location."""

    def __init__(self) -> None:
        self._channels: dict[str, _Channel] = {}
        self._places: dict[str, _Place] = {}
        """By channel|location as in the key."""
        self.snapshots = SnapshotIndex()

    def apply(self, key: bytes, value: bytes | None) -> None:
        """One record of `inventory.positions`; None is a tombstone."""
        if not is_position(key):
            self.snapshots.apply(key, value)
            return
        parts = parts_of(key)
        if parts is None:
            return  # no position's key: nobody could search for it
        stock, sku = parts
        place = self._places.get(stock)
        if place is None:
            if value is None:
                return
            place = self._places[stock] = self._new_place(stock)
        channel, number = place
        if number is None:
            return
        at = _find(channel.packed.get(sku, b""), number)
        if value is None:
            _remove(channel, sku, number, at)
        else:
            _put(channel, sku, number, at, value)

    def places(self, channel: str) -> Collection[str]:
        known = self._channels.get(channel)
        return () if known is None else known.places

    def quantity(self, channel: str, location: str, sku: str) -> int | None:
        place = self._places.get(join(channel, location).decode())
        if place is None or place.number is None:
            return None
        packed = place.channel.packed.get(sku, b"")
        at = _find(packed, place.number)
        return _AT.unpack_from(packed, at)[1] if at < len(packed) else None

    def found(self, channel: str, sku: str) -> list[tuple[str, int]]:
        known = self._channels.get(channel)
        packed = known.packed.get(sku) if known is not None else None
        if known is None or packed is None:
            return []
        names = known.locations
        found = [(names[number], quantity) for number, quantity in _AT.iter_unpack(packed)]
        found.sort()
        return found

    def serial(self, channel: str, sku: str) -> str | None:
        known = self._channels.get(channel)
        if known is None or not known.serials:
            return None
        numbers = [number for number, _quantity in _AT.iter_unpack(known.packed.get(sku, b""))]
        numbers.sort(key=known.locations.__getitem__)
        serials = (known.serials.get((sku, number)) for number in numbers)
        return next((serial for serial in serials if serial is not None), None)

    def _new_place(self, stock: str) -> _Place:
        name, location = split(stock.encode())
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel()
        channel.places.add(location)
        if is_consolidated(location):
            return _Place(channel, None)
        channel.locations.append(location)
        return _Place(channel, len(channel.locations) - 1)


def _find(packed: bytes, number: int) -> int:
    """Where the position of a location begins; at the end when there is none."""
    own = number.to_bytes(4, "little")
    for at in range(0, len(packed), _AT.size):
        if packed.startswith(own, at):
            return at
    return len(packed)


def _put(channel: _Channel, sku: str, number: int, at: int, value: bytes) -> None:
    item = _decode(value)
    new, old = _AT.pack(number, item.quantity), channel.packed.get(sku)
    # Other channels have this SKU as well: its text is there once.
    channel.packed[sku if old is not None else sys.intern(sku)] = (
        new if old is None else old[:at] + new + old[at + _AT.size :]
    )
    if item.channelSerialNo is not None:
        channel.serials[sku, number] = item.channelSerialNo
    elif channel.serials:
        channel.serials.pop((sku, number), None)


def _remove(channel: _Channel, sku: str, number: int, at: int) -> None:
    old = channel.packed.get(sku, b"")
    left = old[:at] + old[at + _AT.size :]
    if left:
        channel.packed[sku] = left
    else:
        channel.packed.pop(sku, None)
    channel.serials.pop((sku, number), None)


class StockView(KeptByView, StockIndex):
    """The index, kept by following `inventory.positions` from its beginning. Implements gateway.ports.Stock."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._view = WholeView(settings, "inventory.positions", self.apply, one_owner=True)

    def current_ms(self) -> int | None:
        return self._view.current_ms()
