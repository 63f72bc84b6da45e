"""Gateways that share a port: each has a name of its own, and each answers for the jobs of all."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from gateway.http.metrics import Metrics
from gateway.kafka.replies import ReplyReader
from gateway.siblings import Siblings
from sluice.dev.local.ports import free_ports
from tests.fakes.gateway import MARKETPLACE, Gateway, gateway
from tests.support.eventually import eventually
from tests.support.operators.two_steps import act
from tests.unit.gateway.api.test_redrives import died, request
from topics import http_sessions
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import load_settings
from topics.kafka.catalogue import BY_NAME

REDRIVES = "/api/redrives"


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
async def both(port: int) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two gateways of three on a port: the third does not run."""
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(gateway(gateways=3, gateway_number=number, gateway_port=port))
            for number in (0, 1)
        ]
        yield one, other


async def test_a_number_is_one_process_and_free_when_that_ends(port: int) -> None:
    settings = load_settings(gateways=2, gateway_number=1, gateway_port=port)
    first, second = Siblings(settings), Siblings(settings)
    await first.start()
    with pytest.raises(ConfigurationError, match=rf"gateway 1 of the 2 on port {port} runs already: .* from 0 to 1"):
        await second.start()
    await first.stop()
    await second.start()
    await second.stop()


async def test_both_say_so_where_a_process_has_another_count(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """One that is started alike meets them, too, and nobody says anything."""
    one, alike, another = [
        Siblings(load_settings(gateways=count, gateway_number=number, gateway_port=port))
        for number, count in ((0, 2), (1, 2), (2, 3))
    ]
    async with AsyncExitStack() as stack:
        for each in (one, alike):
            stack.push_async_callback(each.stop)
            await each.start()
        assert caplog.records == []
        stack.push_async_callback(another.stop)
        await another.start()
        told = [record.getMessage() for record in caplog.records]
    assert any("gateway 0 of the 2" in text and "gateway 2, which was started as one of 3" in text for text in told)
    assert any("gateway 2 of the 3" in text and "gateway 0, which was started as one of 2" in text for text in told)
    assert all("SLUICE_GATEWAYS" in text for text in told)


def test_a_number_is_below_the_count() -> None:
    with pytest.raises(ConfigurationError, match=r"SLUICE_GATEWAY_NUMBER: .*less than SLUICE_GATEWAYS, which is 2"):
        load_settings(gateways=2, gateway_number=2)


@pytest.mark.parametrize("chosen", [None, 7])
def test_each_reads_a_partition_of_its_own(chosen: int | None) -> None:
    partitions = BY_NAME["replies"].partitions
    assert partitions is not None
    found = {
        ReplyReader(load_settings(gateways=partitions, gateway_number=n, reply_partition=chosen), Metrics()).partition
        for n in range(partitions)
    }
    assert len(found) == partitions


def test_there_are_no_more_than_partitions() -> None:
    with pytest.raises(ConfigurationError, match="SLUICE_GATEWAYS: must be at most 16"):
        load_settings(gateways=17)


async def test_a_job_is_shown_listed_and_stopped_by_a_gateway_that_does_not_run_it(
    both: tuple[Gateway, Gateway],
) -> None:
    one, other = both
    died(one.dead, request())
    begun = await (await act(one.client, REDRIVES, {"channel": "demo"})).json()
    await eventually(lambda: len(one.kafka.records) == 1)
    for at in both:
        assert (await (await at.client.get(f"{REDRIVES}/{begun['id']}")).json())["sent"] == 1
        listed = await (await at.client.get(REDRIVES)).json()
        assert {job["id"] for job in listed["redrives"]} == {begun["id"]}
    for at in (other, one):
        assert (await at.client.delete(f"{REDRIVES}/{begun['id']}")).status == 202


async def test_one_goes_on_at_a_time(both: tuple[Gateway, Gateway]) -> None:
    one, other = both
    died(one.dead, request())
    died(other.dead, request())
    begun = await (await act(one.client, REDRIVES, {"channel": "demo"})).json()
    await eventually(lambda: len(one.kafka.records) == 1)
    refused = await act(other.client, REDRIVES, {"channel": "demo"})
    assert refused.status == 409
    assert begun["id"] in str(await refused.json())
    assert (await other.client.delete(f"{REDRIVES}/{begun['id']}")).status == 202

    async def is_stopped() -> bool:
        return bool((await (await other.client.get(f"{REDRIVES}/{begun['id']}")).json())["state"] == "stopped")

    await eventually(is_stopped)


async def test_what_nobody_knows_is_unknown_and_says_why_it_may_be(both: tuple[Gateway, Gateway]) -> None:
    answer = await both[0].client.get(f"{REDRIVES}/rdv_1")
    assert answer.status == 404
    assert "restarted since" in str(await answer.json())


async def test_a_sibling_that_does_not_answer_is_not_taken_for_one_that_knows_nothing(
    both: tuple[Gateway, Gateway], port: int
) -> None:
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(f"\0sluice-gateway-2-{port}-127.0.0.1")
        stopped.listen()
        answer = await both[0].client.get(f"{REDRIVES}/rdv_1")
        assert answer.status == 503
        assert "does not answer now" in str(await answer.json())


async def test_a_process_of_another_user_is_not_asked(
    both: tuple[Gateway, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    died(both[0].dead, request())
    begun = await (await act(both[0].client, REDRIVES, {"channel": "demo"})).json()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert (await both[1].client.get(f"{REDRIVES}/{begun['id']}")).status == 503


async def test_metrics_and_the_api_are_unknown_on_the_port_of_marketplaces() -> None:
    async with gateway() as at, http_sessions.session() as session:
        for path in ("/metrics", "/api/redrives", "/api/orders/O-1"):
            async with session.get(at.client.make_url(path)) as refused:
                assert (refused.status, "SLUICE_ADMIN_PORT" in await refused.text()) == (404, True)
            assert (await at.client.get(path)).status != 404
        for path in ("/live", "/ready", "/openapi.json", "/asyncapi.json"):
            assert (await at.client.get(path)).status == 200
            assert (await at.client.admin.get(path)).status == 200
        for path in ("/assure-magic2/orders/outward", "/channels/demo/inventory"):
            unknown = await at.client.admin.put(path, json={}, headers=MARKETPLACE)
            assert (unknown.status, unknown.content_type) == (404, "application/problem+json")


def test_each_of_several_gateways_has_an_admin_port_of_its_own() -> None:
    ports = [load_settings(gateways=2, gateway_number=number).gateway_admin_port for number in range(2)]
    assert ports == [8081, 8082]
    assert load_settings(gateways=2, gateway_number=1, admin_port=0).gateway_admin_port == 0
