"""PURE: the table of positions that remembers from when the word of each is, also after a restart."""

from __future__ import annotations

import time
from typing import Any, Protocol

from streams.positions.position_table import PositionTable, Quantities
from streams.positions.word_times import GRAIN_MS, WordTimes
from streams.runtime.tables.partition_table import Headers, PartitionState
from topics.stock.packed_positions import origin_of

SAID_AT = "sluice-said-at-ms"
"""Header of a position that was written some time after its word was said: from when the word is, epoch milliseconds.
0: it is not known. Of others the record's own time tells."""
DIGITS_MAX = 15
"""Longer numbers are no time, and must not exceed what is kept of one; anybody may have written the record."""
OFFSETS_END = 1 << 62
"""The same of offsets."""


class TimedQuantities(Quantities, Protocol):
    """The table as the inventory role sees it."""

    def note_word(self, said_ms: int) -> None:
        """Notes from when the word of the record is that is now decided; before anything is put."""

    def said_at(self, stock: str, sku: str) -> int | None:
        """From when the word of a position is, within GRAIN_MS; None: there is no position, it is not known, or the
        position is from this record or one behind it."""


class TimedPositions(PositionTable):
    __slots__ = ("_words",)

    def __init__(self, name: str, state: PartitionState) -> None:
        super().__init__(name, state)
        self._words = WordTimes()

    def note_word(self, said_ms: int) -> None:
        self._words.note(self.state.offset, said_ms)

    def said_at(self, stock: str, sku: str) -> int | None:
        packed = self.map.at(stock).packed.get(sku)
        if packed is None or (origin := origin_of(packed)) >= self.state.offset:
            return None  # in a redelivery: what came behind this record was not known when it was decided
        return self._words.at(origin)

    def made_by(self, origin: int) -> Headers:
        headers = super().made_by(origin)
        said_ms = self._words.at(origin)
        if said_ms is None or int(time.time() * 1000) - said_ms > 2 * GRAIN_MS:
            headers.append((SAID_AT, b"%d" % (said_ms or 0)))
        return headers

    def learn(self, origin: int, record: Any) -> None:
        said = next((value for name, value in record.headers if name == SAID_AT), None)
        if said is not None and said.isdigit() and len(said) <= DIGITS_MAX:
            said_ms = int(said)
        else:
            said_ms = record.timestamp - 2 * GRAIN_MS
        if 0 <= origin < OFFSETS_END:
            self._words.learn(origin, said_ms)
