"""Ticks on a real Kafka, with a worker that dies while one is decided.

Property: what a tick raises is raised once, under one id and number, wherever between effects and offsets the worker
dies; its next owner goes on where it was; an order that moved in time is never raised.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.order.test_order import World, made
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.orders import CHANNEL, acknowledgement_body, create_body
from tests.support.roles import crash_environment
from topics.records.keys import order_key

CHANNELS = """
[increff]
url = "http://127.0.0.1:9"

[channels.demo]
credentials = { username = "demo", password = "secret" }
increff_credentials = { username = "sluice", password = "secret" }
increff_headers = { X-Api-Key = "key" }
marketplace = { url = "http://127.0.0.1:9" }
reply_topics = ["demo"]
sla = { submit_s = 0, acknowledge_s = 4, pack_s = 0, dispatch_near_s = 0 }
"""
LATE = [f"late-{number}" for number in range(12)]
GOOD = [f"good-{number}" for number in range(12)]


def steps(world: World, code: str) -> list[str]:
    """The steps that were raised, each fact once."""
    return [fact["step"] for fact in world.facts.get(order_key(CHANNEL, code), {}).values() if "limitMs" in fact]


@pytest.mark.parametrize("step", ["before_effects", "between_effects_and_state", "between_state_and_offsets"])
async def test_a_worker_dies_while_a_tick_is_decided(kafka: Kafka, prefix: str, tmp_path: Path, step: str) -> None:
    armed = tmp_path / "armed"
    channels = tmp_path / "channels.toml"
    channels.write_text(CHANNELS)
    async with made(kafka, prefix, tmp_path) as world:
        world.environment = {
            "SLUICE_CHANNELS_FILE": str(channels),
            "SLUICE_TICK_S": "0.2",
            **crash_environment(armed),
        }
        await world.begin()
        for code in (*LATE, *GOOD):
            await world.call("create-outward-order", create_body(code), f"create-{code}")
        for code in GOOD:
            await world.call("acknowledgement", acknowledgement_body(code), f"ack-{code}")
        for code in LATE:
            await world.has_facts(code, [1, 2])
        # From here on only ticks make facts.
        await eventually(lambda: all(len(world.facts[order_key(CHANNEL, code)]) == 3 for code in GOOD))
        armed.write_text(f"orders {step} 1 orders.events")
        assert world.process is not None
        async with asyncio.timeout(30):
            await world.process.wait()
        assert not armed.exists()
        await world.begin()
        for code in LATE:
            await world.has_facts(code, [1, 2, 3])
            assert steps(world, code) == ["acknowledge"]
        if step == "between_effects_and_state":
            # Its facts had left already, so they are there before its successor tells them again.
            await eventually(lambda: world.repeated, what="the same facts a second time")
        for code in LATE:
            await world.call("acknowledgement", acknowledgement_body(code), f"ack-{code}")
            order = await world.query(code)
            assert (order["state"], order["stuck"]) == ("ACKNOWLEDGED", [])
            await world.has_facts(code, [1, 2, 3, 4, 5])
        assert [steps(world, code) for code in GOOD] == [[]] * len(GOOD)
