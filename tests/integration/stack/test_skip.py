"""`sluice skip` on a real Kafka: of a role that stands still, of one that runs, and what it refuses."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from click.testing import CliRunner, Result

from sluice.cli.main import main
from streams.delivery.role import DeliveryRole
from streams.inventory.role import InventoryRole
from streams.order.role import OrdersRole
from tests.support.kafka import Kafka
from tests.support.roles import RoleProcess
from topics.configuration.settings import Settings, load_settings
from topics.kafka import admin, skipping
from topics.kafka.skipping import place_of
from topics.records.envelope import Envelope
from topics.records.skips import SOURCES

CHANNELS = """
[increff]
url = "http://127.0.0.1:9"

[channels.demo]
credentials = { username = "demo", password = "demo-secret", domain = "demo" }
increff_credentials = { username = "sluice", password = "sluice-secret", domain = "demo" }
increff_headers = { X-Api-Key = "demo-increff" }
marketplace = { url = "http://127.0.0.1:9" }
"""
"""Nobody listens there."""


@pytest.fixture
async def settings(kafka: Kafka, prefix: str, tmp_path: Path) -> Settings:
    (tmp_path / "channels.toml").write_text(CHANNELS)
    settings = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=1)
    await admin.create(settings)
    return settings


@pytest.fixture
async def orders(settings: Settings, tmp_path: Path) -> AsyncIterator[RoleProcess]:
    role = RoleProcess("orders", settings, tmp_path)
    yield role
    await role.end(signal.SIGKILL)


async def send(settings: Settings, count: int) -> None:
    """Records of a type that the role does not know."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    headers = Envelope(id="e", type="sluice.command.nothing", source="/test", channel="demo").headers()
    for _ in range(count):
        await producer.send_and_wait(f"{settings.topic_prefix}.orders.commands.v1", b"{}", headers=list(headers))
    await producer.stop()


async def skip(settings: Settings, record: str) -> Result:
    options = [
        "--kafka",
        settings.kafka,
        "--topic-prefix",
        settings.topic_prefix,
        "--by",
        "me",
        "--reason",
        "too odd",
        "--yes",
    ]
    return await asyncio.to_thread(CliRunner().invoke, main, ["skip", record, *options])


async def rejected(settings: Settings, count: int) -> list[dict[str, bytes]]:
    topic = TopicPartition(f"{settings.topic_prefix}.commands.rejected.v1", 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([topic])
        found: list[dict[str, bytes]] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                found.append(dict((await consumer.getone()).headers))
        return found
    finally:
        await consumer.stop()


async def test_a_record_is_skipped_by_a_role_that_stands_still_and_what_is_decided_is_not(
    settings: Settings, orders: RoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skipping, "TAKES_S", 0.5)
    await send(settings, 3)
    result = await skip(settings, "orders.commands/0/1")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "orders.commands/0/1, which orders has not decided: 1 come before it",
        "  key ",
        "  sluice.command.nothing, 2 bytes",
        "orders will skip orders.commands/0/1 when it reaches it; 1 records come before it",
    ]
    await orders.begin()
    codes = [(each["sluice-rejected-code"], each["sluice-rejected-offset"]) for each in await rejected(settings, 3)]
    assert codes == [(b"UNKNOWN_TYPE", b"0"), (b"skipped", b"1"), (b"UNKNOWN_TYPE", b"2")]
    assert (await rejected(settings, 2))[1]["sluice-rejected-reason"] == b"skipped by me: too odd"
    assert await orders.end(signal.SIGTERM) == 0  # what it has decided is committed

    refused = {
        "orders.commands/0/1": "orders goes on at offset 3",
        f"{settings.topic_prefix}.orders.commands.v1/0/2": "is decided",
        "orders.commands/0/3": "has the offsets 0 to 2, and no 3",
        "orders.commands/1/0": "has partitions 0 to 0, and no 1",
        "orders.events/0/0": "is not what a role decides",
        "orders.commands/0": "is no record",
    }
    for record, why in refused.items():
        result = await skip(settings, record)
        assert result.exit_code != 0, record
        assert why in result.output, result.output
    await send(settings, 1)
    result = await skip(settings, "orders.commands/0/3")
    assert "will skip orders.commands/0/3 when it reaches it; 0 records" in result.output


def test_all_roles_and_their_sources_are_known(prefix: str) -> None:
    assert {role.source: role.name for role in (OrdersRole, InventoryRole, DeliveryRole)} == SOURCES
    assert place_of("inventory.updates/2/7", load_settings(topic_prefix=prefix)).role == "inventory"
