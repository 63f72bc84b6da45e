"""Looks at the port of a broker without a client: whether somebody listens, and what is spoken there.

A client says of a port that speaks TLS, or asks for SASL, no more than that the connection was closed.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TIMEOUT_S: Final = 3.0
"""For each step. A broker answers such a question in milliseconds."""
ANSWER_BYTES_MAX: Final = 4 << 20
"""Longest answer that is read: the metadata of a cluster of a thousand brokers fits. A longer one is not Kafka's."""
_API_VERSIONS, _METADATA, _SASL_HANDSHAKE = 18, 3, 17
_CORRELATION: Final = 7
_CLIENT: Final = b"sluice-doctor"
_ALERT: Final = 0x15
"""First byte of a TLS record that says why a connection ends."""


class Speaks(StrEnum):
    """Answers to the question what a port speaks."""

    KAFKA = "Kafka's protocol"
    SASL = "Kafka's protocol behind SASL"
    TLS = "TLS"
    KAFKA_IN_TLS = "Kafka's protocol in TLS"
    OTHER = "something else"
    NOTHING = "nothing: no connection"
    NO_HOST = "nothing: the host is not known"


@dataclass(frozen=True, slots=True)
class Heard:
    """`detail`: the system's words for a failure, or the mechanisms of SASL that the broker takes."""

    speaks: Speaks
    detail: str = ""


def heard_at(host: str, port: int, timeout_s: float = TIMEOUT_S) -> Heard:
    """Listens to a port. Blocks for some times `timeout_s` at most."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            plain = _ask(connection)
    except socket.gaierror as error:
        return Heard(Speaks.NO_HOST, error.strerror or str(error))
    except OSError as error:
        return Heard(Speaks.NOTHING, error.strerror or str(error) or type(error).__name__)
    if plain is Speaks.KAFKA:
        return Heard(Speaks.KAFKA)
    if plain is Speaks.SASL:
        return Heard(Speaks.SASL, _mechanisms(host, port, timeout_s))
    return Heard(_in_tls(host, port, timeout_s))


def _ask(connection: socket.socket) -> Speaks:
    """Whether the port answers as Kafka does. A listener with SASL says which versions it has, and no more."""
    try:
        connection.sendall(_request(_API_VERSIONS, 0))
        if not _answers(connection):
            return Speaks.OTHER
    except (OSError, ValueError):
        return Speaks.OTHER
    try:
        connection.sendall(_request(_METADATA, 1, struct.pack(">i", 0)))
        return Speaks.KAFKA if _answers(connection) else Speaks.SASL
    except (OSError, ValueError):
        return Speaks.SASL


def _mechanisms(host: str, port: int, timeout_s: float) -> str:
    """The mechanisms of SASL that the broker names; empty if it names none."""
    with suppress(OSError, ValueError, struct.error), socket.create_connection((host, port), timeout_s) as connection:
        connection.sendall(_request(_SASL_HANDSHAKE, 1, struct.pack(">h", 5) + b"PLAIN"))
        answer = _answer(connection)
        (count,) = struct.unpack_from(">i", answer, 6)
        names, at = [], 10
        for _ in range(count):
            (size,) = struct.unpack_from(">h", answer, at)
            names.append(answer[at + 2 : at + 2 + size].decode(errors="replace"))
            at += 2 + size
        return ", ".join(names)
    return ""


def _in_tls(host: str, port: int, timeout_s: float) -> Speaks:
    """Whether TLS is spoken. What the certificate says does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            name = None if _is_address(host) else host
            with context.wrap_socket(connection, server_hostname=name) as secured:
                return Speaks.KAFKA_IN_TLS if _ask(secured) in (Speaks.KAFKA, Speaks.SASL) else Speaks.TLS
    except ssl.SSLError as error:
        # A server of TLS that wants a certificate, or another version, answers with an alert; others with anything.
        return Speaks.TLS if "ALERT" in (error.reason or "") else Speaks.OTHER
    except OSError:
        return Speaks.OTHER


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def _request(api: int, version: int, body: bytes = b"") -> bytes:
    head = struct.pack(">hhih", api, version, _CORRELATION, len(_CLIENT)) + _CLIENT
    return struct.pack(">i", len(head) + len(body)) + head + body


def _answers(connection: socket.socket) -> bool:
    """Whether the next bytes are an answer to a request from here."""
    return len(_answer(connection)) >= 4


def _answer(connection: socket.socket) -> bytes:
    """Raises ValueError for what is no answer to a request from here."""
    head = _read(connection, 4)
    if head[0] == _ALERT:
        raise ValueError("an alert of TLS")
    (size,) = struct.unpack(">i", head)
    if not 4 <= size <= ANSWER_BYTES_MAX:
        raise ValueError(f"an answer of {size} bytes")
    answer = _read(connection, size)
    if struct.unpack_from(">i", answer)[0] != _CORRELATION:
        raise ValueError("an answer to another question")
    return answer


def _read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = connection.recv(size - len(found))
        if not piece:
            raise ConnectionError("closed before the end of an answer")
        found += piece
    return found
