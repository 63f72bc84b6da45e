"""PURE: offers: how much of a position a channel may sell, by the safety stock, shares and caps of its settings.

    offered = min(cap, max(0, floor(quantity * share) - buffer))

Of each kind of rule the first that matches location and SKU counts; without one nothing changes. The offered quantity
is sent to the channel, compared with its answers, and answered by Search Inventory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Any, TypeVar

from topics.configuration.stock import SHARE_PARTS, Rule, StockSettings
from topics.stock.positions import decode_position, encode_position

QUANTITIES = ("quantity", "consolidatedQuantity")
"""The members of a position that a channel may read as what it can sell."""

_WILD = re.compile(r"[*?[]")

R = TypeVar("R", bound=Rule)


class _Rules:
    """Rules of one kind at one location: SKU -> the number of the first that matches, or None."""

    __slots__ = ("_codes", "_end", "_patterns", "_rest")

    def __init__(self, rules: Iterable[tuple[str, int]]) -> None:
        """`rules`: pattern of SKUs and the rule's number, in the order of the settings."""
        self._codes: dict[str, tuple[int, int]] = {}
        self._patterns: list[tuple[int, re.Pattern[str], int]] = []
        self._rest: int | None = None
        self._end = 0
        """Rank behind all others: several rules may name one code."""
        for rank, (pattern, number) in enumerate(rules):
            self._end = rank + 1
            if pattern == "*":
                self._rest = number
                break  # nothing behind it is ever the first
            if _WILD.search(pattern):
                self._patterns.append((rank, re.compile(translate(pattern)), number))
            else:
                self._codes.setdefault(pattern, (rank, number))

    def __bool__(self) -> bool:
        return self._rest is not None or bool(self._codes or self._patterns)

    def find(self, sku: str) -> int | None:
        rank, number = self._codes.get(sku, (self._end, self._rest))
        for earlier, pattern, other in self._patterns:
            if earlier > rank:
                break
            if pattern.match(sku):
                return other
        return number


class Offer:
    """The rules of one location of one channel, compiled once."""

    __slots__ = ("_buffers", "_caps", "_shares", "is_identity")

    def __init__(self, settings: StockSettings, location: str) -> None:
        self._buffers = _at(location, settings.buffers, lambda rule: rule.units)
        self._shares = _at(location, settings.shares, lambda rule: rule.parts)
        self._caps = _at(location, settings.caps, lambda rule: rule.units)
        self.is_identity = not (self._buffers or self._shares or self._caps)
        """Whether every position is offered as it is."""

    def quantity(self, sku: str, quantity: int) -> int:
        """Offered of a quantity: never negative, never more than the quantity or the cap."""
        if self.is_identity:
            return quantity
        parts, buffer, cap = self._shares.find(sku), self._buffers.find(sku), self._caps.find(sku)
        offered = quantity if parts is None else quantity * parts // SHARE_PARTS
        if buffer is not None:
            offered -= buffer
        if cap is not None:
            offered = min(offered, cap)
        return max(0, offered)

    def item(self, item: dict[str, Any]) -> dict[str, Any]:
        """An item of `inventories`, as the channel is sent it."""
        if self.is_identity:
            return item
        sku = item["channelSkuCode"]
        return {**item, **{name: self.quantity(sku, int(item[name])) for name in QUANTITIES if item.get(name)}}

    def position(self, position: bytes) -> bytes:
        """The same for the value of a record on inventory.positions."""
        return position if self.is_identity else encode_position(self.item(decode_position(position)))


def _at(location: str, rules: Iterable[R], number: Callable[[R], int]) -> _Rules:
    return _Rules((rule.sku, number(rule)) for rule in rules if re.match(translate(rule.location), location))
