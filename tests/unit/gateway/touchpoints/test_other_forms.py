"""Values in another form over HTTP: what Sluice reads is the key and the subject, what it stores is what came."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from tests.fakes.gateway import call_sample, gateway, headers_for
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import parse
from topics.records.keys import manifest_key, order_key, return_key, stock_key
from topics.records.signing import SIGNATURE

SECRET = base64.b64encode(b"k" * 32).decode()

TAKEN: list[tuple[str, dict[str, Any], bytes]] = [
    ("create-outward-order", {"orderCode": 4711}, order_key("demo", "4711")),
    ("create-outward-order", {"orderCode": "4711", "onHold": "false"}, order_key("demo", "4711")),
    ("create-outward-order", {"orderCode": "4711", "isSplitRequired": "false"}, order_key("demo", "4711")),
    ("create-return-order", {"returnOrderCode": 4711}, return_key("demo", "4711")),
    ("update-returns", {"returnOrderCode": 4711, "trackingCode": 5}, return_key("demo", "4711")),
    ("pack-order", {"orderCode": 4711, "weight": "1.5", "shipmentId": "5"}, order_key("demo", "4711")),
    ("pack-order", {"orderCode": "4711", "invoice": {"panNo": 5}}, order_key("demo", "4711")),
    ("create-manifest", {"manifestId": "7"}, manifest_key("demo", "7")),
    ("create-manifest", {"manifestId": 7.0}, manifest_key("demo", "7")),
    ("seller-cancellation", {"orderCode": 4711}, order_key("demo", "4711")),
]


@pytest.mark.parametrize(("name", "changes", "key"), TAKEN)
async def test_the_key_is_of_what_is_read_and_the_value_is_what_came(
    name: str, changes: dict[str, Any], key: bytes
) -> None:
    async with gateway() as at:
        status, body, _headers = await call_sample(at, name, **changes)
        assert (status, body is None or "code" not in body) == (200, True)
        (record,) = at.kafka.records
        assert record.key == key
        assert orjson.loads(record.value) == {**sample(name).members, **changes}
        assert parse(record.headers).subject in key.decode()


async def test_only_a_body_in_which_nothing_differs_is_signed() -> None:
    """Another one is valid as it is read: the orders role reads it, too."""
    signed = []
    async with gateway(secret_key=SECRET) as at:
        for changes in ({}, {"onHold": "false"}, {"aNewMember": {"x": "1"}}):
            await call_sample(at, "create-outward-order", **changes)
            signed.append(SIGNATURE in dict(at.kafka.records[-1].headers))
        await call_sample(at, "acknowledgement", orders=[{"orderCode": 4711}, {"orderCode": "4712"}])
        signed += [SIGNATURE in dict(record.headers) for record in at.kafka.records[-2:]]
    assert signed == [True, False, True, False, False]


async def test_a_batch_is_split_by_what_is_read_and_answered_as_it_came() -> None:
    async with gateway() as at:
        orders = [{"orderCode": 4711, "note": 1.50}, {"orderCode": "4712", "locationCode": ""}]
        status, body, _headers = await call_sample(at, "acknowledgement", orders=orders)
        assert (status, body) == (200, {"successOrders": orders})
        assert [record.key for record in at.kafka.records] == [order_key("demo", "4711"), order_key("demo", "4712")]
        assert [orjson.loads(record.value)["orders"] for record in at.kafka.records] == [[orders[0]], [orders[1]]]


@pytest.mark.parametrize(("code", "status"), [(4711, 200), ("4711", 200), (4712, 400), ([4711], 400), (None, 200)])
async def test_a_code_in_body_and_path_may_differ_in_form(code: Any, status: int) -> None:
    async with gateway() as at:
        body = {**(sample("update-order-properties").body or {}), "orderCode": code}
        path = "/assure-magic2/orders/4711"
        response = await at.client.put(path, json=body, headers=headers_for(BY_NAME["update-order-properties"]))
        assert response.status == status
        assert [record.key for record in at.kafka.records] == [order_key("demo", "4711")] * (status == 200)


async def test_stock_is_kept_as_it_is_read() -> None:
    async with gateway() as at:
        items = [{"channelSkuCode": 5, "quantity": "7"}, {"channelSkuCode": "b", "quantity": 2.0, "minExpiry": ""}]
        status, body, _headers = await call_sample(
            at, "location-wise-atp-inventory", locationCode=12, inventories=items
        )
        assert (status, body) == (200, {"successList": ["5", "b"], "failureList": []})
        (record,) = at.kafka.records
        assert record.key == stock_key("demo", "12")
        kept = [{"channelSkuCode": "5", "quantity": 7}, {"channelSkuCode": "b", "quantity": 2, "minExpiry": None}]
        assert orjson.loads(record.value) == {"locationCode": "12", "inventories": kept}


async def test_a_search_may_name_skus_and_locations_by_numbers() -> None:
    async with gateway() as at:
        at.stock.apply(b"demo|12|5", b'{"channelSkuCode":"5","quantity":3}')
        status, body, _headers = await call_sample(at, "search-inventory", locationCode=12, channelSkuCodes=[5, "5"])
        assert (status, body) == (200, {"inventories": [{"channelSkuCode": "5", "qcPassAvailableQuantity": 3}]})
