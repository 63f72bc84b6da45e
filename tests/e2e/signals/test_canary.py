"""A mark in all that may name people goes every way through Sluice, failures included, and is found in nothing that is
written for those who run it: logs, metrics, traces, facts, exports, and the journal that keeps no personal data."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from bench.processes import places, records_of
from sluice.dev.local.ports import free_ports
from tests.e2e.signals.collector import Collector, collector
from tests.e2e.stack import INCREFF_HEADERS, MARKETPLACE_HEADERS, Answer, Stack
from tests.support.logs.personal_marks import MARK, marked_call, misplaced_marks
from topics import http_sessions
from topics.api.routes import ROUTES, full_path
from topics.configuration.settings import load_settings
from topics.contract.definition import Direction, Mode, Touchpoint
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.kafka.catalogue import TOPICS
from topics.paths.patterns import filled, names_in
from topics.records.envelope import COMMAND, Envelope

ROOT = Path(__file__).resolve().parents[3]
LAST = ("cancel", "return")
CALLS = sorted(
    (one for one in TOUCHPOINTS if one.name != "get-credential"),
    key=lambda one: [word in one.name for word in LAST],
)
"""In the sequence of an order's life: what is cancelled or comes back was there before."""
WORDS = {"code": "BAD_DATA", "message": MARK, "description": f"[{MARK}]", "errorMessage": MARK, "hasError": True}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BAD_ANSWERS: tuple[tuple[int, Any], ...] = ((400, WORDS), (200, WORDS), (422, MARK), (503, f"<html>{MARK}</html>"))
"""Answers of far sides: refusals in their own words, of which each is the end of its request, and one to try again."""
SETTLED_S = 60.0
CODES = ("order", "q")
"""Parameters of /api that are codes, which the log has."""
EARLY = {"handover-notification", "seller-cancellation"}
"""Calls whose samples name another order: it is not known yet, so they are kept, and their callers told so."""


class Caller:
    """Calls touchpoints at the gateway, as whoever may call them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.statuses: set[tuple[str, int]] = set()
        self.refused: list[tuple[str, Any]] = []

    async def call(self, touchpoint: Touchpoint, members: Any, **more: str) -> Answer:
        inside = members if isinstance(members, dict) else {}
        codes = {name: str(inside.get(name, "X")) for name in touchpoint.path_members}
        path = filled(full_path(touchpoint), {"channel": "demo", **codes})
        headers = MARKETPLACE_HEADERS if touchpoint.direction is Direction.TO_INCREFF else INCREFF_HEADERS
        answer = await self._stack.call(
            touchpoint.method,
            self._stack.url + path,
            body=None if touchpoint.query else members,
            params={name: _text(value) for name, value in inside.items()} if touchpoint.query else None,
            headers={**headers, "User-Agent": MARK, "X-Customer": MARK, "traceparent": TRACEPARENT, **more},
        )
        self.statuses.add((touchpoint.name, answer.status))
        if answer.status != 200:
            self.refused.append((touchpoint.name, answer.body))
        return answer


def _text(value: Any) -> str:
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)


@pytest.fixture
async def traced(tmp_path: Path) -> AsyncIterator[tuple[Stack, Collector]]:
    (port,) = free_ports(1)
    environment = {
        "SLUICE_TRACES_URL": f"http://127.0.0.1:{port}",
        "SLUICE_TRACES_RATIO": "1",
        "SLUICE_JOURNAL_PERSONAL": "none",
        "SLUICE_LOG_LEVEL": "debug",
        "SLUICE_SUBSCRIPTION_DISABLE_AFTER_S": "1",
    }
    stack = Stack(tmp_path / "data", environment)
    async with collector(port) as found:
        await asyncio.to_thread(stack.start)
        try:
            yield stack, found
        finally:
            stack.close()


async def test_no_mark_is_found_where_people_look(traced: tuple[Stack, Collector], tmp_path: Path) -> None:
    stack, found = traced
    caller = Caller(stack)
    await _good_calls(caller)
    await _bad_calls(stack, caller)
    await _bad_records(stack)
    await _failing_far_sides(stack, caller)
    await _operators(stack)
    await _settled(stack)
    _check_that_all_happened(stack, caller)

    looked_at = {
        "metrics": await _metrics(stack),
        "facts": await _facts(stack),
        "exports": await asyncio.to_thread(_exports, stack, tmp_path),
        "traces": found.raw,
    }
    assert stack.stop() == 0
    looked_at["logs"] = [path.read_bytes() for path in (stack.log, *sorted((stack.data_dir / "logs").glob("*.log")))]
    looked_at["journal"] = [path.read_bytes() for path in sorted(stack.data_dir.rglob("journal.db*"))]
    assert {place: sum(map(len, contents)) > 0 for place, contents in looked_at.items()} == dict.fromkeys(
        looked_at, True
    )
    marked = {place: [one for content in contents for one in _around(content)] for place, contents in looked_at.items()}
    assert marked == {place: [] for place in looked_at}


async def _good_calls(caller: Caller) -> None:
    """Each call twice, so that there are repeats, and orders that are changed afterwards."""
    for _ in range(2):
        for touchpoint in CALLS:
            await caller.call(touchpoint, marked_call(touchpoint))
    create = BY_NAME["create-outward-order"]
    for name in (create.name, "customer-cancellation"):  # the other order is handed over by now
        await caller.call(BY_NAME[name], marked_call(BY_NAME[name], "-A"))
    body = marked_call(create)
    changed = {**body, "orderItems": [{**item, "quantity": 99} for item in body["orderItems"]]}
    assert (await caller.call(create, changed)).status == 400


async def _bad_calls(stack: Stack, caller: Caller) -> None:
    for touchpoint in CALLS:
        for number, members in enumerate(misplaced_marks(touchpoint, "-B")):
            await caller.call(touchpoint, members, **({"traceparent": MARK} if number % 2 else {}))
    create = BY_NAME["create-outward-order"]
    for body in (f'{{"name": "{MARK}', MARK, f'["{MARK}"]', f'{{"{MARK}": 1e999}}'):
        await stack.call("POST", stack.url + full_path(create), raw=body.encode(), headers=MARKETPLACE_HEADERS)
    for name in MARKETPLACE_HEADERS:
        await caller.call(create, marked_call(create), **{name: MARK})
    for method, path in (
        ("GET", f"/{MARK}"),
        ("PUT", f"/assure-magic2/orders/%zz{MARK}/cancel"),
        ("POST", f"/assure-magic2/{MARK}?name={MARK}"),
        ("DELETE", f"/assure-magic2/orders/outward?name={MARK}"),
        ("PUT", f"/channels/{MARK}/orders/pack"),
        ("GET", f"/api/orders/X?channel={MARK}"),
    ):
        for base in (stack.url, stack.admin_url):
            await stack.call(method, base + path, headers={"X-Customer": MARK, "Accept": MARK}, raw=b"")
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    writer.write(f"POST /{MARK} HTTP/9.9\r\nX: {MARK}\r\n{MARK}\r\n\r\n".encode())
    await writer.drain()
    await asyncio.wait_for(reader.read(), 10)
    writer.close()


async def _bad_records(stack: Stack) -> None:
    """Records of a producer that writes to Kafka itself, which no role can take."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{stack.kafka_port}", acks="all")
    await producer.start()
    create = COMMAND + "create-outward-order"
    headers = Envelope(id="e-1", type=create, source="/producer", channel="demo", traceparent=TRACEPARENT).headers()
    more = (("X-Customer", MARK.encode()), ("traceparent", TRACEPARENT.encode()))
    wrong = orjson.dumps({**marked_call(BY_NAME["create-outward-order"], "-R"), "orderItems": MARK})
    try:
        for topic in ("orders.commands", "deliveries.requests", "inventory.updates"):
            for value in (wrong, MARK.encode(), f'{{"id": "{MARK}"}}'.encode(), None):
                for given in (headers, more, (("ce_id", b"e-2"), ("ce_type", create.encode()), *more)):
                    await producer.send_and_wait(f"sluice.{topic}.v1", value, key=b"demo|R", headers=list(given))
    finally:
        await producer.stop()


async def _failing_far_sides(stack: Stack, caller: Caller) -> None:
    """Each call to a far side that answers with the mark: a relay's caller gets it, an order keeps it."""
    create = BY_NAME["create-outward-order"]
    for number, (status, body) in enumerate(BAD_ANSWERS):
        for side in ("increff", "marketplace"):
            faults = [
                {"touchpoint": one.name, "status": status, "body": body, "times": 1}
                for one in CALLS
                if one.far_side == side and one is not create
            ]
            await stack.misbehave(side, *faults)
        suffix = f"-F{number}"
        for touchpoint in CALLS:
            if touchpoint.mode is not Mode.ANSWER or touchpoint.direction is Direction.TO_INCREFF:
                await caller.call(touchpoint, marked_call(touchpoint, suffix))
    await stack.misbehave(
        "increff", *[{"touchpoint": create.name, "status": s, "body": b, "times": 1} for s, b in BAD_ANSWERS]
    )
    for number in range(len(BAD_ANSWERS)):
        await caller.call(create, marked_call(create, f"-C{number}"))
    await _settled(stack)
    for side in ("increff", "marketplace"):
        await stack.behave(side)


async def _operators(stack: Stack) -> None:
    """Those who look for people by what they know of them, and what they do then."""
    order = marked_call(BY_NAME["create-outward-order"], "-C0")["orderCode"]
    for command in (("order", order), ("redrive", "--yes", "--reason", "again"), ("orders", "resubmit", order)):
        await asyncio.to_thread(_sluice, stack, *command)
    for route in ROUTES:
        if route.is_read:
            path = filled(route.path, dict.fromkeys(names_in(route.path), order))
            for known in (one for one in route.query if one.name not in CODES):
                await stack.call("GET", stack.admin_url + path, params={known.name: MARK})
    for path in (f"/api/redrives?customer={MARK}", f"/api/inventory/pause/demo?customer={MARK}", "/api/subscriptions"):
        await stack.call("POST", stack.admin_url + path, body={"customer": MARK, "url": MARK})


def _sluice(stack: Stack, *command: str) -> None:
    """It may refuse: what counts is what it leaves in the logs."""
    url = f"--url={stack.admin_url}"
    subprocess.run([sys.executable, "-m", "sluice", *command, url], cwd=ROOT, check=False, capture_output=True)


async def _settled(stack: Stack) -> None:
    """Until nothing is written any more: the journal's offsets stand still."""
    before: list[Any] = []

    async def stands_still() -> bool:
        nonlocal before
        with closing(sqlite3.connect(next(stack.data_dir.rglob("journal.db")))) as journal:
            now = journal.execute("select * from offsets order by 1, 2").fetchall()
        stood, before = bool(now) and now == before, now
        return stood

    await stack.eventually(stands_still, "the journal stands still", SETTLED_S, every_s=1.0)


def _check_that_all_happened(stack: Stack, caller: Caller) -> None:
    """Nothing proves anything unless the marks went all the ways."""
    assert {name for name, status in caller.statuses if status == 200} >= {one.name for one in CALLS} - EARLY, (
        caller.refused[:15]
    )
    commands = {one.name for one in CALLS if one.mode is not Mode.ANSWER and not one.query}
    assert {name for name, status in caller.statuses if status == 400} >= commands
    with closing(sqlite3.connect(next(stack.data_dir.rglob("journal.db")))) as journal:
        for table in ("dead_letters", "rejected", "refused_calls", "attempts", "bodies"):
            assert journal.execute(f"select count(*) from {table}").fetchone()[0], table  # noqa: S608 - names from here


async def _metrics(stack: Stack) -> list[bytes]:
    rows = re.findall(r"(http://\S+)  .*/metrics", stack.log.read_text())
    assert len(rows) >= 5, stack.log.read_text()
    async with http_sessions.session(timeout=aiohttp.ClientTimeout(total=10)) as session:
        found = []
        for url in rows:
            async with session.get(f"{url}/metrics") as response:
                assert response.status == 200
                found.append(await response.read())
    return found


async def _facts(stack: Stack) -> list[bytes]:
    """All topics that are to have no personal data, but for that of stock calls, which has them as they came."""
    settings = load_settings(kafka=f"127.0.0.1:{stack.kafka_port}", partitions=2)
    found: list[bytes] = []
    for topic in TOPICS:
        if not topic.personal_data and topic.name != "inventory.updates":
            records = await records_of(settings.kafka, places(settings, topic.name))
            found += [repr((one.key, one.value, one.headers)).encode() for one in records]
    return found


def _exports(stack: Stack, directory: Path) -> list[bytes]:
    command = [
        sys.executable,
        "examples/analytics.py",
        f"127.0.0.1:{stack.kafka_port}",
        str(directory / "facts.duckdb"),
    ]
    subprocess.run([*command, str(directory / "parquet")], cwd=ROOT, check=True, capture_output=True)
    return [path.read_bytes() for path in sorted(directory.rglob("*")) if path.suffix in (".duckdb", ".parquet")]


def _around(content: bytes) -> list[bytes]:
    """Some of the places where the mark is."""
    return [content[max(0, at.start() - 300) : at.end() + 100] for at in re.finditer(MARK.encode(), content)][:3]
