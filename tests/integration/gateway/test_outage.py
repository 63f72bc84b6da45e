"""Kafka goes away: callers get 503 with Retry-After and no receipt, then all goes on without touching the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sluice.dev.local.broker import Broker
from tests.integration.gateway.test_gateway import Running, running, stored_at
from tests.support.eventually import eventually

READY_AGAIN_S = 5.0
"""Promised from when the brokers are back."""


def answers_with(at: Running, wanted: int) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        status, _body, headers = await at.call("create-outward-order")
        assert ("Sluice-Position" in headers) or status == 503, "no success without a receipt"
        assert status != 503 or "Retry-After" in headers
        return status == wanted

    return asked


async def test_a_killed_broker_and_its_restart(own_kafka: Broker, prefix: str) -> None:
    async with running(own_kafka.bootstrap, prefix) as at:
        _status, _body, headers = await at.call("create-outward-order")
        own_kafka.kill()
        answers = await asyncio.gather(*(at.call("create-outward-order", orderCode=f"O-{n}") for n in range(50)))
        for status, body, sent in answers:
            assert (status, body["code"], "Retry-After" in sent) == (503, "UNAVAILABLE", True)
            assert "Sluice-Event-Id" not in sent
        assert await at.get("/live") == (200, {"live": True})
        assert not await at.ready()
        # Known to be away: refused at once, and nothing more piles up.
        status, _body, _headers = await at.call("location-wise-atp-inventory")
        assert status == 503

        own_kafka.start()
        own_kafka.wait_ready()
        await eventually(at.ready, READY_AGAIN_S)
        await eventually(answers_with(at, 200), what="orders are taken again")
        assert (await stored_at(at.settings, headers["Sluice-Position"])).value


async def test_a_broker_that_hangs_and_comes_back(own_kafka: Broker, prefix: str) -> None:
    async with running(own_kafka.bootstrap, prefix) as at:
        own_kafka.pause()
        try:
            status, body, _headers = await at.call("create-outward-order")
            assert (status, body["code"]) == (503, "UNAVAILABLE")
        finally:
            own_kafka.resume()
        await eventually(answers_with(at, 200), what="orders are taken again")


async def test_a_gateway_that_starts_without_kafka(own_kafka: Broker, prefix: str) -> None:
    async with running(own_kafka.bootstrap, prefix):
        pass  # its topics exist now
    own_kafka.kill()
    async with running(own_kafka.bootstrap, prefix, with_kafka=False, verdict_timeout_s=0.2) as at:
        assert await at.get("/live") == (200, {"live": True})
        assert not await at.ready()
        status, _body, headers = await at.call("create-outward-order")
        assert (status, "Retry-After" in headers, "Sluice-Event-Id" in headers) == (503, True, False)
        own_kafka.start()
        own_kafka.wait_ready()

        async def stores() -> bool:
            return "Sluice-Position" in (await at.call("create-outward-order"))[2]

        await eventually(stores, what="orders are stored")
        await eventually(at.ready)
