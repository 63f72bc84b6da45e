"""Of a stock batch the good items are taken and the bad ones named, alike over HTTP, from Kafka and in a snapshot."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from streams.runtime.role import Record
from tests.fakes.gateway import headers_for
from tests.fakes.inventory import OriginTable, decide, right_partition, role
from tests.fakes.inventory_log import Worker
from tests.fakes.snapshots import Stage, stage
from topics.contract.definition import Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import COMMAND, Envelope, Headers
from topics.records.json_text import read
from topics.records.keys import split, stock_key
from topics.stock.positions import is_position
from topics.stock.snapshots import SNAPSHOT_BEGIN, SNAPSHOT_END, SNAPSHOT_HEADER, SNAPSHOT_PART

LOCATED, CONSOLIDATED = BY_NAME["location-wise-atp-inventory"], BY_NAME["consolidated-atp-inventory"]
LONG, DIGITS = "x" * 256, "9" * 300

REFUSED: dict[str, tuple[str, str]] = {
    # an item as JSON, and how it is named; Q stands for the quantity's member and what is beside it
    "no SKU": ('{"Q":1}', "inventories[1]"),
    "a SKU of null": ('{"channelSkuCode":null,"Q":1}', "inventories[1]"),
    "an empty SKU": ('{"channelSkuCode":"","Q":1}', "inventories[1]"),
    "an overlong SKU": (f'{{"channelSkuCode":"{LONG}","Q":1}}', LONG),
    "a number too long for a SKU": (f'{{"channelSkuCode":{DIGITS},"Q":1}}', DIGITS),
    "an object as SKU": ('{"channelSkuCode":{"code":"bad"},"Q":1}', "inventories[1]"),
    "a list as SKU": ('{"channelSkuCode":["bad"],"Q":1}', "inventories[1]"),
    "null": ("null", "inventories[1]"),
    "a text": ('"bad"', "inventories[1]"),
    "a number": ("4711", "inventories[1]"),
    "a list": ('["bad",1]', "inventories[1]"),
    "an empty list": ("[]", "inventories[1]"),
    "no quantity": ('{"channelSkuCode":"bad"}', "bad"),
    "a quantity of null": ('{"channelSkuCode":"bad","Q":null}', "bad"),
    "a quantity of true": ('{"channelSkuCode":"bad","Q":true}', "bad"),
    "a fraction": ('{"channelSkuCode":"bad","Q":2.5}', "bad"),
    "a word": ('{"channelSkuCode":"bad","Q":"two"}', "bad"),
    "a fraction as text": ('{"channelSkuCode":"bad","Q":"2.5"}', "bad"),
    "an empty quantity": ('{"channelSkuCode":"bad","Q":""}', "bad"),
    "a negative": ('{"channelSkuCode":"bad","Q":-1}', "bad"),
    "a negative as text": ('{"channelSkuCode":"bad","Q":"-1"}', "bad"),
    "more than an Integer": ('{"channelSkuCode":"bad","Q":2147483648}', "bad"),
    "far more": (f'{{"channelSkuCode":"bad","Q":{DIGITS}}}', "bad"),
    "a list as quantity": ('{"channelSkuCode":"bad","Q":[1]}', "bad"),
    "a number as SKU, and no quantity": ('{"channelSkuCode":4711}', "4711"),
    "a broken expiry": ('{"channelSkuCode":"bad","Q":1,"minExpiry":"soon"}', "bad"),
    "twice, at last bad": ('{"channelSkuCode":"bad","Q":1},{"channelSkuCode":"bad","Q":"two"}', "bad"),
}
TAKEN: dict[str, tuple[str, dict[str, int]]] = {
    "a number as SKU": ('{"channelSkuCode":4711,"Q":1}', {"4711": 1}),
    "more digits than a double has": ('{"channelSkuCode":9400111899223197428490,"Q":1}', {"9400111899223197428490": 1}),
    "true as SKU": ('{"channelSkuCode":true,"Q":1}', {"true": 1}),
    "2.0": ('{"channelSkuCode":"S","Q":2.0}', {"S": 2}),
    "1.0000": ('{"channelSkuCode":"S","Q":1.0000}', {"S": 1}),
    "1e0": ('{"channelSkuCode":"S","Q":1e0}', {"S": 1}),
    "a number as text": ('{"channelSkuCode":"S","Q":"2"}', {"S": 2}),
    "a number as text with spaces": ('{"channelSkuCode":"S","Q":" 2 "}', {"S": 2}),
    "twice, at last good": ('{"channelSkuCode":"S","Q":"two"},{"channelSkuCode":"S","Q":3}', {"S": 3}),
    "twice, as number and as text": ('{"channelSkuCode":7,"Q":1},{"channelSkuCode":"7","Q":3}', {"7": 3}),
    "a number as serial number": ('{"channelSkuCode":"S","Q":2,"channelSerialNo":12345}', {"S": 2}),
    "an unknown member": ('{"channelSkuCode":"S","Q":2,"shelf":{"row":[1]}}', {"S": 2}),
}
GOOD = {"A": 5, "B": 0}
TOUCHPOINTS = pytest.mark.parametrize("touchpoint", [LOCATED, CONSOLIDATED], ids=lambda one: one.name)


def _body(touchpoint: Touchpoint, item: str, more: str = "") -> bytes:
    """A batch of two good items with this one, or these, between."""
    outside = '"locationCode":"L1"' if touchpoint is LOCATED else '"consolidationType":"ALL"'
    items = f'{{"channelSkuCode":"A","Q":5}},{item},{{"channelSkuCode":"B","Q":0}}'
    quantity = '"quantity"' if touchpoint is LOCATED else '"listingId":7,"consolidatedQuantity"'
    return f'{{{outside},"inventories":[{items}]{more}}}'.replace('"Q"', quantity).encode()


def _codes(touchpoint: Touchpoint, listed: list[Any]) -> list[Any]:
    return listed if touchpoint is LOCATED else [item["channelSkuCode"] for item in listed]


async def _put(here: Stage, touchpoint: Touchpoint, body: bytes) -> dict[str, Any]:
    headers = {**headers_for(touchpoint), "Content-Type": "application/json"}
    answer = await here.gateway.client.put(f"/channels/demo{touchpoint.path}", data=body, headers=headers)
    assert answer.status == 200, await answer.text()
    told: dict[str, Any] = await answer.json()
    return told


def _headers(kind: str) -> Headers:
    envelope = Envelope(id="e1", type=kind, source="producer", channel="demo")
    return (*envelope.headers(), (SNAPSHOT_HEADER, b"s"))


def _record(touchpoint: Touchpoint, body: bytes) -> Record:
    location = "L1" if touchpoint is LOCATED else "~ALL"
    key, headers = stock_key("demo", location), _headers(COMMAND + touchpoint.name)
    return Record(right_partition(location), 0, 1_700_000_000_000, key, body, headers)


def _stock(table: Any) -> dict[str, Any]:
    found = {split(key)[2]: orjson.loads(value) for key, value in table.items() if is_position(key)}
    return {sku: item.get("consolidatedQuantity", item.get("quantity")) for sku, item in found.items()}


@TOUCHPOINTS
@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_item_is_named_and_costs_the_others_nothing(touchpoint: Touchpoint, case: str) -> None:
    item, named = REFUSED[case]
    body = _body(touchpoint, item)
    async with stage() as here:
        told = await _put(here, touchpoint, body)
        assert _codes(touchpoint, told["successList"]) == ["A", "B"]
        assert len(told["failureList"]) == 1
        if touchpoint is LOCATED:
            assert told["failureList"] == [named]
        else:
            came = read(body)["inventories"][-2]
            assert told["failureList"] == [came if isinstance(came, dict) else {"channelSkuCode": named}]
        assert here.kafka.stock() == GOOD


@TOUCHPOINTS
@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_item_of_a_record_is_set_aside_and_costs_the_others_nothing(touchpoint: Touchpoint, case: str) -> None:
    item, named = REFUSED[case]
    table, given = OriginTable(), _record(touchpoint, _body(touchpoint, item))
    *_, aside = decide(role(), table, given)
    assert _stock(table) == GOOD
    headers = dict(aside.headers)
    assert (aside.topic, aside.value) == ("commands.rejected", given.value)
    assert headers["sluice-rejected-code"] == b"bad_skus"
    reason = (headers["sluice-rejected-reason"] or b"").decode()
    assert reason.startswith(f"1 SKUs not applied, the others were: {named[:80]}: inventories[")


@TOUCHPOINTS
@pytest.mark.parametrize("case", TAKEN)
async def test_what_means_the_same_is_taken(touchpoint: Touchpoint, case: str) -> None:
    item, taken = TAKEN[case]
    body = _body(touchpoint, item)
    async with stage() as here:
        told = await _put(here, touchpoint, body)
        assert sorted(_codes(touchpoint, told["successList"])) == sorted([*GOOD, *taken])
        assert told["failureList"] == []
        assert here.kafka.stock() == {**GOOD, **taken}
    table = OriginTable()
    effects = decide(role(), table, _record(touchpoint, body))
    assert _stock(table) == {**GOOD, **taken}
    assert [effect.topic for effect in effects] == ["inventory.changes"]


@TOUCHPOINTS
@pytest.mark.parametrize("case", [*REFUSED, *TAKEN])
async def test_a_part_of_a_snapshot_is_judged_alike(touchpoint: Touchpoint, case: str) -> None:
    """An item of no SKU may be about any: then nothing becomes 0."""
    item, _ = {**REFUSED, **TAKEN}[case]
    log = Worker(random.Random(0), right_partition("L1" if touchpoint is LOCATED else "~ALL"), role)

    def write(kind: str, body: bytes) -> None:
        location = "L1" if touchpoint is LOCATED else "~ALL"
        log.write(stock_key("demo", location), body, _headers(kind))
        log.run(crash=False)

    outside = b'{"locationCode":"L1"' if touchpoint is LOCATED else b'{"consolidationType":"ALL"'
    write(COMMAND + touchpoint.name, _body(touchpoint, '{"channelSkuCode":"old","Q":9}'))
    write(SNAPSHOT_BEGIN, outside + b',"complete":true}')
    write(SNAPSHOT_PART, _body(touchpoint, item, ',"part":0'))
    write(SNAPSHOT_END, outside + b',"parts":1,"complete":true}')
    taken = TAKEN[case][1] if case in TAKEN else {}
    is_unnamed = case in REFUSED and REFUSED[case][1] in ("inventories[1]", LONG, DIGITS)
    assert _stock(log.table) == {**GOOD, **taken, "old": 9 if is_unnamed else 0}
