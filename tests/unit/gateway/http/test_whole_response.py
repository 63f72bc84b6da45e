"""A WholeResponse is, byte for byte, what aiohttp would have written."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from gateway.http.whole_response import WholeResponse

HEADERS = {"Content-Type": "application/json", "Sluice-Position": "orders.commands/3/7"}
REQUESTS = {
    "usual": b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n",
    "posted": b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    "head": b"HEAD /%s HTTP/1.1\r\nHost: a\r\n\r\n",
    "last": b"GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "old": b"GET /%s HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "old and last": b"GET /%s HTTP/1.0\r\nHost: a\r\n\r\n",
}
ANSWERS = {"body": (200, b'{"a":1}'), "empty": (200, b""), "refused": (503, b"{}"), "no content": (204, b"")}


def served(status: int, body: bytes) -> web.Application:
    async def handle(request: web.Request) -> web.Response:
        made = WholeResponse if request.path == "/ours" else web.Response
        return made(status=status, body=body, headers=HEADERS if body else {})

    app = web.Application()
    app.router.add_route("*", "/{which}", handle)
    return app


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_it_writes_what_aiohttp_writes(request_name: str, answer: str) -> None:
    runner = web.AppRunner(served(*ANSWERS[answer]), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        ours, theirs = [await _answers(port, request_name, which) for which in (b"ours", b"theirs")]
    finally:
        await runner.cleanup()
    assert ours == theirs


async def _answers(port: int, name: str, which: bytes) -> list[bytes]:
    """The lines of two answers on one connection, without their times."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUESTS[name] % which)
    first = await reader.readuntil(b"\r\n\r\n")
    if name not in ("last", "old and last"):
        writer.write(REQUESTS["last"] % which)
    rest = await reader.read()
    writer.close()
    return [line for line in (first + rest).split(b"\r\n") if not line.startswith(b"Date: ")]
