"""The receiver in docs/recovery.md has every fact once, whatever was given up on the way to it."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

GUIDE = Path(__file__).parents[3] / "docs" / "recovery.md"


def event(sequence: int) -> dict[str, Any]:
    return {"type": "order-updated", "timestamp": "", "data": {"sequence": sequence}}


def delivery(sequence: int, previous: int, watermark: int) -> dict[str, Any]:
    told = {"order": "A/1", "channel": "demo", "sequence": sequence, "previousSequence": previous}
    return {**event(sequence), "delivery": {**told, "watermark": watermark}}


async def test_a_gap_is_noticed_and_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def events(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        after = int(request.query["after"])
        following = str(request.rel_url.with_query(channel="demo", after=after + 1)) if after < 3 else None
        return web.json_response({"events": [event(after + 1)], "next": following})

    sluice = web.Application()
    sluice.router.add_get("/api/orders/{code}/events", events)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    async with TestClient(TestServer(sluice)) as gateway:
        receiver: dict[str, Any] = {"__name__": "receiver"}
        exec(example, receiver)  # noqa: S102 - what readers are told to run
        receiver["SLUICE"] = str(gateway.make_url("/")).rstrip("/")
        async with TestClient(TestServer(receiver["app"])) as at:
            challenge = {"type": "subscription-verification", "data": {"challenge": "c"}}
            assert await (await at.post("/hook", json=challenge)).json() == {"challenge": "c"}
            # 2 and 3 were given up; 2 comes late; after 5 there is nothing to ask for.
            for told in (delivery(1, 0, 0), delivery(4, 3, 1), delivery(2, 1, 1), delivery(5, 4, 1)):
                assert (await at.post("/hook", json=told)).status == 204
        receiver["db"].close()
    assert len(asked) == 3
    with sqlite3.connect("facts.db") as db:
        assert db.execute("SELECT code, sequence FROM facts ORDER BY sequence").fetchall() == [
            ("A/1", sequence) for sequence in range(1, 6)
        ]
