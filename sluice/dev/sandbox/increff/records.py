"""Increff's orders, returns, positions and numbers. Every change goes to the journal, so that a restart keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sluice.dev.sandbox.increff.orders import Order, Return
from sluice.dev.sandbox.journal import Journal, JournalEntry
from sluice.dev.sandbox.server import ORDERS_MAX, forget_oldest
from sluice.dev.sandbox.stock import Positions

_FIRST_SHIPMENT = 4_810_000
_FIRST_MANIFEST = 90_000


class Records:
    """The state of Increff, on which its touchpoints and its warehouse work."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._numbers = {"shipment": _FIRST_SHIPMENT, "manifest": _FIRST_MANIFEST}
        self.orders: dict[str, Order] = {}
        self.returns: dict[str, Return] = {}
        self.positions = Positions(journal)

    def add(self, order: Order) -> None:
        self.orders[order.orderCode] = order
        for oldest in forget_oldest(self.orders, ORDERS_MAX):
            self._journal.put("order", oldest, None)
        self.keep(order)

    def add_return(self, returned: Return) -> None:
        self.returns[returned.returnOrderCode] = returned
        for oldest in forget_oldest(self.returns, ORDERS_MAX):
            self._journal.put("return", oldest, None)
        self.keep_return(returned)

    def keep(self, order: Order) -> None:
        """Keep a changed order; one that Increff does not know, or has forgotten, stays unknown."""
        if order.orderCode in self.orders:
            self._journal.put("order", order.orderCode, order.model_dump())

    def keep_return(self, returned: Return) -> None:
        self._journal.put("return", returned.returnOrderCode, returned.model_dump())

    def new_number(self, name: str) -> int:
        """Return the next number of a shipment or a manifest."""
        self._numbers[name] += 1
        self._journal.put("number", name, self._numbers[name])
        return self._numbers[name]

    def live(self) -> Iterator[JournalEntry]:
        for code, order in self.orders.items():
            yield "order", code, order.model_dump()
        for code, returned in self.returns.items():
            yield "return", code, returned.model_dump()
        for name, number in self._numbers.items():
            yield "number", name, number
        yield from self.positions.live()

    def restore(self, kind: str, key: str, value: Any) -> None:
        if kind == "order":
            self.orders[key] = Order.model_validate(value)
        elif kind == "return":
            self.returns[key] = Return.model_validate(value)
        elif kind == "number":
            self._numbers[key] = value
        else:
            self.positions.restore(kind, key, value)
