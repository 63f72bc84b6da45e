"""Increff, slow: takes every request whole, and answers 200 after `argv[2]` seconds on the port `argv[1]`."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web

BODY_BYTES_MAX = 8 << 20


async def serve(port: int, takes_s: float) -> None:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(takes_s)
        return web.Response()

    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_route("*", "/{tail:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
