"""The examples run as they are written, against `sluice up`, and their numbers are those of the log."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.e2e.stack import Stack, cancellation, create_order, pack
from topics.records.facts.catalogue import check
from topics.records.reading import FactReader, Found

ROOT = Path(__file__).resolve().parents[2]
TOPIC = "sluice.orders.events.v1"
EXAMPLE_S = 90.0

Code = Callable[[], str]
ShipmentId = Callable[[], int]
Facts = dict[str, list[tuple[str, dict[str, Any]]]]
"""Key -> name and content of its facts, in their order."""


async def run(name: str, *arguments: str) -> str:
    """What an example printed."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": ""}  # an example needs nothing of Sluice's
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=EXAMPLE_S, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def kafka(stack: Stack) -> str:
    return f"127.0.0.1:{stack.kafka_port}"


async def facts_of(stack: Stack) -> Facts:
    """Every fact of the log that counts, each as its schema says."""
    found: Facts = defaultdict(list)
    reader = FactReader()
    async with AIOKafkaConsumer(bootstrap_servers=kafka(stack), enable_auto_commit=False) as consumer:
        # The client asks Kafka only about topics it uses.
        consumer.assign([TopicPartition(TOPIC, 0)])
        while not (numbers := consumer.partitions_for_topic(TOPIC)):  # noqa: ASYNC110 - the client has no event for it
            await asyncio.sleep(0.1)
        places = [TopicPartition(TOPIC, number) for number in numbers]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    data = orjson.loads(record.value)
                    judged = reader.judge(place.partition, record.key, data["sequence"], record.headers)
                    if judged in (Found.STALE, Found.REPEAT):
                        continue
                    assert judged is Found.NEW, (record.key, data)
                    name = dict(record.headers)["ce_type"].decode().removeprefix("sluice.fact.")
                    check(name, data)
                    found[record.key.decode()].append((name, data))
    return found


async def test_a_producer_gets_the_verdict_of_each_command(stack: Stack, code: Code) -> None:
    order = code()
    lines = (await run("producer", "demo", kafka(stack), order)).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["create-outward-order", "APPLIED"],
        ["create-outward-order", "CONFLICT"],
        ["customer-cancellation", "APPLIED"],
        ["customer-cancellation", "REFUSED"],
        ["customer-cancellation", "REFUSED"],
    ]
    document = await stack.order(order)
    assert [line["customerCancelled"] for line in document["lines"]] == [1, 0]
    (created,) = await stack.seen("increff", "create-outward-order", order)
    assert created["body"]["orderItems"][0]["quantity"] == 2


async def a_day(stack: Stack, code: Code, shipment_id: ShipmentId) -> None:
    """Orders that go as far as each step of the funnel, with cancellations of both sides and of Sluice."""

    async def increff(method: str, path: str, body: Any) -> Any:
        answer = await stack.as_increff(method, path, body)
        assert answer.status == 200, answer
        return answer.body

    async def placed() -> str:
        order = code()
        answer = await stack.as_marketplace("POST", "/orders/outward", create_order(order, quantity=3))
        assert answer.status == 200, answer
        await stack.reaches(order, "SUBMITTED")
        return order

    async def acknowledged() -> str:
        order = await placed()
        location = {"orderCode": order, "locationCode": "DXB-WH-01"}
        await increff("PUT", "/orders/acknowledgement", {"orders": [location]})
        await stack.reaches(order, "ACKNOWLEDGED")
        return order

    async def packed(**changes: Any) -> tuple[str, str]:
        order = await acknowledged()
        answer = await increff("POST", "/orders/pack", pack(order, shipment_id(), shirts=2, jeans=1, **changes))
        return order, answer["shipmentCode"]

    async def handed_over() -> str:
        order, shipment = await packed()
        await increff("PUT", "/orders/cancel", {"orderCode": order, "locationCode": "DXB-WH-01", **shirts(order, 1)})
        handed = {"locationCode": "DXB-WH-01", "handoverItems": [{"orderCode": order, "shipmentCode": shipment}]}
        await increff("POST", "/handover", handed)
        await stack.reaches(order, "HANDED_OVER")
        return order

    def shirts(order: str, quantity: int) -> dict[str, Any]:
        return cancellation(order, quantity)

    await placed()
    await acknowledged()
    await packed(fulfillmentType="SINGLE_SHIPMENT_PARTIAL")
    delivered = await handed_over()
    await handed_over()
    properties = {"dispatchByTime": "2026-11-26T14:00:00.000Z", "startProcessingTime": "2026-11-24T14:00:00.000Z"}
    report = {**properties, "onHold": False, "orderStatus": "DELIVERED", "deliveredAt": "2026-11-27T10:00:00.000Z"}
    assert (await stack.as_marketplace("PUT", f"/orders/{delivered}", report)).status == 200
    await stack.reaches(delivered, "DELIVERED")
    cancelled = await placed()
    lines = [shirts(cancelled, 3)["orderItems"][0], cancellation(cancelled, 1, item=2)["orderItems"][0]]
    for items in ([shirts(cancelled, 1)["orderItems"][0]], lines):
        answer = await stack.as_marketplace("PUT", f"/orders/{cancelled}/cancel", {"orderItems": items})
        assert answer.status == 200, answer
    await stack.reaches(cancelled, "CANCELLED")


def day_of(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


STEPS = {
    "created": "order-created",
    "submitted": "order-submitted",
    "acknowledged": "order-acknowledged",
    "packed": "shipment-packed",
    "handed_over": "order-handed-over",
    "delivered": "order-delivered",
    "cancelled": "order-cancelled",
}


def funnel(facts: Facts) -> dict[str, dict[str, int]]:
    days: dict[str, Counter[str]] = defaultdict(Counter)
    for life in facts.values():
        first = {name: data["atMs"] for name, data in reversed(life)}
        if "order-created" in first:
            reached = [step for step, name in STEPS.items() if name in first]
            days[day_of(first["order-created"])].update(reached)
    return {day: {step: counts[step] for step in STEPS} for day, counts in days.items()}


def cancelled_units(facts: Facts) -> dict[tuple[str, str], int]:
    """Day and side -> units, from the last word on each line."""
    units: Counter[tuple[str, str]] = Counter()
    for life in facts.values():
        said: dict[str, tuple[int, int]] = {}
        for name, data in life:
            for line in data["cancelled"] if name in ("seller-cancelled", "customer-cancelled") else ():
                before = said.get(line["orderItemCode"], (0, 0))
                now = (line["customerCancelled"], line["sellerCancelled"])
                said[line["orderItemCode"]] = now
                day = day_of(data["atMs"])
                units[day, "customer"] += now[0] - before[0]
                units[day, "Sluice" if data.get("automatic") else "seller"] += now[1] - before[1]
    return {key: count for key, count in units.items() if count}


def handover_s(facts: Facts) -> dict[str, tuple[list[float], list[float]]]:
    """Location -> seconds from creation, and from the pack, of each shipment that left."""
    found: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for life in facts.values():
        packs = {data["shipmentId"]: data["atMs"] for name, data in life if name == "shipment-packed"}
        for name, data in life:
            if name == "shipment-handed-over":
                from_created, from_packed = found[data["shipmentLocationCode"]]
                from_created.append(data["sinceCreatedMs"] / 1000)
                from_packed.append((data["atMs"] - packs[data["shipmentId"]]) / 1000)
    return found


def table(directory: Path, name: str) -> list[dict[str, Any]]:
    with duckdb.connect() as db:
        found = db.read_parquet(str(directory / f"{name}.parquet"))
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


async def test_the_daily_tables_are_those_of_the_log(
    stack: Stack, code: Code, shipment_id: ShipmentId, tmp_path: Path
) -> None:
    """Every number of the three tables is computed another way from the log; reading again counts nothing twice."""
    await a_day(stack, code, shipment_id)
    before = await facts_of(stack)
    said = await run("analytics", kafka(stack), str(tmp_path / "facts.duckdb"), str(tmp_path))
    facts = await facts_of(stack)  # alarms of a slow machine may have come meanwhile
    read = int(said.partition(" new facts")[0])
    assert sum(map(len, before.values())) <= read <= sum(map(len, facts.values()))

    told = {str(row["day"]): {step: row[step] for step in STEPS} for row in table(tmp_path, "funnel")}
    assert told == funnel(facts)
    assert sum(day["delivered"] for day in told.values()) == 1
    for row in table(tmp_path, "funnel"):
        assert row["handed_over_pct"] == round(100 * row["handed_over"] / row["created"], 1)

    units: Counter[tuple[str, str]] = Counter()
    for row in table(tmp_path, "cancellations"):
        units[str(row["day"]), row["side"]] += row["units"]
    assert units == cancelled_units(facts)
    assert {side for _, side in units} == {"customer", "seller", "Sluice"}

    computed = handover_s(facts)
    times = table(tmp_path, "handover_times")
    assert {row["location"]: row["shipments"] for row in times} == {
        location: len(created) for location, (created, _) in computed.items()
    }
    for row in times:
        created, packed = computed[row["location"]]
        assert abs(row["created_p50_s"] - median(created)) <= 0.01
        assert abs(row["packed_p50_s"] - median(packed)) <= 0.01

    again = await run("analytics", kafka(stack), str(tmp_path / "facts.duckdb"))
    new = int(again.removesuffix("\n").partition(" new facts")[0])
    later = await facts_of(stack)
    assert new <= sum(map(len, later.values())) - read
    assert again.splitlines()[1:] == said.splitlines()[1:]
