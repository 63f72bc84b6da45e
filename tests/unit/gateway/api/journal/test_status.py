"""/api/status shows what is known, and names what does not answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.ports import Unavailable
from journal.rows.sources import SOURCES
from tests.fakes.gateway import NOW_MS, FakeGroups, gateway
from tests.support.journal.database import file_url, played_journal
from topics.kafka.groups import Behind, GroupMember, GroupState

GROUPS = (
    GroupState(
        "orders",
        "Stable",
        [GroupMember("orders-a", "10.0.0.1", {"orders.commands": [0, 1]})],
        [
            Behind("orders.commands", 0, 5, 0, 5),
            Behind("orders.commands", 1, 5, 0, 8, since_ms=NOW_MS - 4_000),
            Behind("orders.commands", 2, None, 2, 4, since_ms=NOW_MS - 9_000),
        ],
    ),
    GroupState("delivery", "Empty", [], [Behind("deliveries.requests", 0, 1, 0, 1)]),
    GroupState("journal", "Stable", [], [Behind("orders.events", 0, 3, 0, 4, since_ms=NOW_MS - 1_500)]),
)


async def status(**with_: Any) -> dict[str, Any]:
    async with gateway(**with_) as at:
        response = await at.client.get("/api/status")
        document: dict[str, Any] = await response.json()
        assert response.status == 200, document
        return document


async def test_roles_lags_ages_and_what_waits_are_in_one_document(tmp_path: Path) -> None:
    groups = FakeGroups(GROUPS)
    async with played_journal(tmp_path, orders=20):
        document = await status(groups=groups, journal_url=file_url(tmp_path))
    orders, delivery, _ = document["roles"]
    assert (orders["state"], orders["partitions"], orders["unassigned"]) == ("running", 3, 1)
    assert orders["workers"] == [{"name": "orders-a", "host": "10.0.0.1", "partitions": 2}]
    assert orders["lag"] == [{"topic": "orders.commands", "records": 5, "oldestMs": NOW_MS - 9_000}]
    assert (delivery["state"], delivery["unassigned"]) == ("no worker", 1)
    assert document["journal"]["ageMs"] == 1_500
    assert document["journal"]["lagRecords"] == 1
    assert document["undelivered"]["waiting"] > 0
    assert document["destinations"][0]["name"] == "increff"
    assert document["destinations"][0]["waiting"] == document["undelivered"]["waiting"]
    assert document["kafka"] == {"isReachable": True, "message": None}
    (asked,) = groups.asked
    assert {topic for topic, _ in asked["journal"]} == set(SOURCES), "the journal's own count, not Kafka's hint"


async def test_without_a_journal_roles_are_shown(tmp_path: Path) -> None:
    document = await status(groups=FakeGroups(GROUPS), journal_url=file_url(tmp_path))
    assert document["journal"]["isReachable"] is False
    assert "SLUICE_JOURNAL_URL" in document["journal"]["message"]
    assert document["undelivered"] is document["destinations"] is document["journal"]["ageMs"] is None
    assert [role["role"] for role in document["roles"]] == ["orders", "delivery", "journal"]


async def test_without_kafka_the_journal_is_shown(tmp_path: Path) -> None:
    groups = FakeGroups(error=Unavailable("Kafka at x does not say how roles do"))
    async with played_journal(tmp_path, orders=5):
        document = await status(groups=groups, journal_url=file_url(tmp_path))
    assert document["roles"] is None
    assert document["kafka"]["isReachable"] is False
    assert "SLUICE_KAFKA" in document["kafka"]["message"]
    assert document["journal"]["ageMs"] is None
    assert document["journal"]["recordMs"] is not None
    assert document["destinations"] is not None
