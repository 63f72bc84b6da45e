"""/api/status over a real socket, of a real Kafka: workers in groups, how far roles are behind, and the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.gateway.test_gateway import Running, running
from tests.support.eventually import eventually
from tests.support.journal.database import file_url, played_journal
from tests.support.kafka import Kafka
from topics.kafka import clients
from topics.kafka.catalogue import BY_NAME


async def role_of(at: Running, name: str) -> dict[str, Any]:
    status, document = await at.get("/api/status")
    assert status == 200, document
    found: dict[str, Any] = next(role for role in document["roles"] if role["role"] == name)
    return found


async def test_a_role_shows_its_workers_and_its_lag(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    async with running(kafka.bootstrap, prefix, journal_url=file_url(tmp_path)) as at:
        assert (await at.call("create-outward-order"))[0] == 200
        orders = await role_of(at, "orders")
        assert (orders["state"], orders["workers"], orders["unassigned"]) == ("no worker", [], 2)
        (lag,) = orders["lag"]
        assert (lag["topic"], lag["records"]) == ("orders.commands", 1)
        assert lag["oldestMs"] is not None

        worker = clients.consumer(at.settings, "orders-a", group_id=f"{prefix}.orders")
        worker.subscribe(topics=[BY_NAME["orders.commands"].full_name(prefix)])
        await worker.start()
        try:
            await eventually(worker.assignment, what="the worker has its partitions")
            read = 0
            while not read:
                read = sum(map(len, (await worker.getmany(timeout_ms=200)).values()))
            await worker.commit()
            orders = await role_of(at, "orders")
            assert (orders["state"], orders["unassigned"]) == ("running", 0)
            assert [one["name"] for one in orders["workers"]] == ["orders-a"]
            assert orders["lag"] == [{"topic": "orders.commands", "records": 0, "oldestMs": None}]
        finally:
            await worker.stop()


async def test_the_journal_is_measured_by_its_own_offsets(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    async with running(kafka.bootstrap, prefix, journal_url=file_url(tmp_path)) as at:
        status, document = await at.get("/api/status")
        assert (status, document["journal"]["isReachable"]) == (200, False)
        async with played_journal(tmp_path, orders=3):
            document = (await at.get("/api/status"))[1]
            assert document["journal"]["isReachable"] is True
            assert document["journal"]["recordMs"] is not None
            assert document["kafka"]["isReachable"] is True
            assert document["undelivered"] is not None
