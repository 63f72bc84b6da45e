"""Read-back: the call that asks a channel what stock it has, Search Inventory (contract 13), and its answer."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from streams.delivery.ports import READ_BACK, AttemptResult, Caller, ResponseClass
from streams.delivery.stock.ports import KnownStock
from streams.delivery.stock.queue.comparison import PositionComparison
from streams.delivery.stock.queue.dirty_queue import DirtyQueue
from topics.configuration.stock import ReadBack
from topics.contract.answer_names import code_of, members_named, unwrapped
from topics.contract.definition import Direction, Entity, Mode, Priority, Repeat, Touchpoint
from topics.contract.leniency import judged
from topics.contract.models.inventory import FoundQuantity, SearchInventory, SearchInventoryAnswer
from topics.stock.position_map import Location


def read_back_call(settings: ReadBack) -> Touchpoint:
    """The call, as the settings of a channel describe it."""
    return Touchpoint(
        name=READ_BACK,
        title="What stock a channel has",
        section=13,
        direction=Direction.TO_MARKETPLACE,
        method="POST",
        path=settings.path,
        far_path=settings.path,
        request=SearchInventory,
        response=SearchInventoryAnswer,
        entity=Entity.NONE,
        mode=Mode.ANSWER,
        repeat=Repeat.NONE,
        priority=Priority.BACKGROUND,
    )


def quantities_in(result: AttemptResult) -> dict[str, int | None] | None:
    """The quantities of the channel by SKU; None: it did not say. A quantity that cannot be read is None: a SKU that
    would be left out counted as one that the channel does not have. An item without a code is left out; a list of such
    items alone says nothing. Some channels print codes of digits as numbers."""
    if result.kind is not ResponseClass.DELIVERED or result.body is None:
        return None
    lists = [listed for members in unwrapped(result.body) for listed in members_named(members, ("inventories",))]
    listed = next((listed for listed in lists if isinstance(listed, list)), None)
    if listed is None:
        return None
    found: dict[str, int | None] = {}
    for item in listed:
        sku = code_of(item.get("channelSkuCode")) if isinstance(item, dict) else ""
        if sku:
            found[sku] = _quantity({**item, "channelSkuCode": sku})
    return found if any(quantity is not None for quantity in found.values()) or not listed else None


def _quantity(item: dict[str, Any]) -> int | None:
    try:
        quantity: int = judged(FoundQuantity, item)["qcPassAvailableQuantity"]
    except ValidationError:
        return None
    return quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class StockReader:
    """Reads one location of one channel back. Implements streams.delivery.stock.ports.StockReading."""

    channel: str
    location: str
    settings: ReadBack
    caller: Caller
    comparison: PositionComparison
    sent: Location
    queue: DirtyQueue

    @property
    def batch(self) -> int:
        return self.settings.batch

    def acknowledged(self) -> list[str]:
        return list(self.sent.packed)

    def known(self, sku: str) -> KnownStock:
        return KnownStock(
            wanted=self.comparison.quantity(sku),
            sent=self.sent.quantity(sku),
            settled=self.queue.is_settled(sku),
            refused=self.queue.is_refused(sku),
        )

    async def ask(self, skus: Collection[str]) -> AttemptResult:
        return await self.caller.call(
            read_back_call(self.settings),
            self.channel,
            {"locationCode": self.location, "channelSkuCodes": list(skus)},
            priority=Priority.BACKGROUND,
            delivery_id=uuid.uuid4().hex,
        )
