"""The reference of the delivery benchmark: a loop around aiohttp's client, in a process of its own.

It reads nothing from Kafka, and neither orders, signs, retries nor records its posts. With a rate (`per_s`) it posts
each when it is due, else as fast as they are answered. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from bench.delivery.load import LATE_S, WARM_UP_S, due_s, offered
from topics import http_sessions

OPEN_S = 1.0
"""Time to open every connection and to run the code a few times."""


class Loop:
    def __init__(self, url: str, bodies: list[bytes]) -> None:
        self.url = url
        self.bodies = bodies
        self.sent = 0
        self.taken = 0
        self.stopping = False

    async def post(self, session: aiohttp.ClientSession) -> None:
        while not self.stopping:
            await self.post_one(session, {})

    async def post_one(self, session: aiohttp.ClientSession, more: dict[str, str]) -> None:
        body = self.bodies[self.sent % len(self.bodies)]
        self.sent += 1
        async with session.post(self.url, data=body, headers={"Content-Type": "application/json", **more}) as answer:
            await answer.read()
            self.taken += answer.status == 200


async def run(spec: dict[str, Any]) -> dict[str, Any]:
    loop, connections = Loop(spec["url"], spec["bodies"]), int(spec["connections"])
    async with http_sessions.session(connector=aiohttp.TCPConnector(limit=connections)) as session:
        posting = [asyncio.create_task(loop.post(session)) for _ in range(connections)]
        await asyncio.sleep(OPEN_S)
        before, started, used = loop.taken, time.perf_counter(), time.process_time()
        await asyncio.sleep(float(spec["seconds"]))
        taken, seconds, used = loop.taken - before, time.perf_counter() - started, time.process_time() - used
        loop.stopping = True
        await asyncio.gather(*posting)
    return {
        "per_s": taken / seconds,
        "cpu_us": 1e6 * used / max(1, taken),
        "sent": loop.sent,
        "taken": loop.taken,
    }


async def steady(spec: dict[str, Any]) -> dict[str, Any]:
    """Post at a steady rate, with ids by which the receiver notes when each arrives; return what a load does."""
    loop, per_s, seconds = Loop(spec["url"], spec["bodies"]), float(spec["per_s"]), float(spec["seconds"])
    count, late, posting = offered(per_s, seconds), 0, set[asyncio.Task[None]]()
    async with http_sessions.session(connector=aiohttp.TCPConnector(limit=int(spec["connections"]))) as session:
        started, epoch = time.perf_counter(), time.time()
        for number in range(count):
            due = due_s(number, per_s)
            if (pause := due - (time.perf_counter() - started)) > 0:
                await asyncio.sleep(pause)
            late += time.perf_counter() - started - due > LATE_S
            task = asyncio.create_task(loop.post_one(session, {"webhook-id": name_of_post(number)}))
            posting.add(task)
            task.add_done_callback(posting.discard)
        took_s = time.perf_counter() - started - WARM_UP_S
        await asyncio.gather(*posting)
    if loop.taken != count:
        raise RuntimeError(f"{loop.taken} of {count} posts were answered 200")
    load = {"offered": count, "steady": int(per_s * seconds), "per_s": per_s, "seconds": took_s, "late": late}
    return {**load, "began_ms": epoch * 1000}


def name_of_post(number: int) -> str:
    return f"bare-{number}"


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    given["bodies"] = Path(given["bodies"]).read_bytes().splitlines()
    sys.stdout.write(json.dumps(uvloop.run(steady(given) if "per_s" in given else run(given))))
