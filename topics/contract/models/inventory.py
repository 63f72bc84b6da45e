"""Stock in (contract 12) and stock searches (contract 13, 14)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from topics.contract.leniency import judged, normalised
from topics.schema_base import CODE_MAX, SKUS_MAX, Body, Code, Count, Kind, Long, Reading, Text, Time

SEARCH_SKUS_MAX = 1_000
"""SKUs of one search: the contract names no limit, so this bounds one answer."""


StockLocationCode = Annotated[Code, Field(pattern="^[^~]")]
"""`~` begins the pseudo-locations of consolidated stock (topics.stock.positions.CONSOLIDATED)."""


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
    """Members that a batch must have, whatever its items are."""

    locationCode: StockLocationCode
    inventories: Annotated[list[Any], Field(max_length=SKUS_MAX)]


class _ConsolidatedEnvelope(Body):
    consolidationType: Literal["ALL", "STORE"]
    inventories: Annotated[list[Any], Field(max_length=SKUS_MAX)]


class SplitBatch(NamedTuple):
    """A stock batch as it is read (topics/contract/leniency.py), item by item."""

    members: dict[str, Any]
    valid: list[dict[str, Any]]
    failures: list[Any]
    """The failures as the answer's `failureList` names them."""
    names: list[str]
    """The same failures by code, or by place where the code is none."""
    refused: list[str]
    """SKUs that the batch names without a usable value."""


def is_consolidated_body(members: dict[str, Any]) -> bool:
    """Whether a batch is of the consolidated form. Serialisers that print every member print null for none."""
    return members.get("consolidationType") is not None


def split_valid(members: dict[str, Any]) -> SplitBatch:
    """Judges a stock batch item by item.

    Location-wise (no top-level `consolidationType`), `failureList` has codes; consolidated, the items as they came. An
    item without a code is named by its place. A SKU that comes twice counts with its last value, valid or not. Equal
    positions have equal bytes, however their quantities were printed. Raises ValidationError when the batch as a whole
    is unusable.
    """
    consolidated, own = is_consolidated_body(members), members
    batch: type[Body] = ConsolidatedAtp if consolidated else LocationWiseAtp
    try:
        members = judged(batch, members)
    except ValidationError:
        members = normalised(batch, members)
        (_ConsolidatedEnvelope if consolidated else _LocationEnvelope).model_validate(members)
    else:
        if consolidated or not any(_has_foreign_quantity(item) for item in members["inventories"]):
            return SplitBatch(members, list(_latest(members["inventories"]).values()), [], [], [])
    items, came = members["inventories"], own["inventories"]
    places: dict[str, int] = {}
    unnamed: list[int] = []
    for place, item in enumerate(items):
        if _has_code(item):
            places[item["channelSkuCode"]] = place
        else:
            unnamed.append(place)
    failed = {place: None for place in places.values() if not _is_valid(items[place], consolidated)}
    names = {place: _name(place, items[place]) for place in sorted((*failed, *unnamed))}
    return SplitBatch(
        members,
        [items[place] for place in places.values() if place not in failed],
        [_came(came[place], name) for place, name in names.items()] if consolidated else list(names.values()),
        list(names.values()),
        [items[place]["channelSkuCode"] for place in failed],
    )


def _latest(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["channelSkuCode"]: item for item in items}


def _has_code(item: Any) -> bool:
    code = item.get("channelSkuCode") if isinstance(item, dict) else None
    return isinstance(code, str) and 0 < len(code) <= CODE_MAX


def _name(place: int, item: Any) -> str:
    """The name of a failed item: its code, too long or not; else its place."""
    code = item.get("channelSkuCode") if isinstance(item, dict) else None
    return code if isinstance(code, str) and code else f"inventories[{place}]"


def _came(item: Any, name: str) -> dict[str, Any]:
    """A failed item as consolidated answers have it: as it came, if it is an object at all."""
    return item if isinstance(item, dict) else {"channelSkuCode": name}


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
