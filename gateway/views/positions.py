"""The last accepted positions of all channels, in memory, for Search Inventory: one look-up finds a SKU everywhere.

A position is kept as the number of its location and its quantity, eight bytes beside those of the SKU's other
locations, and its serial number if it has one.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Collection
from typing import Annotated, NamedTuple

import msgspec

from gateway.views.snapshots import SnapshotIndex
from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByViews, WholeView
from topics.records.keys import join, split
from topics.stock.position_map import parts_of
from topics.stock.positions import QUANTITY_MAX, is_consolidated, is_position

_AT = struct.Struct("<II")
"""A position of a SKU: the number of its location, and its quantity."""


class _Item(msgspec.Struct, gc=False):
    """The members of a position that a search answers with."""

    quantity: Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_MAX)]
    channelSerialNo: str | None = None  # noqa: N815 - the contract's spelling


_decode = msgspec.json.Decoder(_Item).decode


class _Channel:
    """`packed`: SKU -> its positions, one `_AT` behind the other. `numbered`: locations, each at its number; `named`:
    these, and those of consolidated stock; `serials`: by SKU and location number."""

    __slots__ = ("named", "numbered", "packed", "serials")

    def __init__(self) -> None:
        self.packed: dict[str, bytes] = {}
        self.numbered: list[str] = []
        self.serials: dict[tuple[str, int], str] = {}
        self.named: set[str] = set()


class _Location(NamedTuple):
    """A location of a channel. `number` None: consolidated stock, which searches do not ask for and is not kept."""

    channel: _Channel
    number: int | None


class StockIndex:
    """Positions by channel, SKU and location."""

    def __init__(self) -> None:
        self._channels: dict[str, _Channel] = {}
        self._locations: dict[str, _Location] = {}
        """By the first two parts of a key, channel|location."""
        self.snapshots = SnapshotIndex()

    def apply(self, key: bytes, value: bytes | None) -> None:
        """One record of `inventory.positions`; None is a tombstone. Raises ValueError for one that this version cannot
        read: the SKU's position before it goes on to count."""
        if not is_position(key):
            self.snapshots.apply(key, value)
            return
        parts = parts_of(key)
        if parts is None:
            raise ValueError("its key is not channel|location|sku")
        stock, sku = parts
        found = self._locations.get(stock)
        if found is None:
            if value is None:
                return
            found = self._locations[stock] = self._new_location(stock)
        channel, number = found
        if number is None:
            return
        at = _find(channel.packed.get(sku, b""), number)
        if value is None:
            _remove(channel, sku, number, at)
        else:
            _put(channel, sku, number, at, value)

    def locations(self, channel: str) -> Collection[str]:
        known = self._channels.get(channel)
        return () if known is None else known.named

    def quantity(self, channel: str, location: str, sku: str) -> int | None:
        known = self._locations.get(join(channel, location).decode())
        if known is None or known.number is None:
            return None
        packed = known.channel.packed.get(sku, b"")
        at = _find(packed, known.number)
        return _AT.unpack_from(packed, at)[1] if at < len(packed) else None

    def found(self, channel: str, sku: str) -> list[tuple[str, int]]:
        known = self._channels.get(channel)
        packed = known.packed.get(sku) if known is not None else None
        if known is None or packed is None:
            return []
        names = known.numbered
        found = [(names[number], quantity) for number, quantity in _AT.iter_unpack(packed)]
        found.sort()
        return found

    def serial(self, channel: str, sku: str) -> str | None:
        known = self._channels.get(channel)
        if known is None or not known.serials:
            return None
        numbers = [number for number, _quantity in _AT.iter_unpack(known.packed.get(sku, b""))]
        numbers.sort(key=known.numbered.__getitem__)
        serials = (known.serials.get((sku, number)) for number in numbers)
        return next((serial for serial in serials if serial is not None), None)

    def _new_location(self, stock: str) -> _Location:
        name, location = split(stock.encode())
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel()
        channel.named.add(location)
        if is_consolidated(location):
            return _Location(channel, None)
        channel.numbered.append(location)
        return _Location(channel, len(channel.numbered) - 1)


def _find(packed: bytes, number: int) -> int:
    """Where the position at a location begins; the end if there is none."""
    own = number.to_bytes(4, "little")
    for at in range(0, len(packed), _AT.size):
        if packed.startswith(own, at):
            return at
    return len(packed)


def _put(channel: _Channel, sku: str, number: int, at: int, value: bytes) -> None:
    item = _decode(value)  # before anything changes: it raises for a value that cannot be read
    new, old = _AT.pack(number, item.quantity), channel.packed.get(sku)
    # Other channels have this SKU as well: its text is kept once.
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


class StockView(KeptByViews, StockIndex):
    """The index, kept by following `inventory.positions` from its beginning. Implements gateway.ports.Stock."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._views = (WholeView(settings, "inventory.positions", self.apply, one_owner=True),)

    def current_ms(self) -> int | None:
        return self._views[0].current_ms()
