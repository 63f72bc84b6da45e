"""`PATCH /_sandbox/stock`: changes a far side's stock by hand, without Sluice knowing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from sluice.dev.sandbox.server import json_response
from sluice.dev.sandbox.stock import Positions
from topics.schema_base import problems


class StockChange(BaseModel):
    """SKU -> quantity of one location; null removes the SKU."""

    model_config = ConfigDict(extra="forbid")
    locationCode: str  # noqa: N815 - members have the contract's spelling
    quantities: dict[str, int | None]


def stock_changes(positions: Positions) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def change(request: web.Request) -> web.Response:
        try:
            changed = StockChange.model_validate_json(await request.read())
        except ValidationError as error:
            return json_response({"error": ", ".join(problems(error))}, 400)
        for sku, quantity in changed.quantities.items():
            positions.set(changed.locationCode, sku, quantity)
        return json_response(positions.show())

    return change
