"""Every touchpoint of the contract has a route, takes its sample from its caller and leaves one keyed record behind."""

from __future__ import annotations

import orjson
import pytest

from tests.fakes.gateway import BOOTSTRAP, INCREFF, FakeKafka, call_sample, channels_with, gateway, headers_for
from topics.api.routes import full_path
from topics.contract.definition import Direction, Entity, Mode, Touchpoint
from topics.contract.entities import entity_key
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.records.envelope import COMMAND
from topics.records.keys import channel_destination, destination_partition, order_key, shard_of, stock_key
from topics.schema_base import canonical

NAMES = [touchpoint.name for touchpoint in TOUCHPOINTS]
COMMANDS = [t for t in TOUCHPOINTS if t.mode is not Mode.ANSWER and t.entity is not Entity.STOCK and t.split is None]


@pytest.mark.parametrize("name", NAMES)
async def test_sample_is_answered_with_success(name: str) -> None:
    async with gateway() as at:
        status, _body, headers = await call_sample(at, name)
        assert status == 200
        stores = BY_NAME[name].mode is not Mode.ANSWER
        assert ("Sluice-Event-Id" in headers) is stores
        assert ("Sluice-Position" in headers) is stores
        # What a search does not find here is asked for elsewhere.
        asked = [record for record in at.kafka.records if record.topic == "deliveries.requests"]
        assert (at.kafka.records != asked) is stores


@pytest.mark.parametrize("touchpoint", COMMANDS, ids=lambda t: t.name)
async def test_command_carries_the_callers_members_under_its_entitys_key(touchpoint: Touchpoint) -> None:
    async with gateway() as at:
        _status, _body, headers = await call_sample(at, touchpoint.name)
        (record,) = at.kafka.records
        (envelope,) = at.kafka.envelopes()
        members = sample(touchpoint.name).members
        stored = orjson.loads(record.value)
        wanted = canonical(touchpoint.name, members)
        if touchpoint.query:
            assert {name: str(value).lower() for name, value in stored.items()} == {
                name: str(value).lower() for name, value in wanted.items()
            }
        else:
            assert stored == wanted
        assert record.topic == "orders.commands"
        assert record.key == entity_key(touchpoint, "demo", members)
        assert envelope.type == COMMAND + touchpoint.name
        assert envelope.id == headers["Sluice-Event-Id"]
        assert envelope.channel == "demo"
        assert envelope.reply_partition == at.kafka.partition
        wait_s = at.settings.relay_deadline_s if touchpoint.mode is Mode.RELAY else at.settings.verdict_timeout_s
        assert envelope.deadline_ms == envelope.time_ms + wait_s * 1_000


async def test_order_code_in_the_path_may_hold_any_character_and_becomes_a_member() -> None:
    async with gateway() as at:
        body = sample("update-order-properties").body
        response = await at.client.put(
            "/assure-magic2/orders/A%2FB%7C1", json=body, headers=headers_for(BY_NAME["update-order-properties"])
        )
        assert response.status == 200
        (record,) = at.kafka.records
        assert orjson.loads(record.value)["orderCode"] == "A/B|1"
        assert record.key == order_key("demo", "A/B|1")


async def test_misspelt_members_are_stored_in_one_spelling() -> None:
    async with gateway() as at:
        item = {"orderCode": "O1", "shipmenCode": "S1"}
        status, _body, _headers = await call_sample(at, "handover-notification", handoverItems=[item])
        assert status == 200
        stored = orjson.loads(at.kafka.records[0].value)
        assert stored["handoverItems"] == [{"orderCode": "O1", "shipmentCode": "S1"}]


async def test_label_query_may_come_in_a_body_and_the_query_string_wins() -> None:
    async with gateway() as at:
        response = await at.client.get(
            "/channels/demo/shipping-label?orderCode=O1&orderCode=O1",
            json={"orderCode": "other", "shipmentCode": "S1", "shipmentId": 7},
            headers=headers_for(BY_NAME["get-shipping-label"]),
        )
        assert response.status == 200
        assert orjson.loads(at.kafka.records[0].value) == {"orderCode": "O1", "shipmentCode": "S1", "shipmentId": 7}


@pytest.mark.parametrize(
    ("name", "location"), [("location-wise-atp-inventory", None), ("consolidated-atp-inventory", "~")]
)
async def test_stock_goes_to_the_partition_that_owns_the_channels_shard(name: str, location: str | None) -> None:
    async with gateway() as at:
        await call_sample(at, name)
        (record,) = at.kafka.records
        members = sample(name).members
        place = location + members["consolidationType"] if location else members["locationCode"]
        key = stock_key("demo", place)
        assert (record.topic, record.key) == ("inventory.updates", key)
        shard = shard_of(key, 1)
        assert record.partition == destination_partition(channel_destination("demo"), shard, at.settings.partitions)


async def test_stock_stores_what_is_valid_and_names_what_is_not() -> None:
    async with gateway() as at:
        items = [{"channelSkuCode": "good", "quantity": 0, "shelf": "kept"}, {"channelSkuCode": "bad", "quantity": -1}]
        status, body, _headers = await call_sample(at, "location-wise-atp-inventory", inventories=items)
        assert (status, body) == (200, {"successList": ["good"], "failureList": ["bad"]})
        assert orjson.loads(at.kafka.records[0].value)["inventories"] == items[:1]


async def test_stock_without_a_valid_sku_stores_nothing() -> None:
    async with gateway() as at:
        items = [{"channelSkuCode": "bad", "quantity": "many"}]
        status, body, headers = await call_sample(at, "location-wise-atp-inventory", inventories=items)
        assert (status, body) == (200, {"successList": [], "failureList": ["bad"]})
        assert not at.kafka.records
        assert "Sluice-Event-Id" not in headers


async def test_consolidated_stock_answers_with_the_items_themselves() -> None:
    async with gateway() as at:
        status, body, _headers = await call_sample(at, "consolidated-atp-inventory")
        assert status == 200
        assert body["successList"] == sample("consolidated-atp-inventory").members["inventories"]


@pytest.mark.parametrize("name", [t.name for t in TOUCHPOINTS if t.optional and t.name != "get-credential"])
async def test_touchpoint_that_is_off_is_named_in_a_404(name: str) -> None:
    async with gateway(channels=channels_with(off=[name])) as at:
        status, body, _headers = await call_sample(at, name)
        assert status == 404
        assert name in (body.get("errorMessage") or body["description"])
        assert not at.kafka.records


async def test_get_credential_is_off_without_its_configuration_and_hands_out_the_headers_with_it() -> None:
    async with gateway() as at:
        status, body, _headers = await call_sample(at, "get-credential")
        assert (status, body) == (200, {"X-Api-Key": "demo-increff"})
    async with gateway(channels=channels_with(get_credential=None)) as at:
        path = full_path(BY_NAME["get-credential"]).format(channel="demo")
        assert (await at.client.get(path, headers=BOOTSTRAP)).status == 401
        assert (await at.client.get(path, headers=INCREFF)).status == 404


async def test_search_is_answered_from_positions() -> None:
    async with gateway() as at:
        at.stock.apply(b"demo|DXB-WH-01|A", b'{"channelSkuCode":"A","quantity":3,"channelSerialNo":"s"}')
        at.stock.apply(b"demo|AUH-ST-04|A", b'{"channelSkuCode":"A","quantity":0}')
        at.stock.apply(b"demo|~ALL|A", b'{"channelSkuCode":"A","consolidatedQuantity":9}')
        at.stock.apply(b"~origin|demo|x", b"4")
        at.stock.apply(b"other|DXB-WH-01|B", b'{"channelSkuCode":"B","quantity":5}')
        _status, body, _headers = await call_sample(at, "search-inventory-marketplace", channelSkuCodes=["A", "B"])
        assert body.pop("sucessList") == body["successList"]
        assert body == {
            "successList": [
                {
                    "channelSkuCode": "A",
                    "channelSerialNo": "s",
                    "totalQuantity": 3,
                    "inventories": [
                        {"locationCode": "AUH-ST-04", "locationType": "Store", "quantity": 0},
                        {"locationCode": "DXB-WH-01", "locationType": "Warehouse", "quantity": 3},
                    ],
                }
            ],
            "failureList": ["B"],
        }
        _status, body, _headers = await call_sample(at, "search-inventory", channelSkuCodes=["A", "B"])
        assert body == {"inventories": [{"channelSkuCode": "A", "qcPassAvailableQuantity": 3}]}
        at.stock.apply(b"demo|DXB-WH-01|A", None)
        _status, body, _headers = await call_sample(at, "search-inventory", channelSkuCodes=["A"])
        assert body == {"inventories": []}


async def test_search_before_stock_is_known_is_503() -> None:
    async with gateway() as at:
        at.stock.away = "reading"
        status, body, headers = await call_sample(at, "search-inventory")
        assert (status, body["code"], headers["Retry-After"]) == (503, "UNAVAILABLE", "2")


async def test_every_route_belongs_to_a_touchpoint_of_its_side() -> None:
    for touchpoint in TOUCHPOINTS:
        to_increff = touchpoint.direction is Direction.TO_INCREFF
        assert full_path(touchpoint).startswith("/assure-magic2/" if to_increff else "/channels/{channel}/")


async def test_one_wide_line_and_one_count_for_each_request() -> None:
    async with gateway(kafka=FakeKafka()) as at:
        await call_sample(at, "create-outward-order")
    (line,) = [orjson.loads(line) for text in at.log for line in text.splitlines()]
    assert line["touchpoint"] == "create-outward-order"
    assert (line["channel"], line["status"], line["verdict"]) == ("demo", 200, "APPLIED")
    assert line["subject"] == sample("create-outward-order").members["orderCode"]
    counted = b'sluice_gateway_requests_total{channel="demo",status="200",touchpoint="create-outward-order"} 1.0'
    assert counted in at.metrics.text()
