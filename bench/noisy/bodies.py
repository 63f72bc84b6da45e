"""Orders that are as large as the limits allow, in the way that costs Sluice most."""

from __future__ import annotations

import json
from typing import Any

from bench.ingress.load import CODE
from topics.configuration.settings import BODY_BYTES_MAX
from topics.contract.sample_files import sample
from topics.schema_base import ITEMS_MAX, VALUES_MAX

LINES_TEXT_CHARS = 74
"""Length of the texts of an order with every line and member, which is then nearly as large as a body may be."""
MARGIN = 1_000
"""Bytes and values that a body may have less than the limits."""


def full_order(lines: int, text: str = "text", **changes: Any) -> dict[str, Any]:
    """Return an order of so many lines, each with every member that the contract has, and two taxes."""
    attributes = {f"attribute{number}": text for number in range(1, 11)} | {"currency": "AED", "channelMetadata": text}
    gift = {
        "giftwrapRequired": True,
        "giftMessage": text,
        "giftChargePerUnit": 1.5,
        "giftDocument": "JVBERi0=",
        "giftDocumentFormat": "pdf",
    }
    items = [
        {
            "channelSkuCode": f"SKU-{number}",
            "orderItemCode": f"ITEM-{number}",
            "quantity": 1,
            "sellingPricePerUnit": 89.25,
            "sellerDiscountPerUnit": 10.5,
            "channelDiscountPerUnit": 0.5,
            "shippingChargePerUnit": 12.5,
            "minExpiry": "2095-06-14T09:12:41.000+04:00",
            "giftOptions": gift,
            "orderItemCustomAttributes": attributes,
        }
        for number in range(lines)
    ]
    taxes = [{"type": name, "rate": 2.5, "taxPerUnit": 2.25} for name in ("CGST", "SGST")]
    forms = [
        {"channelSkuId": f"SKU-{number}", "baseSellingPricePerUnit": 85.5, "taxItemForms": taxes}
        for number in range(lines)
    ]
    base = sample("create-outward-order").body or {}
    days = {"dispatchByTime": "2095-06-16T18:00:00.000+04:00"}  # the sample's is past, so each order would be late
    whole = {"orderItems": items, "taxBreakupForms": forms, "orderCustomAttributes": attributes}
    return {**base, **days, **whole, **changes}


def lines() -> bytes:
    """Return an order of all lines, which every step of Sluice has to look at."""
    return _body(full_order(ITEMS_MAX, "x" * LINES_TEXT_CHARS, orderCode=CODE.decode()))


def texts() -> bytes:
    """Return a small order with a member that Sluice does not know: as many texts as a body may have values."""
    order = full_order(1, orderCode=CODE.decode())
    count = VALUES_MAX - MARGIN
    text = "x" * ((BODY_BYTES_MAX - MARGIN - len(_body(order))) // count - len(b'"",'))
    return _body({**order, "unknown": [text] * count})


def lists() -> bytes:
    """Return a small order with as many empty lists as fit a body: more values than a body may have."""
    order = full_order(1, orderCode=CODE.decode())
    return _body({**order, "unknown": [[]] * ((BODY_BYTES_MAX - MARGIN - len(_body(order))) // len(b"[],"))})


def _body(order: dict[str, Any]) -> bytes:
    return json.dumps(order, separators=(",", ":")).encode()
