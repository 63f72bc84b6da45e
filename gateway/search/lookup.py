"""PURE: the results of Search Inventory in the contract's two forms (13 and 14), from positions or Increff's answer.

Quantities are those that the channel is offered (topics/stock/offers.py), wherever they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from gateway.ports import Stock
from topics.configuration.channels import Channel
from topics.contract.leniency import judged
from topics.contract.models.inventory import FoundQuantity, FoundSku
from topics.contract.touchpoints import BY_NAME
from topics.records.json_text import write
from topics.schema_base import Body, canonical
from topics.stock.offers import Offer

BY_LOCATION = BY_NAME["search-inventory"]

Found = dict[str, dict[str, Any]]
"""SKU -> its entry in the answer's list."""
OfferAt = Callable[[str], Offer]
"""The offer of a channel at a location."""


class Offers:
    """The offers of channels at locations, each compiled when it is first needed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Offer] = {}

    def lookup(self, channel: Channel) -> OfferAt:
        """For locations that Increff names. An offer at a new one is not kept: it may have no stock here."""

        def at(location: str) -> Offer:
            return self._known.get((channel.name, location)) or Offer(channel.stock, location)

        return at

    def keep(self, channel: Channel, location: str) -> Offer:
        """The offer at a location that has stock."""
        name = (channel.name, location)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = Offer(channel.stock, location)
        return known


def skus_of(members: Mapping[str, Any]) -> list[str]:
    """The SKUs of a search, each once, in the order of the search."""
    return list(dict.fromkeys(members["channelSkuCodes"]))


def at_location(stock: Stock, offers: Offers, channel: Channel, members: Mapping[str, Any]) -> Found:
    """Contract 13. A SKU that was never seen at the location is left out: never seen is not zero."""
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
        quantities = stock.found(name, sku)
        if quantities:
            offered = [
                _at(channel, location, keep(channel, location).quantity(sku, quantity))
                for location, quantity in quantities
            ]
            found[sku] = _sku(sku, stock.serial(name, sku), offered)
    return found


def in_answer(touchpoint: str, body: Any, channel: Channel, offer_at: OfferAt, members: Mapping[str, Any]) -> Found:
    """The SKUs that Increff's answer to `members` has; without entries that cannot be read."""
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
                _at(
                    channel,
                    found_at["locationCode"],
                    offer_at(found_at["locationCode"]).quantity(sku, found_at["quantity"]),
                )
                for found_at in item["inventories"]
            ]
            found[sku] = _sku(sku, item.get("channelSerialNo"), offered)
    return found


def body_of(touchpoint: str, members: Mapping[str, Any], found: Found) -> bytes:
    """The body of the answer, in the order of the search. What is not found is left out (13), or in `failureList` (14).
    The contract's table and its sample spell the list of successes differently (19.4), so it comes under both names."""
    skus = skus_of(members)
    items = [found[sku] for sku in skus if sku in found]
    if touchpoint == BY_LOCATION.name:
        return write({"inventories": items})
    written = orjson.Fragment(write(items))
    failures = [sku for sku in skus if sku not in found]
    return write({"successList": written, "sucessList": written, "failureList": failures})


def _quantity(sku: str, quantity: int) -> dict[str, Any]:
    return {"channelSkuCode": sku, "qcPassAvailableQuantity": quantity}


def _at(channel: Channel, location: str, quantity: int) -> dict[str, Any]:
    return {"locationCode": location, "locationType": channel.location_type(location), "quantity": quantity}


def _sku(sku: str, serial: str | None, offered: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "channelSkuCode": sku,
        "channelSerialNo": serial,
        "totalQuantity": sum(one["quantity"] for one in offered),
        "inventories": offered,
    }


def _valid(model: type[Body], items: Any) -> Iterable[dict[str, Any]]:
    for item in items if isinstance(items, list) else ():
        try:
            yield model.model_validate(judged(model, item)).model_dump()
        except ValidationError:
            continue  # as if Increff had left it out
