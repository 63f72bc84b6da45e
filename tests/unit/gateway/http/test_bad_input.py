"""What a caller sends wrong is refused in its side's shape with the field named, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from tests.fakes.gateway import BOOTSTRAP, INCREFF, MARKETPLACE, FakeKafka, gateway
from topics.contract.sample_files import sample
from topics.schema_base import VALUES_MAX

LONG = "x" * 256
UNKNOWN = "[credentials are missing or not known: send "
"""All that a caller learns that is not authenticated."""


@dataclass(frozen=True)
class Bad:
    """`named` must be in the error's text. `body` bytes are sent as they are."""

    name: str
    method: str
    path: str
    body: Any
    status: int
    named: str
    code: str = "BAD_DATA"
    headers: dict[str, str] | None = None

    @property
    def to_increff(self) -> bool:
        return not self.path.startswith("/channels")


def changed(name: str, **members: Any) -> dict[str, Any]:
    return {**(sample(name).body or {}), **members}


ORDER = "/assure-magic2/orders/outward"
PACK = "/channels/demo/orders/pack"
STOCK = "/channels/demo/inventory"
ITEM = (sample("create-outward-order").body or {})["orderItems"][0]


def items(count: int) -> list[dict[str, Any]]:
    return [{**ITEM, "orderItemCode": f"I-{number}"} for number in range(count)]


def skus(count: int) -> list[dict[str, Any]]:
    return [{"channelSkuCode": f"S-{number}", "quantity": 1} for number in range(count)]


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def nested(name: str, levels: int) -> bytes:
    """A touchpoint's sample with an unknown member that nests so deep: orjson reads it, and cannot write it again."""
    raw = orjson.dumps(changed(name, unknown="@"))
    return raw.replace(b'"@"', b'{"a":' * levels + b"1" + b"}" * levels)


def crowded(name: str) -> bytes:
    """A touchpoint's sample with an unknown member of more lists than a body may have values."""
    return orjson.dumps(changed(name, unknown="@")).replace(b'"@"', b"[" + b"[]," * VALUES_MAX + b"[]]")


CASES = [
    Bad("broken JSON", "POST", ORDER, b'{"orderCode": }', 400, "line 1 column 15"),
    Bad("broken JSON", "POST", PACK, b'{"orderCode": "a"', 400, "not valid JSON"),
    Bad("empty body", "POST", ORDER, b"", 400, "body: may not be empty"),
    Bad("empty body", "POST", PACK, b"", 400, "body: may not be empty"),
    Bad("a list", "POST", ORDER, [1], 400, "body: must be a JSON object"),
    Bad("a list", "PUT", STOCK, [1], 400, "body: must be a JSON object"),
    Bad("PHP's empty object", "POST", ORDER, [], 400, "orderCode: may not be null"),
    Bad("PHP's empty object", "PUT", STOCK, [], 400, "locationCode: may not be null"),
    Bad("a byte order mark alone", "POST", ORDER, b"\xef\xbb\xbf", 400, "body: may not be empty"),
    Bad("UTF-16", "POST", ORDER, "{}".encode("utf-16"), 400, "UTF-16"),
    Bad("UTF-16 without a mark", "PUT", STOCK, "{}".encode("utf-16-le"), 400, "UTF-16"),
    Bad("not UTF-8", "POST", ORDER, b'{"orderCode": "\xff"}', 400, "not valid JSON"),
    Bad("not a number", "POST", ORDER, b'{"orderCode": NaN}', 400, "not valid JSON"),
    Bad("nesting without end", "POST", ORDER, b'{"a":' * 5_000, 400, "not valid JSON"),
    Bad("too many values", "POST", ORDER, crowded("create-outward-order"), 400, "body: may have at most 120000 values"),
    Bad("too many values", "POST", PACK, crowded("pack-order"), 400, "body: may have at most 120000 values"),
    Bad("too many values", "PUT", STOCK, crowded("location-wise-atp-inventory"), 400, "at most 120000 values"),
    Bad("missing member", "POST", ORDER, {"orderCode": "O"}, 400, "orderItems: may not be null"),
    Bad("null member", "POST", PACK, changed("pack-order", orderCode=None), 400, "orderCode: may not be null"),
    Bad(
        "wrong type", "POST", ORDER, changed("create-outward-order", onHold="yes"), 400, "onHold: must be true or false"
    ),
    Bad("wrong type", "POST", PACK, changed("pack-order", shipmentId="x"), 400, "shipmentId: must be a whole number"),
    Bad("huge number", "POST", PACK, changed("pack-order", shipmentId=2**63), 400, "shipmentId"),
    Bad(
        "wrong type inside",
        "POST",
        ORDER,
        changed("create-outward-order", orderItems=[{**ITEM, "quantity": "two"}]),
        400,
        "orderItems[0].quantity: must be a whole number",
    ),
    Bad(
        "256 characters",
        "POST",
        ORDER,
        changed("create-outward-order", orderCode=LONG),
        400,
        "orderCode: may have at most 255 characters",
    ),
    Bad(
        "256 characters",
        "POST",
        PACK,
        changed("pack-order", locationCode=LONG),
        400,
        "locationCode: may have at most 255",
    ),
    Bad(
        "256 characters in the path",
        "PUT",
        f"/assure-magic2/orders/{LONG}",
        sample("update-order-properties").body,
        400,
        "orderCode: may have at most 255 characters",
    ),
    Bad(
        "another order in the path",
        "PUT",
        "/assure-magic2/orders/A",
        changed("update-order-properties", orderCode="B"),
        400,
        "orderCode: differs from the one in the path",
    ),
    Bad(
        "2,501 items",
        "POST",
        ORDER,
        changed("create-outward-order", orderItems=items(2_501)),
        400,
        "orderItems: may have at most 2500 entries",
    ),
    Bad(
        "201 SKUs",
        "PUT",
        STOCK,
        {"locationCode": "W", "inventories": skus(201)},
        400,
        "inventories: may have at most 200",
    ),
    Bad(
        "stock that is no list",
        "PUT",
        STOCK,
        {"locationCode": "W", "inventories": {"channelSkuCode": "A", "quantity": 1}},
        400,
        "inventories: must be a list",
    ),
    Bad(
        "no consolidation",
        "PUT",
        f"{STOCK}/consolidated",
        {"inventories": []},
        400,
        "consolidationType: may not be null",
    ),
    Bad("query without code", "GET", "/channels/demo/invoice?orderCode=O", None, 400, "shipmentCode: may not be null"),
    Bad(
        "query twice",
        "GET",
        "/channels/demo/invoice?orderCode=O&orderCode=P&shipmentCode=S",
        None,
        400,
        "orderCode: given more than once",
    ),
    Bad(
        "query with a word",
        "GET",
        "/channels/demo/shipping-label?orderCode=O&shipmentCode=S&shipmentId=x",
        None,
        400,
        "shipmentId",
    ),
    *(
        Bad(f"nested {levels} deep", method, path, nested(name, levels), 400, "nest at most 64 levels")
        for levels in (64, 250, 900)
        for method, path, name in (
            ("POST", ORDER, "create-outward-order"),
            ("PUT", "/channels/demo/orders/acknowledgement", "acknowledgement"),
            ("PUT", STOCK, "location-wise-atp-inventory"),
        )
    ),
    Bad("10 MB", "POST", ORDER, b'{"a":"' + b"x" * 10_000_000, 413, "at most 4194304 bytes", "TOO_LARGE"),
    Bad("10 MB", "POST", PACK, b'{"a":"' + b"x" * 10_000_000, 413, "at most 4194304 bytes"),
    Bad("unknown channel", "POST", "/channels/nobody/orders/pack", {}, 401, UNKNOWN),
    Bad("unknown path", "POST", "/assure-magic2/nothing", {}, 404, "/assure-magic2/nothing", "PATH_UNKNOWN"),
    Bad("unknown path", "POST", "/channels/demo/nothing", {}, 404, "/channels/demo/nothing"),
    Bad("wrong method", "DELETE", ORDER, None, 405, "DELETE", "METHOD_NOT_ALLOWED"),
    Bad("wrong method", "GET", PACK, None, 405, "GET"),
    *(
        Bad(
            f"no {name}",
            "POST",
            ORDER,
            {},
            401,
            UNKNOWN,
            "UNAUTHORIZED",
            without(MARKETPLACE, name),
        )
        for name in MARKETPLACE
    ),
    *(
        Bad(
            f"wrong {name}",
            "POST",
            ORDER,
            {},
            401,
            UNKNOWN,
            "UNAUTHORIZED",
            {**MARKETPLACE, name: "é"},
        )
        for name in MARKETPLACE
    ),
    Bad("no header", "POST", PACK, {}, 401, UNKNOWN, headers={}),
    Bad("wrong header", "POST", PACK, {}, 401, UNKNOWN, headers={"X-Api-Key": "guess"}),
    Bad("no bootstrap header", "GET", "/channels/demo/credentials", None, 401, UNKNOWN, headers=INCREFF),
    Bad(
        "wrong bootstrap header",
        "GET",
        "/channels/demo/credentials",
        None,
        401,
        UNKNOWN,
        headers={"X-Bootstrap-Key": "guess"},
    ),
    Bad("bootstrap is not enough", "POST", PACK, {}, 401, UNKNOWN, headers=BOOTSTRAP),
]


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: f"{bad.name} {'in' if bad.to_increff else 'out'}")
async def test_bad_input_is_refused_with_the_field_named(bad: Bad) -> None:
    async with gateway() as at:
        headers = bad.headers if bad.headers is not None else (MARKETPLACE if bad.to_increff else INCREFF)
        data = bad.body if bad.body is None or isinstance(bad.body, bytes) else orjson.dumps(bad.body)
        response = await at.client.request(bad.method, bad.path, data=data, headers=headers)
        body = orjson.loads(await response.read())
        assert response.status == bad.status
        if bad.to_increff:
            assert set(body) == {"code", "message", "description"}
            assert body["code"] == bad.code
            assert bad.named in body["description"]
        else:
            assert set(body) == {"hasError", "errorMessage"}
            assert body["hasError"] is True
            assert bad.named in body["errorMessage"]
        assert "Sluice-Event-Id" not in response.headers
        assert not at.kafka.records


async def test_the_contracts_words_for_a_data_fault() -> None:
    async with gateway() as at:
        body = changed("create-outward-order", orderItems=[{**ITEM, "channelSkuCode": None}])
        response = await at.client.post(ORDER, json=body, headers=MARKETPLACE)
        assert await response.json() == {
            "code": "BAD_DATA",
            "message": "Input validation failed",
            "description": "[orderItems[0].channelSkuCode: may not be null]",
        }


async def test_2500_items_and_200_skus_are_taken() -> None:
    async with gateway() as at:
        body = changed("create-outward-order", orderItems=items(2_500))
        assert (await at.client.post(ORDER, json=body, headers=MARKETPLACE)).status == 200
        response = await at.client.put(STOCK, json={"locationCode": "W", "inventories": skus(200)}, headers=INCREFF)
        assert len((await response.json())["successList"]) == 200


async def test_a_body_without_length_is_refused_while_it_streams() -> None:
    """The limit is met after 64 KiB chunks; what is beyond it is never held, and what was held is let go."""
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(160):
            sent += 1
            yield b"x" * 65_536

    async with gateway(kafka=FakeKafka()) as at:
        response = await at.client.post(ORDER, data=chunks(), headers=MARKETPLACE)
        assert response.status == 413
        assert (await response.json())["code"] == "TOO_LARGE"
        assert not at.kafka.records


async def test_a_chunked_body_within_the_limit_is_taken_whole() -> None:
    raw = orjson.dumps(changed("create-outward-order", orderItems=items(300)))

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), 10_000):
            yield raw[start : start + 10_000]

    async with gateway() as at:
        response = await at.client.post(ORDER, data=chunks(), headers=MARKETPLACE)
        assert response.status == 200
        assert at.kafka.records[0].value == raw
