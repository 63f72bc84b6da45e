"""PURE: compares what the channel of a location should have with what it last acknowledged."""

from __future__ import annotations

from typing import Protocol

from streams.delivery.stock.queue.ordering import rank_of
from topics.stock.offers import Offer
from topics.stock.packed_positions import QUANTITY_MASK, WHOLE
from topics.stock.position_map import Location, encode_plain


class Comparison(Protocol):
    """The comparison of one location of one channel."""

    def wanted(self, sku: str) -> bytes | None:
        """The position that the channel should have; None: the SKU was never seen, or is gone."""

    def rank(self, sku: str) -> int | None:
        """How urgent it is to send what differs (ordering.py); None: nothing differs. A SKU never seen is not sent; one
        never sent differs from everything, zero too."""

    def rank_in_doubt(self, sku: str) -> int | None:
        """The same where it is not known what the channel has; None: the SKU was never seen, or is gone."""


def rank_in_doubt(wanted: int) -> int:
    """The channel may have anything: the worse is assumed, stock where there is none and none where there is some."""
    return rank_of(wanted, 1 if wanted <= 0 else None)


class PositionComparison:
    """Compares positions kept as numbers (topics/stock/position_map.py), as the channel's rules offer them."""

    __slots__ = ("_as_it_is", "_offer", "_sent", "_wanted")

    def __init__(self, wanted: Location, sent: Location, offer: Offer) -> None:
        self._wanted = wanted
        self._sent = sent
        self._offer = offer
        self._as_it_is = offer.is_identity

    def wanted(self, sku: str) -> bytes | None:
        packed = self._wanted.packed.get(sku)
        if packed is None:
            return None
        if packed & WHOLE:
            return self._offer.position(self._wanted.whole[sku])
        return encode_plain(sku, self._offer.quantity(sku, packed & QUANTITY_MASK))

    def quantity(self, sku: str) -> int | None:
        """How much the channel is offered; None: nothing is known of the SKU."""
        quantity = self._wanted.quantity(sku)
        return None if quantity is None else self._offer.quantity(sku, quantity)

    def rank(self, sku: str) -> int | None:
        packed = self._wanted.packed.get(sku)
        if packed is None:
            return None
        quantity = packed & QUANTITY_MASK
        wanted = quantity if self._as_it_is else self._offer.quantity(sku, quantity)
        sent = self._sent.packed.get(sku)
        if sent is None:
            return rank_of(wanted, None)
        acknowledged = sent & QUANTITY_MASK
        if (packed | sent) & WHOLE:
            return None if self.wanted(sku) == self._sent.get(sku) else rank_of(wanted, acknowledged)
        return None if wanted == acknowledged else rank_of(wanted, acknowledged)

    def rank_in_doubt(self, sku: str) -> int | None:
        quantity = self._wanted.quantity(sku)
        return None if quantity is None else rank_in_doubt(self._offer.quantity(sku, quantity))
