"""Asking a role over HTTP whether it is ready, without an HTTP library: the supervisor starts the faster for it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

_ANSWER_BYTES_MAX = 64 << 10
"""An answer to /ready is one line; what is longer is cut and counts as what its status line says."""


async def ask_ready(port: int, path: str, host: str = "127.0.0.1") -> str | None:
    """None when the answer is 2xx, else the reason in it or why there is none."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return "is starting"
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return _reason(await _read(reader))
    except OSError as error:
        return f"did not answer: {error}"
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    while len(answer) < _ANSWER_BYTES_MAX and (piece := await reader.read(_ANSWER_BYTES_MAX)):
        answer += piece
    return answer


def _reason(answer: bytes) -> str | None:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status and status[0].startswith(b"2"):
        return None
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if isinstance(told, dict) and told.get("reason"):
        return str(told["reason"])
    return f"answered {status[0].decode(errors='replace')}" if status else "answered nothing"
