"""What is spoken at a broker's port, on real sockets: none, TLS, SASL, something else."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sluice.cli.doctor.brokers import addresses, look, told
from sluice.cli.doctor.findings import Level
from sluice.cli.doctor.wire import Heard, Speaks, heard_at
from sluice.dev.local.ports import free_ports

Serve = Callable[[socket.socket], None]
API_VERSIONS, SASL_HANDSHAKE = 18, 17


@contextmanager
def server(serve: Serve) -> Iterator[int]:
    """A server that treats each connection so."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with suppress(OSError, ValueError), connection:
                        serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def request_of(connection: socket.socket) -> int:
    """The number of the API that is asked for."""
    (size,) = struct.unpack(">i", connection.recv(4))
    return int(struct.unpack_from(">h", connection.recv(size))[0])


def answered(connection: socket.socket, body: bytes) -> None:
    connection.sendall(struct.pack(">ii", 4 + len(body), 7) + body)


def kafka(connection: socket.socket) -> None:
    for _ in range(2):
        request_of(connection)
        answered(connection, b"\0\0")


def with_sasl(connection: socket.socket) -> None:
    """As a listener with SASL: it says its versions and mechanisms, and closes at any other request."""
    asked = request_of(connection)
    if asked == SASL_HANDSHAKE:
        names = [b"SCRAM-SHA-512", b"PLAIN"]
        body = b"".join(struct.pack(">h", len(name)) + name for name in names)
        answered(connection, struct.pack(">hi", 33, len(names)) + body)
        return
    assert asked == API_VERSIONS
    answered(connection, b"\0\0")
    request_of(connection)


def http(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def in_tls(context: ssl.SSLContext, serve: Serve) -> Serve:
    def secured(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            serve(inner)

    return secured


def heard(serve: Serve) -> Heard:
    with server(serve) as port:
        return heard_at("127.0.0.1", port)


def test_a_kafka_without_tls_is_what_sluice_speaks() -> None:
    assert heard(kafka) == Heard(Speaks.KAFKA)


def test_plaintext_to_a_port_with_tls(tls: ssl.SSLContext) -> None:
    found = heard(in_tls(tls, kafka))
    assert found == Heard(Speaks.KAFKA_IN_TLS)
    _, finding = told("h:1", found, expects_tls=False)
    assert (finding.check, finding.level) == ("protocol", Level.PROBLEM)
    assert "TLS" in finding.what
    assert "PLAINTEXT" in finding.do
    assert [one.level for one in told("h:1", found, expects_tls=True)] == [Level.OK, Level.OK]


def test_tls_to_a_port_without() -> None:
    _, finding = told("h:1", heard(kafka), expects_tls=True)
    assert (finding.check, finding.level, "no TLS" in finding.what) == ("protocol", Level.PROBLEM, True)


def test_a_port_that_asks_for_sasl_names_what_it_takes() -> None:
    found = heard(with_sasl)
    assert found == Heard(Speaks.SASL, "SCRAM-SHA-512, PLAIN")
    _, finding = told("h:1", found, expects_tls=False)
    assert (finding.level, "SCRAM-SHA-512" in finding.what, bool(finding.do)) == (Level.PROBLEM, True, True)


@pytest.mark.parametrize("serve", [http, socket.socket.close])
def test_a_port_of_something_else(serve: Serve) -> None:
    found = heard(serve)
    assert found.speaks is Speaks.OTHER
    assert told("h:1", found, expects_tls=False)[1].level is Level.PROBLEM


async def test_a_broker_that_is_not_there() -> None:
    (port,) = free_ports(1)
    (closed,) = await look(f"127.0.0.1:{port}")
    assert (closed.check, closed.level, closed.about) == ("broker", Level.PROBLEM, f"127.0.0.1:{port}")
    assert "SLUICE_KAFKA" in closed.do
    (unknown,) = await look("nowhere.invalid:9092")
    assert (unknown.level, "not known" in unknown.what) == (Level.PROBLEM, True)


def test_the_addresses_of_the_settings() -> None:
    assert addresses("a:1, [::1]:2,c") == [("a", 1), ("::1", 2), ("", 0)]
