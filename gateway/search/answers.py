"""PURE: Search Inventory in the contract's two forms (13 and 14): what is known here, and what Increff says.

Quantities are those that the channel is offered (topics/stock/offers.py), wherever they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from gateway.ports import Stock
from topics.configuration.channels import Channel
from topics.contract.models.inventory import FoundQuantity, FoundSku
from topics.contract.touchpoints import BY_NAME
from topics.schema_base import canonical
from topics.stock.offers import Offer

BY_LOCATION = BY_NAME["search-inventory"]
EVERYWHERE = BY_NAME["search-inventory-marketplace"]

Found = dict[str, dict[str, Any]]
"""SKU -> its member of the answer's list."""
OfferAt = Callable[[str], Offer]
"""The channel's rules at a location."""


class Offers:
    """The rules of each channel and location, compiled when they are asked for first."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Offer] = {}

    def of(self, channel: Channel) -> OfferAt:
        """A location that callers make up is not kept: there is no end to them."""

        def at(location: str) -> Offer:
            return self._known.get((channel.name, location)) or Offer(channel.stock, location)

        return at

    def keep(self, channel: Channel, location: str) -> Offer:
        """Of a location that has stock."""
        name = (channel.name, location)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = Offer(channel.stock, location)
        return known


def skus_of(members: Mapping[str, Any]) -> list[str]:
    """Each once, in the order in which they were asked for."""
    return list(dict.fromkeys(members["channelSkuCodes"]))


def at_location(stock: Stock, offers: Offers, channel: Channel, members: Mapping[str, Any]) -> Found:
    """Contract 13. A SKU that was never seen at the location is not among what is found: never seen is not zero."""
    location, found = members["locationCode"], Found()
    quantities = [(sku, stock.quantity(channel.name, location, sku)) for sku in skus_of(members)]
    for sku, quantity in quantities:
        if quantity is not None:
            found[sku] = _quantity(sku, offers.keep(channel, location).quantity(sku, quantity))
    return found


def everywhere(stock: Stock, offers: Offers, channel: Channel, members: Mapping[str, Any]) -> Found:
    """Contract 14: every location of each SKU."""
    name, keep, found = channel.name, offers.keep, Found()
    for sku in skus_of(members):
        places = stock.found(name, sku)
        if places:
            offered = [
                _place(channel, location, keep(channel, location).quantity(sku, quantity))
                for location, quantity in places
            ]
            found[sku] = _sku(sku, stock.serial(name, sku), offered)
    return found


def answered(touchpoint: str, body: Any, channel: Channel, offer_at: OfferAt, members: Mapping[str, Any]) -> Found:
    """What Increff's answer to `members` says; what it left out, or said so that it cannot be read, is not there."""
    wanted, found = set(members["channelSkuCodes"]), Found()
    if not isinstance(body, dict):
        return found
    if touchpoint == BY_LOCATION.name:
        location = members["locationCode"]
        for item in _valid(FoundQuantity, body.get("inventories")):
            sku = item["channelSkuCode"]
            if sku in wanted:
                found[sku] = _quantity(sku, offer_at(location).quantity(sku, item["qcPassAvailableQuantity"]))
        return found
    for item in _valid(FoundSku, canonical(touchpoint, body).get("successList")):
        sku = item["channelSkuCode"]
        if sku in wanted:
            offered = [
                _place(channel, place["locationCode"], offer_at(place["locationCode"]).quantity(sku, place["quantity"]))
                for place in item["inventories"]
            ]
            found[sku] = _sku(sku, item.get("channelSerialNo"), offered)
    return found


def answer(touchpoint: str, members: Mapping[str, Any], found: Found) -> bytes:
    """The body, in the order in which it was asked for. What is not found is left out (13), or a failure (14). The
    contract's table and its sample spell the list differently (19.4): callers of either find theirs."""
    skus = skus_of(members)
    items = [found[sku] for sku in skus if sku in found]
    if touchpoint == BY_LOCATION.name:
        return orjson.dumps({"inventories": items})
    written = orjson.Fragment(orjson.dumps(items))
    failures = [sku for sku in skus if sku not in found]
    return orjson.dumps({"successList": written, "sucessList": written, "failureList": failures})


def _quantity(sku: str, quantity: int) -> dict[str, Any]:
    return {"channelSkuCode": sku, "qcPassAvailableQuantity": quantity}


def _place(channel: Channel, location: str, quantity: int) -> dict[str, Any]:
    return {"locationCode": location, "locationType": channel.location_type(location), "quantity": quantity}


def _sku(sku: str, serial: str | None, offered: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "channelSkuCode": sku,
        "channelSerialNo": serial,
        "totalQuantity": sum(place["quantity"] for place in offered),
        "inventories": offered,
    }


def _valid(model: type[BaseModel], items: Any) -> Iterable[dict[str, Any]]:
    for item in items if isinstance(items, list) else ():
        try:
            yield model.model_validate(item).model_dump()
        except ValidationError:
            continue  # it counts as left out
