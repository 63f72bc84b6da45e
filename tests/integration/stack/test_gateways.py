"""`sluice up --gateways 2`: two processes serve one port. When one is killed under load, nothing accepted is lost, and
the other serves on."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.stack import Stack, create_order
from tests.support.eventually import eventually

CALLERS = 4
PAUSE_S = 0.02
READS_AT_ONCE = 10
"""Fewer than a gateway takes at once."""
AFTER = 30
"""Calls that must succeed after the kill, before the killed process is back."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    started = Stack(tmp_path_factory.mktemp("gateways") / "data")
    started.start("--gateways", "2")
    yield started
    started.close()


def batched(codes: list[str], size: int) -> Iterator[list[str]]:
    return (codes[n : n + size] for n in range(0, len(codes), size))


def admin_urls(stack: Stack) -> list[str]:
    return re.findall(r"gateway-\d +(http://\S+)", stack.log.read_text(encoding="utf-8"))


def accepting(metrics: str) -> int:
    """Requests for creates that a process has answered."""
    found = re.findall(r"^sluice_gateway_requests_total\{.*create-outward-order.*\} (\S+)$", metrics, re.MULTILINE)
    return round(sum(float(value) for value in found))


async def test_each_process_is_probed_and_measured_apart(stack: Stack) -> None:
    assert {"gateway-0", "gateway-1"} < set(stack.status()["roles"])
    shared = await stack.call("GET", f"{stack.url}/metrics")
    assert shared.status == 404
    assert (await stack.call("GET", f"{stack.url}/ready")).status == 200
    urls = admin_urls(stack)
    assert (urls[0], len(urls)) == (stack.admin_url, 2)

    async def both_have_served() -> bool:
        answer = await stack.as_marketplace("POST", "/orders/outward", create_order("EACH"))
        assert answer.status == 200
        served = [accepting((await stack.call("GET", f"{url}/metrics")).body) for url in urls]
        return min(served) > 0

    await eventually(both_have_served, what="the kernel gives connections to both")


async def test_a_redrive_is_the_same_at_both(stack: Stack) -> None:
    first, second = (f"{url}/api/redrives" for url in admin_urls(stack))
    shown = (await stack.call("POST", f"{first}/preview", body={"channel": "demo"})).body
    assert (shown["count"], shown["token"]) == (0, None), "nothing was given up"
    for url in (first, second):
        assert (await stack.call("GET", url)).body == {"redrives": []}


async def test_a_preview_at_one_is_acted_on_at_another_and_once(stack: Stack) -> None:
    first, second = (f"{url}/api/destinations/channel:demo/pause" for url in admin_urls(stack))
    shown = (await stack.call("POST", f"{first}/preview", body={"untilMs": round(time.time() * 1000) + 2_000})).body
    body = {"token": shown["token"], "reason": "because of the test"}
    answers = await asyncio.gather(*(stack.call("POST", url, body=body) for url in (first, second)))
    assert sorted(answer.status for answer in answers) == [200, 409]


def test_a_gateway_that_was_not_asked_to_share_does_not_start(stack: Stack, tmp_path: Path) -> None:
    kafka = ["--kafka", f"127.0.0.1:{stack.kafka_port}"]
    for more, said in (
        ([], f"port {stack.port} is in use by another program"),
        (["--gateways", "2", "--number", "1"], f"gateway 1 of the 2 on port {stack.port} runs already"),
    ):
        command = [sys.executable, "-m", "sluice", "run", "gateway", "--port", str(stack.port)]
        command += ["--admin-port", "0", *kafka, *more]
        tried = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
        assert tried.returncode == 2
        assert said in tried.stderr


async def test_a_process_that_is_killed_under_load_loses_nothing_and_the_other_serves_on(stack: Stack) -> None:
    accepted: list[str] = []
    lost: list[str] = []
    killed: dict[str, Any] = {}
    done = asyncio.Event()

    async def call(caller: int) -> None:
        number = 0
        while not done.is_set():
            number += 1
            await asyncio.sleep(PAUSE_S)
            code = f"K-{caller}-{number}"
            try:
                answer = await stack.as_marketplace("POST", "/orders/outward", create_order(code))
            except (aiohttp.ClientError, OSError):
                lost.append(code)  # no answer: its caller does not know, and repeats it
                continue
            assert answer.status == 200, answer
            accepted.append(code)

    callers = [asyncio.create_task(call(caller)) for caller in range(CALLERS)]
    await eventually(lambda: len(accepted) > 2 * AFTER, what=lambda: f"{len(accepted)} accepted")
    killed["pid"] = stack.kill("gateway-0")
    before = len(accepted)
    await eventually(lambda: len(accepted) > before + AFTER, what="the other gateway serves on")
    await stack.restarted("gateway-0", killed["pid"])
    assert stack.status()["roles"]["gateway-1"]["ready"] is True
    after_restart = len(accepted)
    await eventually(lambda: len(accepted) > after_restart + AFTER, what="both serve on")
    done.set()
    await asyncio.gather(*callers)
    assert len(lost) <= CALLERS, "only calls that were in hand when it died"
    for some in batched(accepted, READS_AT_ONCE):
        found = await asyncio.gather(*(stack.order(code) for code in some))
        assert [code for code, order in zip(some, found, strict=True) if order["state"] is None] == []
    for code in lost:
        assert (await stack.as_marketplace("POST", "/orders/outward", create_order(code))).status == 200
