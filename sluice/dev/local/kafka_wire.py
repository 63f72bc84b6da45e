"""Probe of a broker without a client library: whether it serves, and how many brokers it knows."""

from __future__ import annotations

import socket
import struct

_METADATA, _VERSION = 3, 1
_CORRELATION = 1
_ANSWER_BYTES_MAX = 1 << 20
"""A metadata answer without topics has some hundred bytes; a larger one does not come from Kafka."""


def brokers_alive(host: str, port: int, timeout_s: float = 2.0) -> int:
    """Return how many live brokers the broker at this address knows; 0 while it does not serve."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(_metadata_request())
            return _brokers_in(_answer(connection))
    except (OSError, struct.error, ValueError):
        return 0  # not listening, not answering yet, or not Kafka: each means "not serving"


def first_alive(bootstrap: str, timeout_s: float = 2.0) -> str | None:
    """Return the first address of a `host:port,host:port` list that serves, or None."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if port.isdecimal() and brokers_alive(host.strip("[]"), int(port), timeout_s):
            return address.strip()
    return None


def _metadata_request() -> bytes:
    # Header v1: key, version, correlation id, client id; then an empty list of topics: only the brokers matter here.
    body = struct.pack(">hhih", _METADATA, _VERSION, _CORRELATION, -1) + struct.pack(">i", 0)
    return struct.pack(">i", len(body)) + body


def _answer(connection: socket.socket) -> bytes:
    size = struct.unpack(">i", _read(connection, 4))[0]
    if not 0 < size <= _ANSWER_BYTES_MAX:
        raise ValueError(f"an answer of {size} bytes")
    return _read(connection, size)


def _read(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        piece = connection.recv(size - len(read))
        if not piece:
            raise ConnectionError("closed in the middle of an answer")
        read += piece
    return read


def _brokers_in(answer: bytes) -> int:
    correlation, count = struct.unpack_from(">ii", answer)
    if correlation != _CORRELATION:
        raise ValueError("an answer to another question")
    return int(count)
