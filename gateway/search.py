"""Search Inventory, answered from the last accepted positions, in the contract's two forms (13 and 14). Pure."""

from __future__ import annotations

from typing import Any

from gateway.ports import Stock
from topics.configuration import Channel


def at_location(stock: Stock, channel: Channel, members: dict[str, Any]) -> dict[str, Any]:
    """Contract 13. A SKU that was never seen at the location is left out: never seen is not zero."""
    location = members["locationCode"]
    found = []
    for sku in dict.fromkeys(members["channelSkuCodes"]):
        quantity = stock.quantity(channel.name, location, sku)
        if quantity is not None:
            found.append({"channelSkuCode": sku, "qcPassAvailableQuantity": quantity})
    return {"inventories": found}


def everywhere(stock: Stock, channel: Channel, members: dict[str, Any]) -> dict[str, Any]:
    """Contract 14: every location of each SKU; unknown ones in `failureList`."""
    successes: list[dict[str, Any]] = []
    failures: list[str] = []
    for sku in dict.fromkeys(members["channelSkuCodes"]):
        places = stock.locations(channel.name, sku)
        if not places:
            failures.append(sku)
            continue
        serials = (item.get("channelSerialNo") for _location, item in places)
        successes.append(
            {
                "channelSkuCode": sku,
                "channelSerialNo": next((serial for serial in serials if serial is not None), None),
                "totalQuantity": sum(item["quantity"] for _location, item in places),
                "inventories": [
                    {
                        "locationCode": location,
                        "locationType": channel.location_type(location),
                        "quantity": item["quantity"],
                    }
                    for location, item in places
                ],
            }
        )
    return {"successList": successes, "failureList": failures}
