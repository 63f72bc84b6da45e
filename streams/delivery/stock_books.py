"""What a stock location compares: what its channel is to have, and what it last acknowledged. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streams.delivery.stock_calls import quantity_of
from streams.delivery.stock_order import rank_of
from topics.offers import Offer
from topics.position_map import QUANTITY_MASK, WHOLE, Location, encode_plain


class Books(Protocol):
    """Of one location of one channel."""

    def wanted(self, sku: str) -> bytes | None:
        """The position that the channel is to have; None: the SKU was never seen, or is no more."""

    def differs(self, sku: str) -> bool:
        """Never seen is nothing to send; never sent differs from everything, zero too."""

    def rank(self, sku: str, *, unsure: bool) -> int | None:
        """How urgent it is (streams/delivery/stock_order.py); `unsure`: it is not known what the channel has. None when
        there is nothing to tell."""


Lookup = Callable[[str], bytes | None]


class TwoTables:
    """Books over two look-ups of whole positions."""

    __slots__ = ("_sent", "wanted")

    def __init__(self, wanted: Lookup, sent: Lookup) -> None:
        self.wanted = wanted
        self._sent = sent

    def differs(self, sku: str) -> bool:
        wanted = self.wanted(sku)
        return wanted is not None and wanted != self._sent(sku)

    def rank(self, sku: str, *, unsure: bool) -> int | None:
        wanted = self.wanted(sku)
        if wanted is None:
            return None
        sent = self._sent(sku)
        return rank_with_doubt(quantity_of(wanted), None if sent is None else quantity_of(sent), unsure=unsure)


def rank_with_doubt(wanted: int, sent: int | None, *, unsure: bool) -> int:
    """Who may have been told anything is taken for sellable where it is not, and for unsellable where it is."""
    if unsure:
        sent = 1 if wanted <= 0 else None
    return rank_of(wanted, sent)


class CompactBooks:
    """Books over positions that are kept as numbers (topics/position_map.py), and what the rules offer of them."""

    __slots__ = ("_offer", "_sent", "_wanted")

    def __init__(self, wanted: Location, sent: Location, offer: Offer) -> None:
        self._wanted = wanted
        self._sent = sent
        self._offer = offer

    def wanted(self, sku: str) -> bytes | None:
        packed = self._wanted.packed.get(sku)
        if packed is None:
            return None
        if packed & WHOLE:
            return self._offer.position(self._wanted.whole[sku])
        return encode_plain(sku, self._offer.quantity(sku, packed & QUANTITY_MASK))

    def differs(self, sku: str) -> bool:
        packed = self._wanted.packed.get(sku)
        if packed is None:
            return False
        sent = self._sent.packed.get(sku)
        if sent is None:
            return True
        if (packed | sent) & WHOLE:
            return self.wanted(sku) != self._sent.get(sku)
        return self._offer.quantity(sku, packed & QUANTITY_MASK) != sent & QUANTITY_MASK

    def rank(self, sku: str, *, unsure: bool) -> int | None:
        wanted = self._wanted.quantity(sku)
        if wanted is None:
            return None
        return rank_with_doubt(self._offer.quantity(sku, wanted), self._sent.quantity(sku), unsure=unsure)
