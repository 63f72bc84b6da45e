"""The built-in far side (`self`): Sluice answers a marketplace's requests itself, by rule and at once.

Nothing is kept. A code is made from the parts that name its object, so a repeat gets the same code whatever was lost in
between, and another channel, order or shipment gets another one. An invoice or a label only a marketplace can give:
these are refused in the contract's words. Consumers that need to know follow the facts on `orders.events`.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Callable
from typing import Any

from streams.delivery.ports import Answer, Call, Sender
from topics.contract.definition import Touchpoint
from topics.contract.entities import manifest_code
from topics.contract.leniency import normalised
from topics.records.json_text import write
from topics.records.keys import join

CODE_BYTES = 10
"""Bytes of a code's hash: 16 letters and digits, short enough for a barcode, and 80 bits, so that two never collide."""

Members = dict[str, Any]
Reply = tuple[int, Members]
Rule = Callable[[str, Members], Reply]


def answer(touchpoint: Touchpoint, channel: str, members: Members) -> Reply:
    """Status and body of Sluice's own answer to a request that would go to a marketplace."""
    return RULES[touchpoint.name](channel, normalised(touchpoint.request, members))


def shipment_code(channel: str, order_code: str, shipment_id: int) -> str:
    return "SLU-" + _code("shipment", channel, order_code, str(shipment_id))


def _code(*parts: str) -> str:
    return b32encode(hashlib.blake2b(join(*parts), digest_size=CODE_BYTES).digest()).decode()


def _accept(_channel: str, _members: Members) -> Reply:
    return 200, {"hasError": False, "errorMessage": None}


def _acknowledge(_channel: str, members: Members) -> Reply:
    return 200, {"successOrders": [_picked(order, "locationCode", "orderCode") for order in members["orders"]]}


def _pack(channel: str, members: Members) -> Reply:
    code = shipment_code(channel, members["orderCode"], members["shipmentId"])
    return 200, {"shipmentCode": code, "hasError": False, "errorMessage": None}


def _manifest(channel: str, members: Members) -> Reply:
    code = "SLU-MF-" + _code("manifest", channel, manifest_code(members))
    items = [_picked(item, "orderCode", "shipmentCode") for item in members["manifestItems"]]
    return 200, {"manifestCode": code, "manifestItems": items}


def _stock(_channel: str, members: Members) -> Reply:
    items = members["inventories"]
    accepted = items if "consolidationType" in members else [item["channelSkuCode"] for item in items]
    return 200, {"successList": accepted, "failureList": []}


def _nobody_makes(what: str) -> Rule:
    def refuse(channel: str, members: Members) -> Reply:
        message = f"channel {channel} gives out no {what}: shipment {members['shipmentCode']} has none"
        return 404, {"hasError": True, "errorMessage": message}

    return refuse


def _picked(item: Members, *names: str) -> Members:
    return {name: item[name] for name in names if name in item}


RULES: dict[str, Rule] = {
    "acknowledgement": _acknowledge,
    "pack-order": _pack,
    "get-invoice": _nobody_makes("invoices"),
    "get-shipping-label": _nobody_makes("shipping labels"),
    "create-manifest": _manifest,
    "handover-notification": _accept,
    "seller-cancellation": _accept,
    "location-wise-atp-inventory": _stock,
    "consolidated-atp-inventory": _stock,
    "return-order-acknowledgement": _accept,
}
"""Every touchpoint that is sent to marketplaces; a test walks them."""


class BuiltinSender(Sender):
    """Answers at once and is never away; see the module."""

    async def send(self, call: Call) -> Answer:
        try:
            status, body = answer(call.touchpoint, call.channel, call.read_members())
        except (KeyError, TypeError, ValueError) as error:
            # Requests of the orders role have all that the rules need; a marketplace would refuse others, too.
            message = f"the request does not name what it is about: {type(error).__name__} {error}"
            return Answer(status=400, body=write({"hasError": True, "errorMessage": message}))
        return Answer(status=status, body=write(body))
