"""Client that sends a stream to a gateway, for the command line."""

from __future__ import annotations

import http.client
import json
import select
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

from sluice.cli.gateway_client import authorization, no_answer, refused
from sluice.errors import StartError

TIMEOUT_S = 120.0
"""Longest silence of the gateway: it waits for Kafka, and half a minute for the outcome of an upload."""


class _AnsweredError(Exception):
    """The gateway answers before it has the whole stream."""


def upload(url: str, path: str, blocks: Iterable[bytes], content_type: str) -> tuple[int, Any]:
    """PUT the blocks as they come; return status and document of the answer. Raises StartError that says what to do."""
    connection = _connection(url)
    headers = {"Content-Type": content_type, "Transfer-Encoding": "chunked", **authorization()}
    try:
        connection.connect()
        try:
            target = urllib.parse.urlsplit(url).path.rstrip("/") + path
            connection.request("PUT", target, _unless_answered(connection, blocks), headers, encode_chunked=True)
        except (_AnsweredError, BrokenPipeError, ConnectionResetError):
            pass  # the answer says why it took no more
        answer = connection.getresponse()
        raw = answer.read()
        if answer.status >= 300:
            kind = answer.headers.get_content_type()
            raise refused(url, answer.status, answer.reason, kind, raw)
        return answer.status, json.loads(raw)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise no_answer(url, error) from error
    finally:
        connection.close()


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StartError(f"--url {url}: expected http://HOST:PORT or https://HOST")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port, timeout=TIMEOUT_S)


def _unless_answered(connection: http.client.HTTPConnection, blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if select.select([connection.sock], [], [], 0)[0]:
            raise _AnsweredError
        yield block
