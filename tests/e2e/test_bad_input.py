"""Bad input gets the contract's error with the field named, loses nothing and stops nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.e2e.stack import INCREFF_HEADERS, MARKETPLACE_HEADERS, Answer, Stack, create_order
from topics.records import keys
from topics.records.envelope import COMMAND, Envelope

Code = Callable[[], str]


def item(code: str, number: int) -> dict[str, Any]:
    return {
        "channelSkuCode": f"S{number}",
        "orderItemCode": f"{code}-{number}",
        "quantity": 1,
        "sellingPricePerUnit": 1.0,
    }


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


BAD_ORDERS: list[tuple[str, Callable[[str], Any], str]] = [
    ("broken JSON", lambda _: b'{"orderCode": ', "JSON"),
    ("not an object", lambda _: b"[1]", "object"),
    ("a missing member", lambda c: without(create_order(c), "orderTime"), "orderTime"),
    ("a wrong type", lambda c: create_order(c, onHold="yes"), "onHold"),
    ("256 characters", lambda c: create_order(c, parentOrderCode="x" * 256), "parentOrderCode"),
    ("2,501 items", lambda c: create_order(c, orderItems=[item(c, n) for n in range(2501)]), "orderItems"),
    ("no items", lambda c: create_order(c, orderItems=[]), "orderItems"),
    ("a nested null", lambda c: create_order(c, orderItems=[{**item(c, 1), "channelSkuCode": None}]), "orderItems[0]."),
]


@pytest.mark.parametrize(("what", "make", "named"), BAD_ORDERS, ids=[what for what, _, _ in BAD_ORDERS])
async def test_a_bad_create_names_its_fault(
    stack: Stack, code: Code, what: str, make: Callable[[str], Any], named: str
) -> None:
    order = code()
    body = make(order)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await stack.as_marketplace("POST", "/orders/outward", raw=raw)
    assert answer.status == 400, (what, answer)
    assert set(answer.body) == {"code", "message", "description"}
    assert answer.body["code"] == "BAD_DATA"
    assert named in answer.body["description"]
    assert "Sluice-Event-Id" not in answer.headers


async def test_a_body_of_10_mb_is_refused(stack: Stack) -> None:
    answer = await stack.as_marketplace("POST", "/orders/outward", raw=b"x" * 10_000_000)
    assert answer.status == 413, answer
    assert "4194304" in answer.body["message"] + answer.body["description"]


@pytest.mark.parametrize("missing", MARKETPLACE_HEADERS)
async def test_a_missing_header_is_named(stack: Stack, code: Code, missing: str) -> None:
    headers = without(MARKETPLACE_HEADERS, missing)
    answer = await stack.as_marketplace("POST", "/orders/outward", create_order(code()), headers=headers)
    assert answer.status == 401, answer
    assert missing.lower() in (answer.body["message"] + answer.body["description"]).lower()


async def test_increff_gets_its_own_error_shape(stack: Stack, code: Code) -> None:
    """201 SKUs, an unknown channel or order, a wrong or missing key: `hasError` with a message that names the fault."""

    def said(answer: Answer) -> str:
        assert set(answer.body) == {"hasError", "errorMessage"}, answer
        assert answer.body["hasError"] is True
        message: str = answer.body["errorMessage"]
        return message

    stock = {"locationCode": "L", "inventories": [{"channelSkuCode": f"S{n}", "quantity": 1} for n in range(201)]}
    many = await stack.as_increff("PUT", "/inventory", stock)
    assert many.status == 400
    assert "inventories" in said(many)
    wrong = await stack.as_increff("PUT", "/inventory", stock, headers={"X-Api-Key": "wrong"})
    assert wrong.status == 401
    assert "credentials" in said(wrong)
    # Nobody learns which channels there are, nor what their headers are called.
    missing = await stack.as_increff("PUT", "/inventory", stock, headers={})
    nobody = await stack.call("PUT", f"{stack.url}/channels/nobody/inventory", body=stock, headers=INCREFF_HEADERS)
    for other in (missing, nobody):
        assert (other.status, said(other)) == (401, said(wrong))
    order = code()
    early = await stack.as_increff(
        "POST",
        "/orders/pack",
        {
            "orderCode": order,
            "locationCode": "L",
            "shipmentId": 1,
            "shipmentItems": [{"channelSkuCode": "S", "quantityToPack": 1}],
        },
    )
    assert early.status == 404
    assert order in said(early)


async def test_an_invalid_record_of_a_direct_producer_is_set_aside(stack: Stack, code: Code) -> None:
    """It lands in `commands.rejected` with the reason, its bytes untouched, while its neighbours go on."""
    bad, good = code(), code()
    bootstrap = f"127.0.0.1:{stack.kafka_port}"
    invalid = json.dumps(create_order(bad, onHold="maybe")).encode()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for order, value in ((bad, invalid), (bad, b"not json"), (good, json.dumps(create_order(good)).encode())):
            envelope = Envelope(
                id=f"direct-{order}-{len(value)}",
                type=COMMAND + "create-outward-order",
                source="/test",
                channel="demo",
                subject=order,
            )
            await producer.send_and_wait(
                "sluice.orders.commands.v1",
                value,
                key=keys.order_key("demo", order),
                partition=0,
                headers=list(envelope.headers()),
            )
    finally:
        await producer.stop()
    await stack.reaches(good, "SUBMITTED")
    rejected = await read_all(bootstrap, "sluice.commands.rejected.v1")
    reasons = {
        record.value: dict(record.headers)["sluice-rejected-reason"].decode()
        for record in rejected
        if record.key == keys.order_key("demo", bad)
    }
    assert "onHold" in reasons[invalid]
    assert "JSON" in reasons[b"not json"]
    unknown = await stack.order(bad)
    assert unknown["status"] == 404
    calls = unknown["body"]["refusedCalls"]
    assert [(call["status"], call["source"], call["count"]) for call in calls] == [(None, "/test", 1)] * 2
    assert "onHold" in calls[0]["reason"]
    assert "JSON" in calls[1]["reason"]


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        records: list[Any] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
        return records
    finally:
        await consumer.stop()
