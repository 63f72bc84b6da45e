"""The positions of one channel and location, packed: SKU -> a number of its offset and quantity.

A batch of stock looks up hundreds of SKUs of a location that has tens of thousands. In a dict of numbers each look-up
waits for memory three times, and that took as long as all else that a position needs. So a channel's SKUs are numbered,
and a location keeps its positions under these numbers in two arrays: twelve bytes each, next to each other.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol, final
from weakref import WeakValueDictionary

from mypy_extensions import mypyc_attr

from topics.stock.positions import QUANTITY_MAX

QUANTITY_BITS: Final = 32
"""Bits of a packed position below its offset: 31 of quantity, and the WHOLE bit."""
QUANTITY_MASK: Final = QUANTITY_MAX
WHOLE: Final = 1 << 31
"""Bit of a packed position whose bytes are kept beside."""
PLAIN_MASK: Final = QUANTITY_MASK | WHOLE
"""Mask: a packed position under it is the quantity if plain, and no possible quantity if not."""
UNKNOWN: Final = -1
"""Stands for a packed position that is not there; PLAIN_MASK makes no quantity of it."""
NOWHERE: Final = -2
"""Stands for the offset of a position that is not there; its quantity is WHOLE then, which equals no quantity."""
CELLS_FOR_EACH: Final = 4
"""Cells that a position may take: these are no more bytes than it takes in a dict."""


def pack(origin: int, quantity: int) -> int:
    """`origin` is -1 (streams.runtime.tables.partition_table.NO_OFFSET) or a source offset."""
    return (origin + 1) << QUANTITY_BITS | quantity


def origin_of(packed: int) -> int:
    return (packed >> QUANTITY_BITS) - 1


class Word(Protocol):
    """An item of a batch: one SKU and its quantity."""

    channelSkuCode: str  # noqa: N815 - the contract's spelling
    quantity: int


@mypyc_attr(native_class=False)  # no native class can be referenced weakly
class SkuNumbers:
    """Numbers of a channel's SKUs, for all its locations in this process; they are forgotten with the last of these."""

    __slots__ = ("__weakref__", "names", "numbers")

    def __init__(self) -> None:
        self.names: list[str] = []
        self.numbers: dict[str, int] = {}

    def add(self, sku: str) -> int:
        number = self.numbers.get(sku)
        if number is None:
            sku = sys.intern(sku)
            number = self.numbers[sku] = len(self.names)
            self.names.append(sku)
        return number


_numbers: WeakValueDictionary[str, SkuNumbers] = WeakValueDictionary()


def numbers_of(channel: str) -> SkuNumbers:
    """Returns the numbers of a channel's SKUs, the same as long as anybody has them."""
    found = _numbers.get(channel)
    if found is None:
        found = _numbers[channel] = SkuNumbers()
    return found


@final
@mypyc_attr(native_class=False)  # no native class is a dict
class Numbered(dict[str, int]):
    """Quantities by SKU that differ from what is known, for the decision that compared them. It is not changed.

    `numbers` and `before` have an entry for each, in the same order: its cell of `positions`, and what was in that. So
    neither is looked up again, which makes the table's part of a batch a tenth shorter.
    """

    __slots__ = ("before", "numbers", "positions")

    def __init__(
        self, quantities: dict[str, int], positions: PackedPositions, numbers: list[int], before: list[int]
    ) -> None:
        super().__init__(quantities)
        self.positions = positions
        self.numbers = numbers
        self.before = before


class PackedPositions:
    """Positions under the numbers of their SKUs.

    A location with few of its channel's SKUs would leave most cells empty, so a position whose number is behind the
    cells is kept in `_far`. The cells grow, and take these in, when there is a position for every CELLS_FOR_EACH cells.
    """

    __slots__ = ("_count", "_far", "_numbers", "_origins", "_quantities")

    def __init__(self, numbers: SkuNumbers) -> None:
        self._numbers = numbers
        self._quantities = array("I")
        """With the WHOLE bit."""
        self._origins = array("q")
        self._count = 0
        """Positions in cells."""
        self._far: dict[str, int] = {}

    @property
    def cells(self) -> int:
        return len(self._origins)

    def get(self, sku: str) -> int | None:
        """The packed position; None when there is none."""
        number = self._numbers.numbers.get(sku)
        if number is None:
            return None
        if number >= len(self._origins):
            return self._far.get(sku)
        origin = self._origins[number]
        return None if origin == NOWHERE else (origin + 1) << QUANTITY_BITS | self._quantities[number]

    def differing(self, words: Iterable[Word]) -> dict[str, int]:
        """The words, as SKU -> quantity, that say another quantity than is known. The last word of a SKU counts."""
        found: dict[str, int] = {}
        numbers: list[int] = []
        before: list[int] = []
        quantities, size = self._quantities, len(self._quantities)
        number_of, far = self._numbers.numbers.get, self._far.get
        for word in words:
            sku, quantity = word.channelSkuCode, word.quantity
            number = number_of(sku, size)
            known = quantities[number] if number < size else far(sku, UNKNOWN) & PLAIN_MASK
            if known != quantity:
                found[sku] = quantity
                numbers.append(number)
                before.append(known)
            elif sku in found:
                del found[sku]
        if not found or len(numbers) != len(found) or max(numbers) >= size:
            return found  # a SKU came twice, or has no cell
        return Numbered(found, self, numbers, before)

    def quantities(self, skus: Iterable[str]) -> list[int | None]:
        """The quantity of each; None where there is no position."""
        if isinstance(skus, Numbered) and skus.positions is self and max(skus.before) < WHOLE:
            return [*skus.before]
        found: list[int | None] = []
        cells, size = self._quantities, len(self._quantities)
        number_of = self._numbers.numbers.get
        for sku in skus:
            number = number_of(sku, size)
            if number < size and (quantity := cells[number]) < WHOLE:
                found.append(quantity)
            else:
                packed = self.get(sku)
                found.append(None if packed is None else packed & QUANTITY_MASK)
        return found

    def put(self, sku: str, origin: int, quantity: int) -> int:
        """Puts a position, `quantity` with its WHOLE bit. Returns what was there before, packed, or UNKNOWN."""
        number = self._numbers.add(sku)
        if number < len(self._origins):
            before = self._origins[number]
            self._origins[number] = origin
            if before == NOWHERE:
                self._quantities[number] = quantity
                self._count += 1
                return UNKNOWN
            known = (before + 1) << QUANTITY_BITS | self._quantities[number]
            self._quantities[number] = quantity
            return known
        known = self._far.get(sku, UNKNOWN)
        self._far[self._numbers.names[number]] = (origin + 1) << QUANTITY_BITS | quantity
        if known == UNKNOWN:
            self._take_far_in()
        return known

    def put_plain(self, quantities: Mapping[str, int], origin: int) -> int:
        """Puts many plain positions, made from one offset. Returns how many SKUs had none before."""
        cells, origins, size = self._quantities, self._origins, len(self._origins)
        if isinstance(quantities, Numbered) and quantities.positions is self and max(quantities.before) < WHOLE:
            for number, quantity in zip(quantities.numbers, quantities.values(), strict=True):
                origins[number] = origin
                cells[number] = quantity
            return 0
        number_of, new = self._numbers.numbers.get, 0
        for sku, quantity in quantities.items():
            number = number_of(sku, size)
            if number < size:
                if origins[number] == NOWHERE:
                    new += 1
                    self._count += 1
                origins[number] = origin
                cells[number] = quantity
            else:
                new += self.put(sku, origin, quantity) == UNKNOWN
                size = len(origins)
        return new

    def pop(self, sku: str) -> int:
        """Takes a position away. Returns it packed, or UNKNOWN."""
        number = self._numbers.numbers.get(sku)
        if number is None:
            return UNKNOWN
        if number >= len(self._origins):
            return self._far.pop(sku, UNKNOWN)
        known = self.get(sku)
        if known is None:
            return UNKNOWN
        self._origins[number], self._quantities[number] = NOWHERE, WHOLE
        self._count -= 1
        return known

    def newest_origin(self) -> int | None:
        newest = max(self._origins, default=NOWHERE)
        if self._far:
            newest = max(newest, origin_of(max(self._far.values())))
        return None if newest == NOWHERE else newest

    def items(self) -> Iterator[tuple[str, int]]:
        """SKUs and their packed positions; a SKU whose position changes during the iteration may come as it was."""
        far = list(self._far.items())
        names, origins = self._numbers.names, self._origins
        for number in range(len(origins)):
            if (origin := origins[number]) != NOWHERE:
                yield names[number], (origin + 1) << QUANTITY_BITS | self._quantities[number]
        yield from far

    def __contains__(self, sku: object) -> bool:
        return isinstance(sku, str) and self.get(sku) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([sku for sku, _ in self.items()])

    def __len__(self) -> int:
        return self._count + len(self._far)

    def _take_far_in(self) -> None:
        numbered = len(self._numbers.names)
        if CELLS_FOR_EACH * len(self) < numbered:
            return
        more = numbered + numbered // 8 + 8 - len(self._origins)
        self._quantities.extend(array("I", [WHOLE]) * more)
        self._origins.extend(array("q", [NOWHERE]) * more)
        far, self._far = self._far, {}
        for sku, packed in far.items():
            number = self._numbers.numbers[sku]
            self._origins[number], self._quantities[number] = origin_of(packed), packed & PLAIN_MASK
        self._count += len(far)
