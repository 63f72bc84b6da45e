"""Positions in memory, some tens of bytes each: a worker or a view holds ten million.

Most positions are a SKU and a quantity. Each of these is one number under its SKU (topics/stock/packed_positions.py):
the source offset that it was made from and the quantity, packed. The bytes of a position that is more than a quantity
(an expiry, a serial number, the consolidated form) are kept beside.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any

import msgspec

from topics.records.keys import escape, join, unescape
from topics.records.unreadable import UnreadableError
from topics.stock.packed_positions import (
    QUANTITY_MASK,
    UNKNOWN,
    WHOLE,
    PackedPositions,
    numbers_of,
    origin_of,
)
from topics.stock.positions import QUANTITY_MAX, decode_position

PLAIN_BYTES = 8
"""Bytes that count for the value of a plain position: its packed number."""


class Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The value of a position that is nothing but a quantity, in the order in which it is written."""

    channelSkuCode: str  # noqa: N815 - the contract's spelling
    quantity: Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_MAX)]


_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(Plain).decode
_PLAIN_BEGIN = b'{"channelSkuCode":"'
_PLAIN_BYTES = len(b'{"channelSkuCode":"","quantity":}')


def encode_plain(sku: str, quantity: int) -> bytes:
    """The same bytes as topics.stock.positions.encode_position makes of an item that has nothing more."""
    return _encoder.encode(Plain(sku, quantity))


def encode_many(skus: Iterable[str], quantities: Iterable[int]) -> list[bytes]:
    """The same for each pair; in one go, which takes less time."""
    lines = _encoder.encode_lines(list(map(Plain, skus, quantities)))  # no JSON has a line feed in it
    return lines[:-1].split(b"\n") if lines else []


def parts_of(key: bytes) -> tuple[str, str] | None:
    """(channel|location as in the key, SKU) of a position's key; None for a key that `position_key` does not make."""
    try:
        stock, _, sku = key.decode().rpartition("|")
    except UnicodeDecodeError:
        return None
    if stock.count("|") != 1:
        return None
    if "%" not in sku:
        return stock, sku
    plain = unescape(sku)
    return (stock, plain) if escape(plain) == sku else None


class Location:
    """The positions of one channel and location, by SKU."""

    __slots__ = ("packed", "prefix", "whole")

    def __init__(self, stock: str) -> None:
        self.prefix = f"{stock}|"
        self.packed = PackedPositions(numbers_of(stock.partition("|")[0]))
        """Change it through this class only, unless all of it is plain."""
        self.whole: dict[str, bytes] = {}
        """SKU -> value, of positions that are more than a quantity."""

    def key(self, sku: str) -> bytes:
        return (self.prefix + escape(sku)).encode()

    def keys(self, skus: Collection[str]) -> list[bytes]:
        """The same of each; in one go, which takes less time, unless a SKU is written in another way in a key,
        or the location's code has the end of a line in it."""
        joined = "\n".join(skus)
        if escape(joined) != joined or joined.count("\n") != len(skus) - 1 or "\n" in self.prefix:
            return [self.key(sku) for sku in skus]
        return (self.prefix + joined.replace("\n", "\n" + self.prefix)).encode().split(b"\n")

    def quantity(self, sku: str) -> int | None:
        """The quantity of a position; None when there is no position."""
        packed = self.packed.get(sku)
        return None if packed is None else packed & QUANTITY_MASK

    def get(self, sku: str) -> bytes | None:
        """The position's value, as it is on Kafka."""
        packed = self.packed.get(sku)
        return None if packed is None else self._value(sku, packed)

    def put(self, sku: str, value: bytes, origin: int, *, checked: bool = False) -> int:
        """Returns by how many bytes the kept values have grown. A value that cannot be read is kept as it is, with
        quantity 0; with `checked` UnreadableError is raised instead, and nothing changes."""
        quantity = _plain_quantity(sku, value)
        if quantity is not None:
            before = self.packed.put(sku, origin, quantity)
            return PLAIN_BYTES - self._freed(sku, before)
        if checked:
            check_position(sku, value)
        before = self.packed.put(sku, origin, WHOLE | quantity_of(value))
        freed = self._freed(sku, before)
        self.whole[sys.intern(sku)] = value
        return len(value) - freed

    def _freed(self, sku: str, before: int) -> int:
        """Takes away the bytes that were kept for a position; returns how many counted."""
        if before == UNKNOWN:
            return 0
        return len(self.whole.pop(sku)) if before & WHOLE else PLAIN_BYTES

    def put_plain(self, quantities: Mapping[str, int], origin: int) -> int:
        """Puts many plain positions at once, made from one offset; returns as `put` does."""
        grown = PLAIN_BYTES * self.packed.put_plain(quantities, origin)
        if self.whole:
            for sku in self.whole.keys() & quantities.keys():
                grown += PLAIN_BYTES - len(self.whole.pop(sku))
        return grown

    def delete(self, sku: str) -> bool:
        """Whether it was there."""
        self.whole.pop(sku, None)
        return self.packed.pop(sku) != UNKNOWN

    def weight(self, sku: str) -> int:
        """Bytes that count for the value of a position."""
        packed = self.packed.get(sku)
        if packed is None:
            return 0
        return len(self.whole[sku]) if packed & WHOLE else PLAIN_BYTES

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values; one that changes during the iteration may come as it was, as it became, or not at all."""
        for sku, packed in self.packed.items():
            if packed & WHOLE:
                value = self.whole.get(sku)
                if value is None:
                    continue  # it was changed or deleted meanwhile
                yield self.key(sku), value
            else:
                yield self.key(sku), encode_plain(sku, packed & QUANTITY_MASK)

    def _value(self, sku: str, packed: int) -> bytes:
        return self.whole[sku] if packed & WHOLE else encode_plain(sku, packed & QUANTITY_MASK)


class PositionMap:
    """Positions by their keys on Kafka. A key that is not a position's (`parts_of`) is not kept here."""

    __slots__ = ("locations",)

    def __init__(self) -> None:
        self.locations: dict[str, Location] = {}
        """By channel|location as in the key."""

    def of(self, channel: str, location: str) -> Location:
        """The positions of a location; made when there are none."""
        return self.at(join(channel, location).decode())

    def at(self, stock: str) -> Location:
        found = self.locations.get(stock)
        if found is None:
            found = self.locations[stock] = Location(stock)
        return found

    def get(self, key: bytes) -> bytes | None:
        parts = parts_of(key)
        location = self.locations.get(parts[0]) if parts is not None else None
        return location.get(parts[1]) if location is not None and parts is not None else None

    def find(self, key: bytes) -> tuple[Location, str] | None:
        """The location of a position, made when there is none, and its SKU; None as `parts_of`."""
        try:
            stock, _, sku = key.decode().rpartition("|")
        except UnicodeDecodeError:
            return None
        location = self.locations.get(stock)
        if location is not None and "%" not in sku:
            return location, sku
        parts = parts_of(key)
        return None if parts is None else (self.at(parts[0]), parts[1])

    def put(self, key: bytes, value: bytes, origin: int) -> bool:
        """False for a key that is not a position's."""
        found = self.find(key)
        if found is None:
            return False
        location, sku = found
        location.put(sku, value, origin)
        return True

    def delete(self, key: bytes) -> bool:
        """Whether it was there."""
        parts = parts_of(key)
        location = self.locations.get(parts[0]) if parts is not None else None
        return parts is not None and location is not None and location.delete(parts[1])

    def origin(self, key: bytes) -> int | None:
        parts = parts_of(key)
        location = self.locations.get(parts[0]) if parts is not None else None
        packed = location.packed.get(parts[1]) if location is not None and parts is not None else None
        return None if packed is None else origin_of(packed)

    def newest_origin(self) -> int | None:
        return max(
            (newest for each in self.locations.values() if (newest := each.packed.newest_origin()) is not None),
            default=None,
        )

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Positions whose key begins with `prefix`, in no order; a location as it is when its turn comes."""
        for location in list(self.locations.values()):
            own = location.prefix.encode()
            if own.startswith(prefix):
                yield from location.items()
            elif prefix.startswith(own):
                yield from (item for item in location.items() if item[0].startswith(prefix))

    def __len__(self) -> int:
        return sum(len(location.packed) for location in self.locations.values())


def _plain_quantity(sku: str, value: bytes) -> int | None:
    """The quantity, if the value is exactly what `encode_plain` writes."""
    try:
        plain = _decode(value)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    quantity = plain.quantity
    if plain.channelSkuCode != sku:
        return None
    # Another encoding of the same is longer than this one, or begins with the quantity.
    if sku.isascii() and len(value) == _PLAIN_BYTES + len(sku) + len(str(quantity)) and value.startswith(_PLAIN_BEGIN):
        return quantity
    return quantity if _encoder.encode(plain) == value else None


class _Whole(msgspec.Struct, gc=False):
    """The members that a reader of any position goes by."""

    channelSkuCode: str  # noqa: N815 - the contract's spelling
    quantity: Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_MAX)] | None = None
    consolidatedQuantity: Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_MAX)] | None = None  # noqa: N815


_decode_whole = msgspec.json.Decoder(_Whole).decode


def check_position(sku: str, value: bytes) -> None:
    """Raises UnreadableError for a value that is no position of this SKU."""
    try:
        whole = _decode_whole(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"not a position: {error}") from error
    if whole.channelSkuCode != sku:
        raise UnreadableError("not a position: its channelSkuCode is not the one in the key")
    if whole.quantity is None and whole.consolidatedQuantity is None:
        raise UnreadableError("not a position: it has no quantity")


def quantity_of(value: bytes) -> int:
    """The quantity in a position; consolidated, `consolidatedQuantity` is the field to read (contract 12)."""
    try:
        item: Any = decode_position(value)
        quantity = int(item.get("consolidatedQuantity", item.get("quantity", 0)))
    except (ValueError, AttributeError, TypeError, OverflowError):
        return 0
    return min(max(quantity, 0), QUANTITY_MAX)
