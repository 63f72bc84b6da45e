"""Stock in (contract 12) and stock searches (contract 13, 14)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from topics.contract.leniency import judged, normalised
from topics.schema_base import SKUS_MAX, Body, Code, Count, Kind, Long, Reading, Text, Time

SEARCH_SKUS_MAX = 1_000
"""SKUs of one search: the contract names no limit, so this bounds one answer."""


StockLocationCode = Annotated[Code, Field(pattern="^[^~]")]
"""`~` begins the pseudo-locations of consolidated stock (topics.stock.positions.CONSOLIDATED)."""


class SkuOnly(Body):
    """Members that a stock item must have for its batch to be answerable: without a code it could not be listed as
    failed."""

    channelSkuCode: Code


class Position(Body):
    channelSkuCode: Code
    quantity: Count
    channelSerialNo: Text | None = None
    minExpiry: Time | None = None


class LocationWiseAtp(Body):
    locationCode: StockLocationCode
    inventories: Annotated[list[Position], Field(max_length=SKUS_MAX)]


class LocationWiseAtpAnswer(Body):
    successList: list[Code]
    failureList: list[Code]


class ConsolidatedPosition(Body):
    """`consolidatedQuantity` is the field to read."""

    channelSkuCode: Code
    consolidatedQuantity: Count
    consolidatedMinExpiry: Time | None = None
    channelSerialNo: Text | None = None
    listingId: Long | Code
    quantity: Count | None = None
    minExpiry: Time | None = None
    locationCode: Text | None = None
    consolidationType: Annotated[Literal["ALL", "STORE"], Reading(Kind.CHOICE)] | None = None


class ConsolidatedAtp(Body):
    consolidationType: Literal["ALL", "STORE"]
    inventories: Annotated[list[ConsolidatedPosition], Field(max_length=SKUS_MAX)]


class ConsolidatedAtpAnswer(Body):
    successList: list[ConsolidatedPosition]
    failureList: list[dict[str, Any]]


class StockChange(Body):
    """Quantities before and after (consolidated: `consolidatedQuantity`). `before` null: the position is new; equal:
    something else of it changed, as its expiry."""

    channelSkuCode: str
    before: Annotated[int, Field(ge=0)] | None
    after: Annotated[int, Field(ge=0)]


class StockChanged(Body):
    """Changes that one record of inventory.updates made to one channel and location."""

    channel: str
    location: str
    cause: Literal["update", "snapshot"]
    changes: Annotated[list[StockChange], Field(min_length=1)]


class SearchInventory(Body):
    locationCode: Code
    channelSkuCodes: Annotated[list[Code], Field(min_length=1, max_length=SEARCH_SKUS_MAX)]


class FoundQuantity(Body):
    channelSkuCode: Code
    qcPassAvailableQuantity: Count


class SearchInventoryAnswer(Body):
    inventories: list[FoundQuantity]


class SearchSku(Body):
    channelSkuCodes: Annotated[list[Code], Field(min_length=1, max_length=SEARCH_SKUS_MAX)]


class FoundLocation(Body):
    locationCode: Code
    locationType: Literal["Store", "Warehouse"]
    quantity: Count


class FoundSku(Body):
    channelSkuCode: Code
    channelSerialNo: Text | None = None
    totalQuantity: Count
    inventories: list[FoundLocation]


class SearchSkuAnswer(Body):
    successList: list[FoundSku]
    sucessList: list[FoundSku] | None = Field(default=None, description="The same, as the contract's sample spells it")
    failureList: list[Code]


class _LocationEnvelope(Body):
    locationCode: StockLocationCode
    inventories: Annotated[list[SkuOnly], Field(max_length=SKUS_MAX)]


class _ConsolidatedEnvelope(Body):
    consolidationType: Literal["ALL", "STORE"]
    inventories: Annotated[list[SkuOnly], Field(max_length=SKUS_MAX)]


def is_consolidated_body(members: dict[str, Any]) -> bool:
    return "consolidationType" in members


def split_valid(members: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]], list[Any]]:
    """A stock batch as it is read (topics/contract/leniency.py), its valid items, and the failures as the answer's
    `failureList` shows them.

    Location-wise (no top-level `consolidationType`): failures are SKU codes; consolidated: the items as they came.
    A SKU that comes twice counts with its last value, valid or not. Equal positions have equal bytes, however their
    quantities were printed. Raises ValidationError when the batch as a whole is unusable.
    """
    consolidated, own = is_consolidated_body(members), members
    batch: type[Body] = ConsolidatedAtp if consolidated else LocationWiseAtp
    try:
        members = judged(batch, members)
    except ValidationError:
        members = normalised(batch, members)
        (_ConsolidatedEnvelope if consolidated else _LocationEnvelope).model_validate(members)
        sound = False
    else:
        sound = consolidated or not any(_has_foreign_quantity(item) for item in members["inventories"])
    latest = list({item["channelSkuCode"]: item for item in members["inventories"]}.values())
    valid = latest if sound else [item for item in latest if _is_valid(item, consolidated)]
    failures: list[Any] = []
    if not sound:
        kept = {item["channelSkuCode"] for item in valid}
        pairs = zip(members["inventories"], own["inventories"], strict=True)
        failed = {item["channelSkuCode"]: came for item, came in pairs if item["channelSkuCode"] not in kept}
        failures = list(failed.values() if consolidated else failed)
    return members, valid, failures


def _has_foreign_quantity(item: dict[str, Any]) -> bool:
    """Whether a location-wise item has a `consolidatedQuantity`, which readers of positions go by, that is none."""
    other = item.get("consolidatedQuantity")
    return other is not None and (type(other) is not int or not 0 <= other < 2**31)


def _is_valid(item: dict[str, Any], consolidated: bool) -> bool:
    if not consolidated and _has_foreign_quantity(item):
        return False
    try:
        (ConsolidatedPosition if consolidated else Position).__pydantic_validator__.validate_python(item)
    except ValidationError:
        return False
    return True
