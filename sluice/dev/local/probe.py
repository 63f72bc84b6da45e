"""Probe of a role's readiness over HTTP, without an HTTP library, so that `sluice up` starts faster."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

_ANSWER_BYTES_MAX = 64 << 10
"""An answer to /ready is one line; a longer one is cut, and its status line counts."""


async def ask_ready(port: int, path: str, host: str = "127.0.0.1") -> str | None:
    """Return None when the answer is 2xx, else its reason, or why there is no answer."""
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
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and document.get("reason"):
        return str(document["reason"])
    return f"answered {status[0].decode(errors='replace')}" if status else "answered nothing"
