"""An order that is stuck, for each cause that sandboxes can make: API and command line say why, and what frees it does.

Pauses of a destination, and a lane that is held, are told from rows in tests/unit/gateway/api/journal.
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from sluice.cli.main import main
from tests.e2e.stack import Stack, create_order

Code = Callable[[], str]
BUDGET = 60
CHANNELS = f"""
[increff]
url = "{{increff}}/assure-magic2"
retry_first_s = 3
budget = {{{{ requests = {BUDGET}, window_s = 3600 }}}}

[channels.demo]
credentials = {{{{ username = "demo", password = "demo-secret", domain = "demo" }}}}
increff_credentials = {{{{ username = "sluice", password = "sluice-secret", domain = "demo" }}}}
increff_headers = {{{{ X-Api-Key = "demo-increff" }}}}
marketplace_headers = {{{{ X-Channel-Key = "demo-channel" }}}}
marketplace = {{{{ url = "{{marketplace}}", retry_pauses_s = [0.1] }}}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A budget that a test can spend, and a marketplace whose requests are given up after two attempts."""
    directory = tmp_path_factory.mktemp("story")
    started = Stack(directory / "data")
    channels = directory / "channels.toml"
    channels.write_text(CHANNELS.format(increff=started.increff, marketplace=started.marketplace))
    sides = [
        subprocess.Popen(
            [sys.executable, "-m", "sluice", "sandbox", side, "--port", str(port), "--url", started.url],
            stdout=subprocess.DEVNULL,
        )
        for side, port in (("increff", started.increff_port), ("marketplace", started.marketplace_port))
    ]
    try:
        started.start("--channels", str(channels))
        yield started
    finally:
        started.close()
        for side in sides:
            side.terminate()
            side.wait(timeout=20)


async def sluice(stack: Stack, command: str) -> str:
    """What a command prints, on one line. Fails where the command does."""

    def run() -> Any:
        return CliRunner().invoke(main, [*shlex.split(command)[1:], "--url", stack.admin_url])

    done = await asyncio.to_thread(run)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


async def story_with(stack: Stack, order: str, cause: str) -> dict[str, Any]:
    """Waits until the order waits for this cause; returns its story."""
    found: dict[str, Any] = {}

    async def there() -> bool:
        answer = await stack.call("GET", f"{stack.admin_url}/api/orders/{order}/story")
        found.clear()
        found.update(answer.body)
        return any(wait["cause"] == cause for wait in found.get("waits", ()))

    await stack.eventually(there, lambda: f"{order} waits for {cause}, but its story is {found}", every_s=0.05)
    return found


async def check(stack: Stack, order: str, cause: str, sentence: str) -> dict[str, Any]:
    """The wait, as API and command line tell it, and the list of orders with its cause. For a moment an order may wait
    for something else, a request that is on its way."""
    wait: dict[str, Any] = {}
    said = ""

    async def is_said() -> bool:
        nonlocal said
        told = await story_with(stack, order, cause)
        wait.update(next(one for one in told["waits"] if one["cause"] == cause))
        said = await sluice(stack, f"sluice order {order}")
        return sentence in said and all((one["command"] or one["does"]) in said for one in wait["actions"])

    await stack.eventually(is_said, lambda: f"{sentence} with {wait}, but it says {said}")
    assert sentence in wait["sentence"]
    assert order in await sluice(stack, f"sluice orders --cause {cause} --channel demo --limit 500")
    return wait


def command_of(wait: dict[str, Any], name: str) -> str:
    """The command that the wait names, with a reason, and the yes that a person is asked for."""
    command: str = next(action["command"] for action in wait["actions"] if action["name"] == name)
    said = command.replace("WHY", "'the test looked at it'")
    return f"{said} --yes"


async def create(stack: Stack, order: str, **changes: Any) -> None:
    answer = await stack.as_marketplace("POST", "/orders/outward", create_order(order, **changes))
    assert answer.status == 200, answer


async def acknowledge(stack: Stack, order: str) -> None:
    body = {"orders": [{"orderCode": order, "locationCode": "DXB-WH-01"}], "consolidationType": "NONE"}
    await stack.as_increff("PUT", "/orders/acknowledgement", body)


async def test_early_and_then_the_turn_of_the_far_side(stack: Stack, code: Code) -> None:
    order = code()
    await acknowledge(stack, order)
    await check(stack, order, "early", "before its Create. It is kept until")
    await create(stack, order)
    await stack.reaches(order, "ACKNOWLEDGED")
    await check(stack, order, "far-side", "It is Increff's turn to pack the order at DXB-WH-01")


async def test_on_hold_until_the_marketplace_releases_it(stack: Stack, code: Code) -> None:
    order = code()
    await create(stack, order, onHold=True)
    await stack.reaches(order, "HELD")
    await check(stack, order, "on-hold", "The marketplace put the order on hold at")
    properties = {"dispatchByTime": "2026-11-26T14:00:00.000Z", "startProcessingTime": "2026-11-24T14:00:00.000Z"}
    released = await stack.as_marketplace("PUT", f"/orders/{order}", {**properties, "onHold": False})
    assert released.status == 200, released
    await stack.reaches(order, "SUBMITTED")
    await check(stack, order, "far-side", "It is Increff's turn to acknowledge the order")


async def test_refused_and_the_command_sends_it_again(stack: Stack, code: Code) -> None:
    order = code()
    await stack.misbehave("increff", {"touchpoint": "create-outward-order", "status": 400, "times": 1})
    await create(stack, order)
    await stack.reaches(order, "REJECTED")
    wait = await check(stack, order, "refused", "Increff refused ")
    await sluice(stack, command_of(wait, "resubmit"))
    await stack.reaches(order, "SUBMITTED")


async def test_backing_off_and_what_waits_behind_it(stack: Stack, code: Code) -> None:
    order = code()
    await stack.misbehave("increff", {"touchpoint": "create-outward-order", "status": 500, "times": 2})
    await create(stack, order)
    told = await story_with(stack, order, "back-off")
    assert "is tried again at" in told["wait"]["sentence"]
    assert "ended with status 500" in told["wait"]["sentence"]
    assert told["wait"]["untilMs"] > told["toldAtMs"]
    cancelled = {"channelSkuCode": "SHIRT", "orderItemCode": f"{order}-1", "cancelledQuantity": 1}
    body = {"orderItems": [cancelled]}
    cancelling = asyncio.create_task(stack.as_marketplace("PUT", f"/orders/{order}/cancel", body))
    first, behind = (await story_with(stack, order, "behind-request"))["waits"]
    assert "waits behind create-outward-order of its lane." in behind["sentence"]
    assert first["sentence"] in behind["sentence"]
    await cancelling
    await stack.reaches(order, "SUBMITTED")


async def test_quiet_until_the_far_side_may_be_asked_again(stack: Stack, code: Code) -> None:
    order = code()
    fault = {"touchpoint": "create-outward-order", "status": 429, "times": 1, "retry_after": 4}
    await stack.misbehave("increff", fault)
    await create(stack, order)
    wait = await check(stack, order, "quiet", "create-outward-order waits: Increff asked for quiet until")
    assert 0 < wait["untilMs"] - wait["sinceMs"] <= 6_000
    await stack.reaches(order, "SUBMITTED")
    parts = (await stack.call("GET", f"{stack.admin_url}/api/orders/{order}/story")).body["account"]["parts"]
    assert parts["quiet"] > 2_000


async def test_down_until_a_probe_is_answered(stack: Stack, code: Code) -> None:
    orders = [code() for _ in range(6)]
    await stack.misbehave("increff", {"touchpoint": "create-outward-order", "status": 503})
    for order in orders:
        await create(stack, order)
    await check(stack, orders[0], "down", "create-outward-order waits: Increff is down since")
    await stack.behave("increff")
    for order in orders:
        await stack.reaches(order, "SUBMITTED")


async def test_given_up_and_the_command_sends_it_again(stack: Stack, code: Code) -> None:
    order = code()
    await create(stack, order)
    await stack.reaches(order, "SUBMITTED")
    await stack.misbehave("marketplace", {"touchpoint": "acknowledgement", "status": 500})
    await acknowledge(stack, order)
    wait = await check(stack, order, "given-up", "was given up at")
    await stack.behave("marketplace")
    await sluice(stack, command_of(wait, "redrive"))

    async def is_over() -> bool:
        told = (await stack.call("GET", f"{stack.admin_url}/api/orders/{order}/story")).body
        return all(one["cause"] != "given-up" for one in told["waits"])

    await stack.eventually(is_over, f"{order} waits for nobody")


async def test_the_orders_role_is_behind(stack: Stack, code: Code) -> None:
    """It stands still with a command of the order, so nothing of it can be asked for but its story."""
    order = code()
    await create(stack, order)
    await stack.reaches(order, "SUBMITTED")
    go_on = stack.pause("orders")
    try:
        acknowledged = asyncio.create_task(acknowledge(stack, order))
        told = await story_with(stack, order, "role-behind")
        assert "The orders role is behind: " in told["wait"]["sentence"]
        assert told["wait"]["actions"][0]["command"] == "sluice status"
        assert told["ordersBehind"] >= 1
    finally:
        go_on()
    await acknowledged
    await stack.reaches(order, "ACKNOWLEDGED")


async def test_the_budget_is_spent(stack: Stack, code: Code) -> None:
    """The last test: nothing reaches Increff for an hour."""
    orders = [code() for _ in range(BUDGET)]
    for order in orders:
        await create(stack, order)
    wait = await check(stack, orders[-1], "budget", "create-outward-order waits for its turn at Increff")
    assert wait["place"] >= 1
    assert wait["untilMs"] > wait["sinceMs"]
