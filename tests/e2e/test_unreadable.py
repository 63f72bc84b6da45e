"""Records that nobody can read lie on every topic that Sluice follows or keeps its state in: all of it starts again,
names them, and works; one order whose state cannot be read is refused, and is not taken for a new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.e2e.stack import PARTITIONS, Stack, create_order
from tests.e2e.test_bad_input import read_all
from topics.kafka.catalogue import BY_NAME
from topics.records.keys import lane_key, order_key
from topics.records.reading import MADE_BY, OWNER_KEY, made_by

FOLLOWED = ("subscriptions", "subscriptions.status", "inventory.controls", "inventory.status")
"""Compacted topics that are nobody's table."""
TABLES = {
    "orders": ("orders.state", "relay.answers", "orders.refused"),
    "inventory": ("inventory.positions",),
    "delivery": ("deliveries.outbox", "deliveries.permits", "inventory.sent"),
}
ROLES = ("gateway", *TABLES)
KEYS = (
    b"\xff\xfe", b"x", b"|", b"||", b"~flight|demo|L1", b"~refused|x", b"~snapshot|demo|L1", b"demo|L1|A", b"sub_\xff",
    b"increff|demo||x", b"%7C|%",
)  # fmt: skip
"""Not those of a destination's permits: a budget that cannot be read is spent, and an order would wait a minute."""
VALUES = (b"1", b"\xff\xfe", b"{}", b"[]", b'{"quantity":"7"}', b"", b'{"a":' * 2_000)
HEADERS: tuple[Any, ...] = ((), ((MADE_BY, None),), ((MADE_BY, b"x"),), (("", b""),))


def full(topic: str) -> str:
    return BY_NAME[topic].full_name("sluice")


async def epochs(bootstrap: str, topic: str) -> dict[int, int]:
    """The epoch of each partition's present owner."""
    found = dict.fromkeys(range(PARTITIONS), 0)
    for record in await read_all(bootstrap, full(topic)):
        if record.key == OWNER_KEY:
            found[record.partition] = max(found[record.partition], made_by(record.headers).epoch)
    return found


async def poison(bootstrap: str, held: bytes, lane: bytes) -> None:
    """Each key with each value, as strangers write them and as a role of another version would."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    await producer.start()
    try:
        for topic in FOLLOWED:
            for number, key in enumerate(KEYS):
                value = VALUES[number % len(VALUES)]
                await producer.send(full(topic), value, key=key, partition=0, headers=list(HEADERS[number % 4]))
        for topic in (topic for topics in TABLES.values() for topic in topics):
            for partition, epoch in (await epochs(bootstrap, topic)).items():
                for number, key in enumerate((*KEYS, held, lane, lane + b"||x")):
                    value = VALUES[number % len(VALUES)]
                    if key in KEYS:  # of another key the owner would write its own value again, behind the one below
                        strangers = list(HEADERS[number % 4])
                        await producer.send(full(topic), value, key=key, partition=partition, headers=strangers)
                    ours = [(MADE_BY, b"%d/-1" % epoch)]
                    await producer.send(full(topic), value, key=key, partition=partition, headers=ours)
        await producer.flush()
    finally:
        await producer.stop()


async def said(stack: Stack, role: str) -> tuple[dict[str, Any], str]:
    """What a role says at /ready, and its metrics."""
    words = Path(f"/proc/{stack.status()['roles'][role]['pid']}/cmdline").read_bytes().split(b"\0")
    port = int(words[words.index(b"--admin-port") + 1])
    ready = await stack.call("GET", f"http://127.0.0.1:{port}/ready")
    assert ready.status == 200, (role, ready)
    metrics = await stack.call("GET", f"http://127.0.0.1:{port}/metrics")
    return ready.body, metrics.body


@pytest.mark.timeout(300)
async def test_everything_starts_and_works_over_records_that_nobody_can_read(
    new_stack: Stack, code: Callable[[], str]
) -> None:
    stack = new_stack
    stack.start()
    before, held = code(), code()
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(before))).status == 200
    await stack.reaches(before, "SUBMITTED")
    key = order_key("demo", held)
    await poison(f"127.0.0.1:{stack.kafka_port}", key, lane_key("increff", key))

    live = code()
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(live))).status == 200
    await stack.reaches(live, "SUBMITTED")
    for role in ROLES:
        await stack.restarted(role, stack.kill(role))

    after = code()
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(after))).status == 200
    await stack.reaches(after, "SUBMITTED")
    for order in (before, live):
        assert (await stack.order(order))["state"] == "SUBMITTED", "nothing is forgotten"
    refused = await stack.as_marketplace("POST", "/orders/outward", create_order(held))
    assert refused.status >= 400, "it is not taken for a new order"
    assert await stack.seen("increff", order=held) == []
    stock = {"locationCode": "L2", "inventories": [{"channelSkuCode": "GOOD", "quantity": 3}]}
    assert (await stack.as_increff("PUT", "/inventory", stock)).status == 200

    for role in ROLES:
        ready, metrics = await said(stack, role)
        topics = {warning.partition(":")[0] for warning in ready["warnings"]}
        wanted = {*TABLES.get(role, ()), *({"subscriptions"} if role != "inventory" else ())}
        assert wanted <= topics, (role, ready)
        for topic in wanted:
            assert f'sluice_unreadable_records_total{{topic="{topic}"}}' in metrics
    assert {"inventory.positions", "inventory.controls"} <= {
        warning.partition(":")[0] for warning in (await said(stack, "gateway"))[0]["warnings"]
    }
