"""Stock kept in plain look-ups: what a queue compares, and a journal over notes in a dict."""

from __future__ import annotations

from collections.abc import Callable

from streams.delivery.stock.in_doubt import InDoubtJournal, Notes, notes_by_location
from streams.delivery.stock.queue.comparison import rank_in_doubt
from streams.delivery.stock.queue.ordering import rank_of
from tests.fakes.delivery_tables import MemoryTable
from topics.stock.position_map import quantity_of

Lookup = Callable[[str], bytes | None]


class TwoTables:
    """streams.delivery.stock.queue.comparison.Comparison, over two look-ups of whole positions."""

    def __init__(self, wanted: Lookup, sent: Lookup) -> None:
        self.wanted = wanted
        self._sent = sent

    def rank(self, sku: str) -> int | None:
        wanted, sent = self.wanted(sku), self._sent(sku)
        if wanted is None or wanted == sent:
            return None
        return rank_of(quantity_of(wanted), None if sent is None else quantity_of(sent))

    def rank_in_doubt(self, sku: str) -> int | None:
        wanted = self.wanted(sku)
        return None if wanted is None else rank_in_doubt(quantity_of(wanted))


def journal_of(notes: dict[bytes, bytes], channel: str, location: str) -> InDoubtJournal:
    """As the next owner opens it from what is durable."""
    table = MemoryTable()
    table.values = notes
    return InDoubtJournal(channel, location, notes_by_location(table, 0).get((channel, location), Notes()))
