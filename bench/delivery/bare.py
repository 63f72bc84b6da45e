"""The reference of the delivery benchmark: a loop around aiohttp's client, in a process of its own.

It reads nothing from Kafka, and neither orders, signs, retries nor records its posts. Prints one JSON object.
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

from topics import http_sessions

WARM_UP_S = 1.0
"""Time to open every connection and to run the code a few times."""


class Loop:
    def __init__(self, url: str, bodies: list[bytes]) -> None:
        self.url = url
        self.bodies = bodies
        self.sent = 0
        self.taken = 0
        self.stopping = False

    async def post(self, session: aiohttp.ClientSession) -> None:
        headers = {"Content-Type": "application/json"}
        while not self.stopping:
            body = self.bodies[self.sent % len(self.bodies)]
            self.sent += 1
            async with session.post(self.url, data=body, headers=headers) as answer:
                await answer.read()
                self.taken += answer.status == 200


async def run(spec: dict[str, Any]) -> dict[str, Any]:
    loop, connections = Loop(spec["url"], spec["bodies"]), int(spec["connections"])
    async with http_sessions.session(connector=aiohttp.TCPConnector(limit=connections)) as session:
        posting = [asyncio.create_task(loop.post(session)) for _ in range(connections)]
        await asyncio.sleep(WARM_UP_S)
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


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    given["bodies"] = Path(given["bodies"]).read_bytes().splitlines()
    sys.stdout.write(json.dumps(uvloop.run(run(given))))
