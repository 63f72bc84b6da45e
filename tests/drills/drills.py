"""The drills: a fault on a real stack, the alert that must fire, and what its page says ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

from tests.e2e.stack import Stack, create_order

Act = Callable[[Stack], Awaitable[None]]
_TOPIC = "sluice.{}.v1"


@dataclass(frozen=True)
class Drill:
    """`within_s`: what the page states, and four scrapes. `over_s`: how long the end may take."""

    alert: str
    fault: Act
    end: Act
    within_s: float
    over_s: float = 120.0


async def _write(stack: Stack, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    producer: Any = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{stack.kafka_port}")
    await producer.start()
    try:
        await producer.send_and_wait(_TOPIC.format(topic), value, key=key, headers=headers, partition=0)
    finally:
        await producer.stop()


def _stopped(role: str) -> tuple[Act, Act]:
    """The role hangs; its page says: start it again, which its supervisor does once it is gone."""

    async def stop(stack: Stack) -> None:
        stack.pause(role)

    async def restart(stack: Stack) -> None:
        old = stack.kill(role)
        await stack.restarted(role, old)

    return stop, restart


async def _unreadable(stack: Stack) -> None:
    await _write(stack, "subscriptions", b"sub_drill", b"{]", [("sluice-made-by", b"0/0")])


async def _made_readable(stack: Stack) -> None:
    """A deletion under the same key, and restarts of who counted: what the page says."""
    await _write(stack, "subscriptions", b"sub_drill", None, [("sluice-made-by", b"0/0")])
    for role in ("gateway", "orders", "delivery"):
        old = int(stack.status()["roles"][role]["pid"])
        os.kill(old, signal.SIGTERM)
        await stack.restarted(role, old)


async def _rejected(stack: Stack) -> None:
    headers = [("ce_id", b"drill-1"), ("ce_type", b"sluice.command.create-outward-order"), ("ce_source", b"drill")]
    await _write(stack, "orders.commands", b"demo|D-1", b"{]", headers)


async def _nothing(_stack: Stack) -> None:
    """It ends by itself, once none came for its window."""


async def _increff_is_down(stack: Stack) -> None:
    await stack.misbehave("increff", {"status": 503})
    for number in range(30):
        await stack.as_marketplace("POST", "/orders/outward", create_order(f"DRILL-{number}"))


async def _increff_is_back(stack: Stack) -> None:
    await stack.behave("increff")


async def _kafka_stands(stack: Stack) -> None:
    stack.pause("kafka")


async def _kafka_goes_on(stack: Stack) -> None:
    os.kill(int(stack.status()["roles"]["kafka"]["pid"]), signal.SIGCONT)
    await asyncio.sleep(5)


ROUNDS: tuple[tuple[Drill, ...], ...] = (
    (
        Drill("RoleDown", *_stopped("journal"), within_s=60 + 40),
        Drill("RoleMissing", _nothing, _nothing, within_s=120 + 40, over_s=180),
        Drill("UnreadableRecords", _unreadable, _made_readable, within_s=40),
        Drill("CommandsRejected", _rejected, _nothing, within_s=60, over_s=16 * 60),
    ),
    (Drill("DestinationDown", _increff_is_down, _increff_is_back, within_s=180 + 90, over_s=180),),
    (Drill("RoleNotReady", _kafka_stands, _kafka_goes_on, within_s=120 + 90, over_s=180),),
)
"""Faults of a round are made together, and none of its alerts hides another."""
