"""docs/values.md over HTTP and over Kafka, against the running roles: each value of each kind is taken or refused as
the page says, and what is taken leaves as it came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from tests.e2e.stack import Stack, create_order
from tests.e2e.test_bad_input import read_all
from topics.documents.values_page import TIMES, VALUES, answer
from topics.records import keys
from topics.records.envelope import COMMAND, Envelope
from topics.schema_base import Kind

Code = Callable[[], str]
MARK = "the value goes here"
AT_ONCE = 8
"""Calls at a time: a gateway takes more, and this test is not about that."""
CREATE = "create-outward-order"


def _item(order: dict[str, Any], name: str) -> None:
    order["orderItems"][1][name] = MARK


def _member(order: dict[str, Any], name: str) -> None:
    order[name] = MARK


PLACES: dict[tuple[Kind, bool], tuple[Callable[[dict[str, Any], str], None], str]] = {
    (Kind.FLAG, False): (_member, "onHold"),
    (Kind.COUNT, False): (_item, "quantity"),
    (Kind.AMOUNT, False): (_item, "sellingPricePerUnit"),
    (Kind.CODE, False): (_item, "channelSkuCode"),
    (Kind.TIME, False): (_member, "orderTime"),
    (Kind.CHOICE, False): (_member, "paymentMethod"),
    (Kind.FLAG, True): (_member, "gift"),
    (Kind.AMOUNT, True): (_item, "channelDiscountPerUnit"),
    (Kind.TEXT, True): (_member, "parentOrderCode"),
    (Kind.TIME, True): (_item, "minExpiry"),
}
"""A member of a Create for each kind, required and optional."""


OWN = (
    *(("onHold", '"false"'), ("onHold", "0"), ("quantity", "2.0"), ("quantity", '" 2 "'), ("quantity", "1e0")),
    *(("sellingPricePerUnit", '"499.0000"'), ("channelDiscountPerUnit", '""'), ("parentOrderCode", "false")),
    *(("channelSkuCode", "4711"), ("minExpiry", '"2020-10-16T20:22:28.000+05:30[Asia/Kolkata]"')),
)
"""Values that are looked for at Increff. It takes 200 calls a minute, so not all can be."""


class Case(NamedTuple):
    name: str
    place: tuple[Kind, bool]
    text: str
    taken: bool

    def body(self, code: str) -> bytes:
        order = create_order(code)
        put, member = PLACES[self.place]
        put(order, member)
        return json.dumps(order).replace(json.dumps(MARK), self.text).encode()


def cases() -> list[Case]:
    found = []
    for (kind, optional), (_, member) in PLACES.items():
        for text in TIMES if kind is Kind.TIME else VALUES:
            read = answer(kind, text, optional=optional)
            if optional and read == answer(kind, text) and (member, text) not in OWN:
                continue
            taken = not read.fault
            if member == "quantity":
                taken = taken and text not in ("0", '"0"')  # nobody orders none
            found.append(Case(f"{member}: {text}", (kind, optional), text, taken))
    return found


async def test_each_value_is_taken_or_refused_as_the_page_says(stack: Stack, code: Code) -> None:
    every = cases()
    shown = [case for case in every if (PLACES[case.place][1], case.text) in OWN]
    assert {(PLACES[case.place][1], case.text) for case in shown} == set(OWN)
    ordered = [*shown, *(case for case in every if case not in shown)]
    over_http = {code(): case for case in ordered}
    over_kafka = {code(): case for case in ordered}
    room = asyncio.Semaphore(AT_ONCE)

    async def post(order: str, case: Case) -> tuple[int, str]:
        async with room:
            told = await stack.as_marketplace("POST", "/orders/outward", raw=case.body(order))
        return told.status, "" if told.status == 200 else told.body["code"]

    told = await asyncio.gather(*(post(order, case) for order, case in over_http.items()))
    wrong = [
        (case.name, got)
        for case, got in zip(over_http.values(), told, strict=True)
        if got != ((200, "") if case.taken else (400, "BAD_DATA"))
    ]
    assert wrong == []
    await _produce(stack, over_kafka)
    taken, refused = await _decided(stack, over_kafka)
    assert {case.name for order, case in over_kafka.items() if (order in taken) is not case.taken} == set()
    assert {case.name for order, case in over_kafka.items() if (order in refused) is case.taken} == set()
    for orders in (over_http, over_kafka):
        for order, case in list(orders.items())[: len(shown)]:
            await _leaves_as_it_came(stack, order, case)


async def _produce(stack: Stack, orders: dict[str, Case]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{stack.kafka_port}")
    await producer.start()
    try:
        for order, case in orders.items():
            envelope = Envelope(id=f"direct-{order}", type=COMMAND + CREATE, source="/test", channel="demo")
            await producer.send(
                "sluice.orders.commands.v1",
                case.body(order),
                key=keys.order_key("demo", order),
                headers=list(envelope.headers()),
            )
        await producer.flush()
    finally:
        await producer.stop()


async def _decided(stack: Stack, orders: dict[str, Case]) -> tuple[set[str], set[str]]:
    """The orders of which there is a fact, and those whose record was set aside, once that is all of them."""
    bootstrap = f"127.0.0.1:{stack.kafka_port}"
    taken: set[str] = set()
    refused: set[str] = set()

    async def all_are() -> bool:
        for topic, found in (("sluice.orders.events.v1", taken), ("sluice.commands.rejected.v1", refused)):
            codes = {keys.split(record.key)[-1] for record in await read_all(bootstrap, topic) if record.key}
            found.clear()
            found.update(codes & orders.keys())
        return len(taken | refused) == len(orders)

    await stack.eventually(all_are, lambda: f"all are decided, lacking {orders.keys() - taken - refused}", every_s=0.5)
    return taken, refused


async def _leaves_as_it_came(stack: Stack, order: str, case: Case) -> None:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = await stack.seen("increff", CREATE, order)
        return bool(found)

    await stack.eventually(there, f"{case.name} at Increff")
    assert found[0]["body"] == json.loads(case.body(order)), case.name
