"""Search Inventory: what is offered of what was accepted last, how old that may be, and Increff for what is unknown."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ports import Outgoing
from gateway.search import negative_cache, search
from gateway.search.negative_cache import ENTRY_MS, NegativeCache
from gateway.views.positions import StockIndex
from tests.fakes.gateway import NOW_MS, FakeKafka, Gateway, call_sample, channels_with, gateway
from topics.records.deliveries import decode_request
from topics.records.envelope import DELIVERY_REQUEST, Envelope
from topics.records.keys import position_key
from topics.records.verdicts import Reply, Verdict
from topics.stock.positions import encode_position

SEARCH, EVERYWHERE = "search-inventory", "search-inventory-marketplace"
CODES = st.sampled_from(["A", "B|", "%C", "ä", "7"])
CHANGES = st.tuples(
    st.sampled_from(["demo", "other"]),
    CODES,
    CODES,
    st.none() | st.tuples(st.integers(0, 2**31 - 1), st.none() | st.text(max_size=2)),
)


@given(st.lists(CHANGES, max_size=60))
def test_the_index_says_what_the_last_record_of_each_position_says(changes: list[Any]) -> None:
    index = StockIndex()
    plain: dict[tuple[str, str, str], Any] = {}
    for channel, location, sku, value in changes:
        raw = None
        if value is None:
            plain.pop((channel, location, sku), None)
        else:
            plain[channel, location, sku] = value
            raw = encode_position({"channelSkuCode": sku, "quantity": value[0], "channelSerialNo": value[1]})
        index.apply(position_key(channel, location, sku), raw)
    for channel, location, sku, _value in changes:
        assert index.quantity(channel, location, sku) == plain.get((channel, location, sku), (None, None))[0]
        known = sorted((place, value) for (of, place, name), value in plain.items() if (of, name) == (channel, sku))
        assert index.found(channel, sku) == [(place, value[0]) for place, value in known]
        serials = [value[1] for _place, value in known if value[1] is not None]
        assert index.serial(channel, sku) == (serials[0] if serials else None)


class Increff:
    """Delivery and Increff behind it: answers the questions that a gateway asks, as `body` says."""

    def __init__(self, body: Any = None, verdict: Verdict = Verdict.ANSWERED, status: int | None = 200) -> None:
        self.asked: list[dict[str, Any]] = []
        self.lanes: set[str] = set()
        self.reply = verdict, status, body

    def __call__(self, envelope: Envelope, record: Outgoing) -> Reply | None:
        assert (record.topic, envelope.type) == ("deliveries.requests", DELIVERY_REQUEST)
        request = decode_request(record.value)
        assert (request.id, request.reply, request.relay, request.withdraw) == (envelope.id, 3, True, True)
        assert request.deadline_ms == NOW_MS + 3_000
        assert request.members is not None
        self.lanes.add(request.lane)
        self.asked.append(request.members)
        verdict, status, body = self.reply
        return Reply(event=request.id, verdict=verdict, status=status, body=body)


def put(at: Gateway, location: str, sku: str, quantity: int) -> None:
    value = orjson.dumps({"channelSkuCode": sku, "quantity": quantity})
    at.stock.apply(position_key("demo", location, sku), value)


async def test_a_search_says_what_the_channel_is_offered() -> None:
    """The same rules as for what is sent: a channel that reads its stock back here must find what it was told."""
    rules = {"buffers": [{"location": "L1", "units": 2}], "caps": [{"units": 10}]}
    async with gateway(channels=channels_with(stock=rules)) as at:
        put(at, "L1", "A", 5)
        put(at, "L2", "A", 50)
        _status, body, _headers = await call_sample(at, SEARCH, locationCode="L1", channelSkuCodes=["A"])
        assert body == {"inventories": [{"channelSkuCode": "A", "qcPassAvailableQuantity": 3}]}
        _status, body, _headers = await call_sample(at, EVERYWHERE, channelSkuCodes=["A"])
        assert [place["quantity"] for place in body["successList"][0]["inventories"]] == [3, 10]
        assert body["successList"][0]["totalQuantity"] == 13


async def test_an_answer_says_how_old_it_may_be_and_is_503_beyond_the_bound() -> None:
    async with gateway(search_stale_max_s=5) as at:
        put(at, "DXB-WH-01", "A", 5)
        at.stock.age_ms = 5_000
        status, _body, headers = await call_sample(at, SEARCH, channelSkuCodes=["A"])
        assert (status, headers["Sluice-Stock-Age-Ms"]) == (200, "5000")
        at.stock.age_ms = 5_001
        status, body, headers = await call_sample(at, SEARCH, channelSkuCodes=["A"])
        assert (status, body["code"], headers["Retry-After"]) == (503, "STALE", "2")


@pytest.mark.parametrize("spelt", ["successList", "sucessList"])
async def test_increff_is_asked_once_for_all_that_is_unknown(spelt: str) -> None:
    place = {"locationCode": "L9", "locationType": "Warehouse", "quantity": 4}
    far = {"channelSkuCode": "B", "channelSerialNo": "s", "totalQuantity": 4, "inventories": [place]}
    increff = Increff({spelt: [far, {"channelSkuCode": "nonsense"}], "failureList": ["C"]})
    async with gateway(kafka=FakeKafka(decide=increff), channels=channels_with(stock={"caps": [{"units": 3}]})) as at:
        put(at, "L1", "A", 1)
        _status, body, headers = await call_sample(at, EVERYWHERE, channelSkuCodes=["C", "B", "A", "B"])
        assert increff.asked == [{"channelSkuCodes": ["C", "B"]}]
        offered = {**far, "totalQuantity": 3, "inventories": [{**place, "quantity": 3}]}
        assert body["successList"][0] == offered
        assert [found["channelSkuCode"] for found in body["successList"]] == ["B", "A"]
        assert body["failureList"] == ["C"]
        assert "Sluice-Search-Unasked" not in headers


async def test_what_increff_does_not_have_is_not_asked_again_at_once() -> None:
    """By location and SKU: that it is unknown at one says nothing of another."""
    increff = Increff({"inventories": [{"channelSkuCode": "B", "qcPassAvailableQuantity": 4}]})
    async with gateway(kafka=FakeKafka(decide=increff)) as at:
        for _ in range(2):
            _status, body, _headers = await call_sample(at, SEARCH, locationCode="L1", channelSkuCodes=["A", "B"])
            assert body == {"inventories": [{"channelSkuCode": "B", "qcPassAvailableQuantity": 4}]}
        await call_sample(at, SEARCH, locationCode="L2", channelSkuCodes=["A"])
        skus = [(body["locationCode"], body["channelSkuCodes"]) for body in increff.asked]
        assert skus == [("L1", ["A", "B"]), ("L1", ["B"]), ("L2", ["A"])]
        assert increff.lanes == {"increff|~search|3|7"}, "delivery remembers each lane for a day"
        put(at, "L1", "A", 6)
        _status, body, _headers = await call_sample(at, SEARCH, locationCode="L1", channelSkuCodes=["A"])
        assert body == {"inventories": [{"channelSkuCode": "A", "qcPassAvailableQuantity": 6}]}


@pytest.mark.parametrize(
    "increff",
    [
        Increff(verdict=Verdict.FAILED, status=None),
        Increff({"code": "BAD_DATA"}, Verdict.REFUSED, 400),
        Increff("no object"),
        lambda _envelope, _record: None,
    ],
    ids=["budget spent", "refused", "nonsense", "late"],
)
async def test_a_search_is_answered_whatever_becomes_of_the_question(increff: Any) -> None:
    """Without what was asked for, with a header that says so; and it is asked again the next time."""
    async with gateway(kafka=FakeKafka(decide=increff)) as at:
        put(at, "L1", "A", 1)
        for asked in (1, 2):
            status, body, headers = await call_sample(at, EVERYWHERE, channelSkuCodes=["A", "B", "C"])
            assert (status, body["failureList"], headers["Sluice-Search-Unasked"]) == (200, ["B", "C"], "2")
            assert len(at.kafka.records) == asked
        status, body, headers = await call_sample(at, SEARCH, locationCode="L1", channelSkuCodes=["A", "B"])
        assert body == {"inventories": [{"channelSkuCode": "A", "qcPassAvailableQuantity": 1}]}
        assert headers["Sluice-Search-Unasked"] == "1"


async def test_a_search_is_answered_while_kafka_is_away() -> None:
    kafka = FakeKafka(refuses=lambda _record: True)
    async with gateway(kafka=kafka) as at:
        put(at, "L1", "A", 1)
        status, body, headers = await call_sample(at, EVERYWHERE, channelSkuCodes=["A", "B"])
        assert (status, body["failureList"], headers["Sluice-Search-Unasked"]) == (200, ["B"], "1")
        assert not kafka.waiting


async def test_a_channel_may_do_without_increff() -> None:
    async with gateway(channels=channels_with(stock={"search_fallback": False})) as at:
        status, body, headers = await call_sample(at, EVERYWHERE, channelSkuCodes=["A"])
        assert (status, body["failureList"], at.kafka.records) == (200, ["A"], [])
        assert "Sluice-Search-Unasked" not in headers


async def test_questions_in_the_air_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "ASKED_AT_ONCE", 1)
    meanwhile: list[asyncio.Future[Any]] = []

    class Waiting(FakeKafka):
        async def produce(self, record: Outgoing) -> Any:
            stored = await super().produce(record)
            if not meanwhile:  # another search comes while this call is in flight
                meanwhile.append(asyncio.ensure_future(call_sample(at, EVERYWHERE, channelSkuCodes=["B"])))
                await meanwhile[0]
            return stored

    async with gateway(kafka=Waiting(decide=Increff({"successList": []}))) as at:
        await call_sample(at, EVERYWHERE, channelSkuCodes=["A"])
        _status, _body, headers = meanwhile[0].result()
        assert headers["Sluice-Search-Unasked"] == "1"
        assert len(at.kafka.records) == 1


def test_what_is_absent_is_remembered_for_a_while_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negative_cache, "ENTRIES_MAX", 3)
    known = NegativeCache()
    known.add([("c", "", "A")], 0)
    assert known.has(("c", "", "A"), ENTRY_MS - 1)
    assert not known.has(("c", "", "A"), ENTRY_MS)
    known.add([("c", "", str(number)) for number in range(5)], 1)
    assert len(known) == 3
    assert known.has(("c", "", "4"), 2)
    known.add([], ENTRY_MS + 1)
    assert len(known) == 0
