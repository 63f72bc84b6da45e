"""Index of an order's shipments, and of its waits for their handovers; see `streams.order.model.line_index`."""

from __future__ import annotations

from bisect import insort
from heapq import heapify, heappop, heappush
from typing import Any, Final

from streams.order.model.parts import Shipment
from streams.order.model.states import SHIPMENT_RANK, ShipmentState

_STATES: Final = tuple(ShipmentState)
_PACKING: Final = ShipmentState.PACKING
"""A name of its own, because the look-up of an enumeration's member is slow."""
_HAND_OVER = "hand-over "
"""Begins the key of a wait for a handover; the shipment's id follows."""


def hand_over_key(shipment_id: int) -> str:
    return f"{_HAND_OVER}{shipment_id}"


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
        "moved",
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
        self.moved: dict[int, None] = {}
        """Ids of shipments that changed, came or went since waits were brought up to date, in that order."""
        for shipment in shipments:
            self.add(shipment)
        self.moved.clear()

    @property
    def waiting(self) -> int:
        """Shipments that wait for their handover: packed, and not gone."""
        return sum(self.counts[1:-1])

    def is_waiting(self, shipment_id: int) -> bool:
        shipment = self.by_id.get(shipment_id)
        return shipment is not None and 0 < SHIPMENT_RANK[shipment.state] < len(self.counts) - 1

    def place(self, shipment_id: int) -> int:
        """A number that grows in the order's own order."""
        return self._serials.get(shipment_id, 0)

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
        self.moved[shipment.id] = None
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
        self.moved[shipment.id] = None
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


class WaitIndex:
    """Waits for handovers that were not reported as too long, by their beginning."""

    __slots__ = ("_heap",)

    def __init__(self, waits: dict[str, int], stuck: dict[str, int], shipments: ShipmentIndex) -> None:
        self._heap: list[tuple[int, int, str]] = [
            (since_ms, shipments.place(int(key.removeprefix(_HAND_OVER))), key)
            for key, since_ms in waits.items()
            if key.startswith(_HAND_OVER) and key not in stuck
        ]
        heapify(self._heap)

    def add(self, key: str, since_ms: int, place: int) -> None:
        heappush(self._heap, (since_ms, place, key))

    def earliest_ms(self, waits: dict[str, int], stuck: dict[str, int]) -> int:
        """When the longest of them began; 0 when there is none."""
        heap = self._heap
        while heap:
            since_ms, _, key = heap[0]
            if key not in stuck and waits.get(key) == since_ms:
                return since_ms
            heappop(heap)  # it ended, or was reported
        return 0

    def first(self, most: int, until_ms: int, waits: dict[str, int], stuck: dict[str, int]) -> list[str]:
        """The longest of them, begun until then, in the order's own order of shipments."""
        found: list[tuple[int, str]] = []
        while len(found) < most and 0 < self.earliest_ms(waits, stuck) <= until_ms:
            _, place, key = heappop(self._heap)
            found.append((place, key))
        return [key for _, key in sorted(found)]
