"""Indexes of an order: counts and look-ups of its lines and shipments, so that no event walks through all of them.

An index is not stored: it is built from the lines or shipments when it is first asked for, and `Order` brings it up to
date with each change. Parts that few events need are built when the first one asks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any

from streams.order.model.parts import Line, Shipment
from streams.order.model.states import SHIPMENT_RANK, ShipmentState

_STATES = tuple(ShipmentState)
_PACKING = ShipmentState.PACKING
"""A name of its own, because the look-up of an enumeration's member is slow."""


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


class ShipmentIndex:
    """Counts of shipments, shipments by id and by code."""

    __slots__ = (
        "_holding",
        "_serial",
        "_serials",
        "_shipped",
        "at_place",
        "by_code",
        "by_id",
        "counts",
        "nameless",
        "packed_singles",
        "singles_at",
        "unknown",
    )

    def __init__(self, shipments: list[Shipment]) -> None:
        self.by_id: dict[int, Shipment] = {}
        self.by_code: dict[str, list[Shipment]] = {}
        """Packed shipments by the marketplace's code, in the order's own order."""
        self.nameless: dict[int, Shipment] = {}
        """Packed shipments without a code, by id."""
        self.counts = [0] * len(SHIPMENT_RANK)
        """Shipments by the rank of their state."""
        self.unknown = 0
        """Shipments whose items are not known."""
        self.packed_singles = 0
        """Shipments, packed and more, that are to be the only one."""
        self.at_place: dict[str, int] = {}
        """Shipments by location."""
        self.singles_at: dict[str, int] = {}
        """Shipments that are to be the only one, by location."""
        self._serials: dict[int, int] = {}
        """By id of a shipment: grows in the order's own order."""
        self._serial = 0
        self._holding: dict[str, dict[int, Shipment]] | None = None
        self._shipped: dict[str, int] | None = None
        for shipment in shipments:
            self.add(shipment)

    @property
    def shipped(self) -> dict[str, int]:
        """Units by SKU that are packed or further."""
        if self._shipped is None:
            self._shipped = {}
            for shipment in self.by_id.values():
                if shipment.state != _PACKING:
                    self._ship(self._shipped, shipment, 1)
        return self._shipped

    def holding(self, code: str) -> list[Shipment]:
        """The shipments that have units of a line, in the order's own order."""
        if self._holding is None:
            self._holding = {}
            for shipment in self.by_id.values():
                self._hold(self._holding, shipment)
        held = self._holding.get(code, {}).values()
        return sorted(held, key=lambda shipment: self._serials[shipment.id])

    def packed_by_id(self, text: str) -> Shipment | None:
        """The packed shipment whose id has this text."""
        try:
            shipment = self.by_id.get(int(text))
        except ValueError:
            return None
        if shipment is None or str(shipment.id) != text or shipment.state == _PACKING:
            return None
        return shipment

    def first(self, one: Shipment | None, other: Shipment | None) -> Shipment | None:
        """The one of two that comes first in the order's own order."""
        if one is None or other is None:
            return one or other
        return one if self._serials[one.id] <= self._serials[other.id] else other

    def add(self, shipment: Shipment) -> None:
        """A shipment was appended."""
        self.by_id[shipment.id] = shipment
        self._serial += 1
        self._serials[shipment.id] = self._serial
        self.at_place[shipment.location] = self.at_place.get(shipment.location, 0) + 1
        if shipment.single:
            self.singles_at[shipment.location] = self.singles_at.get(shipment.location, 0) + 1
        self.put(shipment)

    def remove(self, shipment: Shipment) -> None:
        self.take(shipment)
        del self.by_id[shipment.id], self._serials[shipment.id]
        for counts in (self.at_place, self.singles_at) if shipment.single else (self.at_place,):
            counts[shipment.location] -= 1
            if not counts[shipment.location]:
                del counts[shipment.location]

    def take(self, shipment: Shipment) -> None:
        """Take out what follows from a shipment's state, code and items, before they change; `put` follows."""
        self.counts[SHIPMENT_RANK[shipment.state]] -= 1
        self.unknown -= not shipment.items
        if self._holding is not None:
            for code, _, _ in shipment.items:
                self._holding[code].pop(shipment.id, None)
        if shipment.state == _PACKING:
            return
        self.packed_singles -= shipment.single
        if shipment.code is None:
            del self.nameless[shipment.id]
        else:
            same = self.by_code[shipment.code]
            same[:] = [one for one in same if one is not shipment]
            if not same:
                del self.by_code[shipment.code]
        if self._shipped is not None:
            self._ship(self._shipped, shipment, -1)

    def put(self, shipment: Shipment) -> None:
        self.counts[SHIPMENT_RANK[shipment.state]] += 1
        self.unknown += not shipment.items
        if self._holding is not None:
            self._hold(self._holding, shipment)
        if shipment.state == _PACKING:
            return
        self.packed_singles += shipment.single
        if shipment.code is None:
            self.nameless[shipment.id] = shipment
        else:
            same = self.by_code.setdefault(shipment.code, [])
            insort(same, shipment, key=lambda one: self._serials[one.id])
        if self._shipped is not None:
            self._ship(self._shipped, shipment, 1)

    @property
    def has_packing(self) -> bool:
        """Whether a Pack is out for its answer."""
        return self.counts[0] > 0

    @property
    def handed_over(self) -> int:
        return self.counts[-1]

    def furthest(self) -> ShipmentState:
        """The state of the shipment that is furthest."""
        rank = next((rank for rank in range(len(self.counts) - 1, 0, -1) if self.counts[rank]), 0)
        return _STATES[rank]

    def content(self) -> dict[str, Any]:
        """All of it, for a comparison with a recount."""
        items = {code for shipment in self.by_id.values() for code, _, _ in shipment.items}
        return {
            "ids": list(self.by_id),
            "by_code": {code: [one.id for one in same] for code, same in self.by_code.items()},
            "nameless": set(self.nameless),
            "counts": (self.counts, self.unknown, self.packed_singles),
            "places": (self.at_place, self.singles_at),
            "holding": {code: [one.id for one in self.holding(code)] for code in items},
            "shipped": {sku: units for sku, units in self.shipped.items() if units},
        }

    @staticmethod
    def _hold(holding: dict[str, dict[int, Shipment]], shipment: Shipment) -> None:
        for code, _, _ in shipment.items:
            holding.setdefault(code, {})[shipment.id] = shipment

    @staticmethod
    def _ship(shipped: dict[str, int], shipment: Shipment, by: int) -> None:
        for _, sku, units in shipment.items:
            shipped[sku] = shipped.get(sku, 0) + by * units
