"""Index of an order's lines: counts and look-ups, so that no event walks through all of them.

It is not stored: it is built from the lines when it is first asked for, and `Order` brings it up to date with each
change. Parts that few events need are built when the first one asks.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from streams.order.model.parts import Line


class SkuLines:
    """Several lines of one SKU. `positions` in their order; `free`: the sum of their free units."""

    __slots__ = ("first", "free", "positions")

    def __init__(self, positions: list[int], free: int) -> None:
        self.positions = positions
        self.free = free
        self.first = 0
        """Index in `positions` before which no line has free units."""

    def skip_taken(self, lines: list[Line]) -> int:
        """Move `first` to the first line that has free units, and return it."""
        positions = self.positions
        while self.first < len(positions) and lines[positions[self.first]].free <= 0:
            self.first += 1
        return self.first

    def change(self, position: int, more: int, free: int) -> None:
        self.free += more
        if free > 0:
            self.first = min(self.first, bisect_left(self.positions, position))


class LineIndex:
    """Counts of lines, lines by code and by SKU, lines with free units."""

    __slots__ = ("_by_code", "_by_sku", "_free", "_several", "cancelled", "kept", "lines", "open")

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.open = 0
        """Lines that have open units."""
        self.kept = 0
        """Lines of which not all units are cancelled."""
        self.cancelled = 0
        """Lines that have cancelled units."""
        self._by_code: dict[str, int] | None = None
        self._by_sku: dict[str, int] | None = None
        self._several: dict[str, SkuLines] = {}
        self._free: set[int] | None = None
        for line in lines:
            self._count(line, 1)

    @property
    def by_code(self) -> dict[str, int]:
        """The place of each line."""
        if self._by_code is None:
            self._by_code = {line.code: position for position, line in enumerate(self.lines)}
        return self._by_code

    @property
    def by_sku(self) -> dict[str, int]:
        """The place of the first line of each SKU."""
        if self._by_sku is None:
            self._by_sku = {}
            for position, line in enumerate(self.lines):
                self._add_to_sku(self._by_sku, line, position)
        return self._by_sku

    @property
    def several(self) -> dict[str, SkuLines]:
        """The lines of each SKU that has more than one; in step with `by_sku`."""
        if self._by_sku is None:
            _ = self.by_sku
        return self._several

    @property
    def free(self) -> set[int]:
        """The places of lines that have free units."""
        if self._free is None:
            self._free = {position for position, line in enumerate(self.lines) if line.free > 0}
        return self._free

    def of_sku(self, sku: str) -> list[int]:
        """The places of a SKU's lines, in their order."""
        first = self.by_sku.get(sku)
        if first is None:
            return []
        several = self._several.get(sku)
        return [first] if several is None else several.positions

    def free_of(self, sku: str) -> int:
        """The free units of a SKU's lines together."""
        several = self.several.get(sku)
        return several.free if several is not None else sum(self.lines[position].free for position in self.of_sku(sku))

    def add(self, line: Line) -> None:
        """A line was appended."""
        position = len(self.lines) - 1
        self._count(line, 1)
        if self._by_code is not None:
            self._by_code[line.code] = position
        if self._by_sku is not None:
            self._add_to_sku(self._by_sku, line, position)
        if self._free is not None and line.free > 0:
            self._free.add(position)

    def rename(self, line: Line, code: str) -> int:
        """A line gets another code. Returns its place."""
        by_code = self.by_code
        position = by_code[code] = by_code.pop(line.code)
        return position

    def change(self, line: Line, ordered: int, packed: int, packing: int, customer: int, seller: int) -> int:
        """Add units to those of a line. Returns its place."""
        position = self.by_code[line.code]
        self._count(line, -1)
        line.ordered += ordered
        line.packed += packed
        line.packing += packing
        line.customer += customer
        line.seller += seller
        self._count(line, 1)
        more = ordered - packed - packing - customer - seller
        if more:
            self._note_free(line, position, more)
        return position

    def ask(self, position: int, units: int) -> None:
        """A Pack asks for units of a line; negative: it does not any more."""
        line = self.lines[position]
        line.packing += units
        self._note_free(line, position, -units)

    def pack(self, position: int, units: int) -> None:
        """Units that a Pack asked for are packed."""
        line = self.lines[position]
        before = line.ordered - line.packed - line.customer - line.seller
        line.packing -= units
        line.packed += units
        if bool(before) != (before != units):
            self.open += 1 if before != units else -1

    def cancel(self, position: int, customer: int, seller: int) -> None:
        """So many units of a line are cancelled by each side."""
        line = self.lines[position]
        before, after = line.customer + line.seller, customer + seller
        line.customer, line.seller = customer, seller
        if before == after:
            return
        left = line.ordered - line.packed
        self.cancelled += bool(after) - bool(before)
        self.kept += (after != line.ordered) - (before != line.ordered)
        self.open += (after != left) - (before != left)
        self._note_free(line, position, before - after)

    def _note_free(self, line: Line, position: int, more: int) -> None:
        if self._free is None and not self._several:
            return
        free = line.free
        if self._several:
            several = self._several.get(line.sku)
            if several is not None:
                several.change(position, more, free)
        if self._free is not None:
            if free > 0:
                self._free.add(position)
            else:
                self._free.discard(position)

    def content(self) -> dict[str, Any]:
        """All of it, for a comparison with a recount."""
        several = {
            sku: (same.positions, same.free, all(self.lines[p].free <= 0 for p in same.positions[: same.first]))
            for sku, same in self.several.items()
        }
        counts = (self.open, self.kept, self.cancelled)
        return {"counts": counts, "codes": self.by_code, "skus": self.by_sku, "several": several, "free": self.free}

    def _count(self, line: Line, by: int) -> None:
        cancelled = line.customer + line.seller
        if cancelled:
            self.cancelled += by
        if cancelled != line.ordered:
            self.kept += by
            if cancelled + line.packed != line.ordered:
                self.open += by
        elif line.packed:
            self.open += by

    def _add_to_sku(self, by_sku: dict[str, int], line: Line, position: int) -> None:
        first = by_sku.setdefault(line.sku, position)
        if first == position:
            return
        several = self._several.get(line.sku)
        if several is None:
            self._several[line.sku] = SkuLines([first, position], self.lines[first].free + line.free)
        else:
            several.positions.append(position)
            several.free += line.free
