"""Any HTTP endpoint that subscribes gets the facts it asked for: signed so that others' code verifies them, in each
order's sequence, under a rotated secret too; and nothing more once it answers 410, until somebody enables it."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from standardwebhooks.webhooks import Webhook

from tests.e2e.stack import Stack, create_order
from topics.records.facts.catalogue import check

Code = Callable[[], str]
ROOT = Path(__file__).resolve().parents[2]
OWN = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass
class Receiver:
    """A subscriber. `status` is what it answers; what it got is kept as it came."""

    secret: str = OWN
    status: int = 204
    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = Webhook(self.secret).verify(raw, headers)
        if body["type"] == "subscription-verification":
            return web.json_response({"challenge": body["data"]["challenge"]})
        self.got.append((headers, raw))
        return web.Response(status=self.status)

    def of(self, order: str) -> list[Any]:
        bodies = [orjson.loads(raw) for _, raw in self.got]
        return [body for body in bodies if body["delivery"]["order"] == order]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


async def manage(stack: Stack, method: str, path: str = "", body: Any = None) -> Any:
    answer = await stack.call(method, f"{stack.admin_url}/api/subscriptions{path}", body=body)
    assert answer.status < 300, answer
    return answer.body


async def acknowledged(stack: Stack, order: str) -> list[int]:
    """An order that Increff took; returns its facts' sequences."""
    created = await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    assert created.status == 200, created
    await stack.reaches(order, "SUBMITTED")
    body = {"orders": [{"orderCode": order, "locationCode": "DXB-WH-01"}]}
    assert (await stack.as_increff("PUT", "/orders/acknowledgement", body)).status == 200
    document = await stack.reaches(order, "ACKNOWLEDGED")
    return [fact["sequence"] for fact in document["facts"]]


async def events(stack: Stack) -> list[Any]:
    """Everything on subscriptions.events."""
    consumer = AIOKafkaConsumer(
        "sluice.subscriptions.events.v1",
        bootstrap_servers=f"127.0.0.1:{stack.kafka_port}",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        chunks = await consumer.getmany(timeout_ms=5_000)
        return [orjson.loads(record.value) for records in chunks.values() for record in records]
    finally:
        await consumer.stop()


async def test_a_subscriber_is_added_gets_verified_facts_is_rotated_and_disabled_by_410(
    stack: Stack, code: Code, receiver: Receiver
) -> None:
    """One subscriber's whole life."""
    made = await manage(stack, "POST", body={"url": receiver.url, "types": ["order-*"], "secret": OWN})
    assert (made["state"], made["not_verified"], made["secret"]) == ("active", None, None)
    path = f"/{made['id']}"

    order = code()
    sequences = await acknowledged(stack, order)
    await stack.eventually(_as_async(lambda: len(receiver.of(order)) == len(sequences)), "all facts are there")
    told = [body["delivery"] for body in receiver.of(order)]
    assert [one["sequence"] for one in told] == sequences
    assert [one["previousSequence"] for one in told] == [one["watermark"] for one in told] == [0, *sequences[:-1]]
    for body in receiver.of(order):
        check(body["type"], body["data"])
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert len(set(ids)) == len(ids)

    rotated = await manage(stack, "POST", path + "/rotate-secret", {"overlap_s": 600})
    order = code()
    sequences = await acknowledged(stack, order)
    await stack.eventually(_as_async(lambda: len(receiver.of(order)) == len(sequences)), "the old secret verifies")
    headers, raw = receiver.got[-1]
    assert Webhook(rotated["secret"]).verify(raw, headers)["delivery"]["order"] == order

    receiver.status = 410
    order = code()
    await acknowledged(stack, order)

    async def disabled() -> bool:
        return bool((await manage(stack, "GET", path))["state"] == "disabled")

    await stack.eventually(disabled, "410 disables it")
    assert [(fact["subscription"], fact["reason"]) for fact in await events(stack)] == [(made["id"], "gone")]
    [refused] = receiver.of(order)

    missed = code()
    await acknowledged(stack, missed)
    receiver.status = 204
    told = await manage(stack, "POST", path + "/enable")
    assert told["state"] == "active"
    await stack.eventually(_as_async(lambda: len(receiver.of(order)) >= 2), "what waited goes on")
    assert receiver.of(order)[1] == refused, "the body of a delivery is the same on every attempt"
    assert receiver.of(missed) == [], "what happens while it is disabled is not requested"
    page = (await stack.call("GET", f"{stack.admin_url}/api/orders/{missed}/events?after=1")).body
    assert [event["data"]["sequence"] for event in page["events"]] == list(range(2, page["last"] + 1)), (
        "but can be read"
    )
    assert page["next"] is None
    await manage(stack, "DELETE", path)


@pytest.fixture
def example() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "subscriber.py"), "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SUBSCRIBER_SECRET": OWN, "PYTHONPATH": ""},  # an example needs nothing of Sluice's
    ) as process:
        yield process
        process.terminate()


async def test_the_example_is_added_from_the_command_line_and_prints_what_it_verified(
    stack: Stack, code: Code, example: subprocess.Popen[str]
) -> None:
    """What README.md and docs/subscriptions.md say, as they say it."""
    lines = example.stdout
    assert lines is not None
    url = (await asyncio.to_thread(lines.readline)).split()[0]
    environment = {**os.environ, "SUBSCRIBER_SECRET": OWN, "SLUICE_URL": stack.admin_url}
    added = await cli(environment, "add", url, "--type", "order-*", "--secret-env", "SUBSCRIBER_SECRET")
    name = added.split(":")[0]
    assert f"{name}: active" in added
    assert OWN not in added
    assert await asyncio.to_thread(lines.readline) == "verified  the challenge of a subscription\n"
    order = code()
    await acknowledged(stack, order)
    assert [await asyncio.to_thread(lines.readline) for _ in range(3)] == [
        f"verified  #1 after 0  order-created  {order} of demo  RECEIVED\n",
        f"verified  #2 after 1  order-submitted  {order} of demo  SUBMITTED\n",
        f"verified  #3 after 2  order-acknowledged  {order} of demo  ACKNOWLEDGED\n",
    ]
    assert name in await cli(environment, "list")
    assert await cli(environment, "remove", name) == f"{name} is removed\n"


async def cli(environment: dict[str, str], *arguments: str) -> str:
    """What `sluice subscriptions` printed."""
    command = [sys.executable, "-m", "sluice", "subscriptions", *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_what_was_given_up_is_counted_and_sent_again_from_the_command_line(
    stack: Stack, code: Code, receiver: Receiver
) -> None:
    quick = {"retry_first_s": 0.1, "retry_max_s": 0.1, "retry_for_s": 0.2}
    made = await manage(stack, "POST", body={"url": receiver.url, "types": ["order-created"], "secret": OWN, **quick})
    path, order = f"/{made['id']}", code()
    receiver.status = 500
    await acknowledged(stack, order)

    async def redrive(*options: str) -> Any:
        command = [sys.executable, "-m", "sluice", "redrive", "--url", stack.admin_url, "--json"]
        named = ["--destination", f"subscription:{made['id']}", *options]
        run = await asyncio.create_subprocess_exec(*command, *named, stdout=asyncio.subprocess.PIPE)
        printed, _ = await run.communicate()
        return orjson.loads(printed)

    async def given_up() -> bool:
        return bool((await redrive())["count"] == 1)

    await stack.eventually(given_up, "it is given up, and counted")
    receiver.status = 204
    before = len(receiver.got)
    told = await redrive("--failure", "500", "--order", order, "--yes", "--reason", "mended")
    assert (told["state"], told["sent"], told["delivered"]) == ("done", 1, 1)
    [(headers, raw)] = receiver.got[before:]
    assert (headers["sluice-redrive"], raw) == (told["id"], receiver.got[0][1])
    assert (await redrive())["count"] == 0
    await manage(stack, "DELETE", path)


async def test_what_blocks_an_order_is_shown_as_the_command_that_decides_wants_it(
    stack: Stack, code: Code, receiver: Receiver
) -> None:
    wanted = {"types": ["order-*"], "secret": OWN, "when_dead": "block"}
    made = await manage(stack, "POST", body={"url": receiver.url, **wanted})
    order = code()
    receiver.status = 413
    await acknowledged(stack, order)
    shown: list[str] = []

    def its_own() -> list[str]:
        """The line of this order: facts of other tests' orders may still come, and be blocked, too."""
        return [line for line in shown if f" --order {order} " in line]

    async def is_blocked() -> bool:
        shown[:] = (await sluice("subscriptions", "show", made["id"], "--url", stack.admin_url))[1].splitlines()
        return any(line.startswith("  blocked     ") for line in shown) and len(its_own()) == 1

    await stack.eventually(is_blocked, lambda: f"it is blocked, but it shows {shown}")
    (first,) = [headers["webhook-id"] for headers, raw in receiver.got if order.encode() in raw]
    receiver.status = 204
    named = its_own()[0].split("   given up ")[0].split()
    yes = ("--yes", "--reason", "mended", "--url", stack.admin_url)
    exit_code, said = await sluice("subscriptions", "skip", made["id"], *named, *yes)
    assert (exit_code, said.splitlines()[-1]) == (0, f"skip {named[0]}: applied")

    async def goes_on() -> bool:
        return len(receiver.of(order)) > 1

    await stack.eventually(goes_on, "the facts behind it arrive")
    assert named == [first, "--order", order, "--channel", "demo"]
    await manage(stack, "DELETE", f"/{made['id']}")


async def test_a_redrive_of_a_destination_that_there_is_not_names_those_that_there_are(stack: Stack) -> None:
    exit_code, told = await sluice("redrive", "--destination", "increfff", "--url", stack.admin_url)
    assert exit_code != 0
    assert len(told.splitlines()) == 1
    assert "increfff is no destination; name one of increff, channel:demo" in told


async def sluice(*arguments: str) -> tuple[int | None, str]:
    """A command's exit code and what it prints."""
    command = [sys.executable, "-m", "sluice", *arguments]
    run = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await run.communicate()
    return run.returncode, printed.decode()


def _as_async(condition: Callable[[], bool]) -> Callable[[], Any]:
    async def run() -> bool:
        return condition()

    return run
