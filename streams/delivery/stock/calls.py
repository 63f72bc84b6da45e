"""PURE: how positions become a call of the contract, and what its answer says of each SKU (contract 12)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from topics.contract.definition import Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.stock.positions import CONSOLIDATED, decode_positions, is_consolidated

LOCATION_WISE = BY_NAME["location-wise-atp-inventory"]
CONSOLIDATED_ATP = BY_NAME["consolidated-atp-inventory"]

_SUCCESS_LISTS = ("successList", "sucessList")
"""Both spellings are seen (contract 19.4)."""
_FAILURE_LISTS = ("failureList",)


def touchpoint_of(location: str) -> Touchpoint:
    return CONSOLIDATED_ATP if is_consolidated(location) else LOCATION_WISE


def call_body(location: str, positions: Iterable[bytes]) -> dict[str, Any]:
    """The members of the call that sends these positions of one location (or one consolidation type)."""
    inventories = decode_positions(positions)
    if is_consolidated(location):
        return {"consolidationType": location.removeprefix(CONSOLIDATED), "inventories": inventories}
    return {"locationCode": location, "inventories": inventories}


def failed_skus(body: dict[str, Any] | None, skus: Collection[str]) -> set[str]:
    """The SKUs of a call that a 2xx did not acknowledge.

    A SKU named in `failureList` failed, even when it is in both lists. Where `successList` names any SKU, one that it
    leaves out was not acknowledged. Without lists (an empty body, or both empty) all succeeded.
    """
    if body is None:
        return set()
    failed = _named(body, _FAILURE_LISTS)
    succeeded = _named(body, _SUCCESS_LISTS)
    return {sku for sku in skus if sku in failed or (succeeded and sku not in succeeded)}


def _named(body: dict[str, Any], names: tuple[str, ...]) -> set[str]:
    """The SKU codes in lists of codes (location-wise) or of objects (consolidated). Channels mix the two, and some
    print codes of digits as numbers."""
    found = set()
    for name in names:
        listed = body.get(name)
        for item in listed if isinstance(listed, list) else ():
            code = item.get("channelSkuCode") if isinstance(item, dict) else item
            if isinstance(code, (str, int)):
                found.add(str(code))
    return found
