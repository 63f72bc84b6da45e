"""The warehouse on its own: each order allocated, acknowledged, picked, packed, labelled, invoiced and shipped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from sluice.dev.sandbox.increff import steps
from sluice.dev.sandbox.increff.orders import Order
from sluice.dev.sandbox.increff.records import Records
from sluice.dev.sandbox.increff.sluice_client import SluiceAnswer

log = logging.getLogger(__name__)

CALLS_AT_ONCE_MAX = 16
"""Calls of the warehouse at the same time, as if it had so many packing tables."""
RETRY_MAX_S = 15.0
"""Longest wait after a refused step; a warehouse user tries again a few times a minute."""
TRIES_MAX = 50
"""Refusals in a row, some ten minutes, after which an order waits until the marketplace changes it."""
RETURN_STEPS = 4
"""How many steps of work a parcel is on the road when it comes back."""


class WarehouseSteps(Protocol):
    """The steps of the warehouse that the autopilot uses."""

    async def step(self, order: Order, name: str) -> SluiceAnswer: ...

    async def inspect(self, code: str) -> SluiceAnswer | None: ...

    async def push_stock(self, members: dict[str, Any]) -> list[SluiceAnswer]: ...


class Autopilot:
    """Moves orders and returns on its own, each in a task."""

    def __init__(self, warehouse: WarehouseSteps, records: Records, step_delay_s: float) -> None:
        self._warehouse = warehouse
        self._records = records
        self._step_delay_s = step_delay_s
        self._tables = asyncio.Semaphore(CALLS_AT_ONCE_MAX)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.on = False

    def switch(self, *, on: bool) -> None:
        if on == self.on:
            return
        self.on = on
        if not on:
            for task in self._tasks.values():
                task.cancel()
            self._tasks = {}
            return
        for code in list(self._records.orders):
            self.work_on(code)
        for code in list(self._records.returns):
            self.expect(code)

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        self.switch(on=False)
        await asyncio.gather(*tasks, return_exceptions=True)

    def work_on(self, code: str) -> None:
        """Start a task for the order, unless it has one or needs no step."""
        order = self._records.orders.get(code)
        if self.on and order is not None and next_step(order) is not None:
            self._begin(f"order {code}", lambda: self._move(order))

    def expect(self, code: str) -> None:
        """Start a task for the return, unless it has one or no item is expected."""
        returned = self._records.returns.get(code)
        if self.on and returned is not None and returned.expected:
            self._begin(f"return {code}", lambda: self._receive(code))

    def _begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        if name in self._tasks:
            return

        async def run() -> None:
            try:
                await work()
            except Exception:
                log.exception("the warehouse gave up on %s", name)
                raise
            finally:
                if self._tasks.get(name) is asyncio.current_task():
                    del self._tasks[name]

        self._tasks[name] = asyncio.create_task(run(), name=name)

    async def _move(self, order: Order) -> None:
        tries = 0
        while tries < TRIES_MAX and (name := next_step(order)) is not None:
            await asyncio.sleep(self._wait_s(tries))
            if next_step(order) != name:
                continue  # held or cancelled meanwhile
            async with self._tables:
                answer = await self._warehouse.step(order, name)
            # A split order is packed once for each location.
            if next_step(order) != name or (name == "pack" and answer.taken):
                tries = 0
                if name == "acknowledge":
                    await self._allocate(order)
            else:
                tries += 1
                _log_refusal(f"{name} of {order.orderCode}", answer)

    async def _receive(self, code: str) -> None:
        await asyncio.sleep(self._step_delay_s * RETURN_STEPS)
        returned = self._records.returns[code]
        tries = 0
        while tries < TRIES_MAX and returned.expected:
            async with self._tables:
                answer = await self._warehouse.inspect(code)
            if answer is None or answer.taken:
                return
            tries += 1
            _log_refusal(f"acknowledgement of return {code}", answer)
            await asyncio.sleep(self._wait_s(tries))

    async def _allocate(self, order: Order) -> None:
        """Push the quantities that are left: what this order reserves can be sold to nobody else."""
        place = order.locationCode or steps.LOCATION
        known = self._records.positions.locations.get(place, {})
        changed: list[dict[str, Any]] = []
        for sku in dict.fromkeys(line.channelSkuCode for line in order.lines):
            if sku in known:
                reserved = sum(line.open for line in order.lines if line.channelSkuCode == sku)
                changed.append({**known[sku], "quantity": max(0, known[sku]["quantity"] - reserved)})
        if changed:
            async with self._tables:
                await self._warehouse.push_stock({"locationCode": place, "inventories": changed})

    def _wait_s(self, tries: int) -> float:
        return min(float(self._step_delay_s * 2**tries), max(RETRY_MAX_S, self._step_delay_s))


def next_step(order: Order) -> str | None:
    """Return the next step of an order; None when it is done, held or cancelled."""
    if order.state in {"ONHOLD", "CANCELLED"}:
        return None
    if not order.acknowledged:
        return "acknowledge"
    packed = [shipment for shipment in order.shipments if shipment.packed]
    waiting = {
        "pack": order.open > 0,
        "label": any(not shipment.labelled for shipment in packed),
        "invoice": any(not shipment.invoiced for shipment in packed),
        "manifest": any(not shipment.manifested for shipment in packed),
        "handover": any(not shipment.handedOver for shipment in packed),
    }
    return next((name for name, waits in waiting.items() if waits), None)


def _log_refusal(what: str, answer: SluiceAnswer) -> None:
    log.warning("%s: Sluice answered %s %s", what, answer.status, answer.error or answer.body)
