"""Each post arrives once, as it is written, and whatever comes back is a reply that ends with its own request."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.webhooks import webhook_client
from topics.configuration.networks import parse_networks, parse_ports
from topics.webhooks import client as client_module
from topics.webhooks.addresses import AddressGuard
from topics.webhooks.client import ANSWER_BYTES_MAX, Response, WebhookClient

LOCAL = AddressGuard(networks=parse_networks("127.0.0.0/8"), ports=parse_ports("1-65535"), plain_http=True)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """Reads whole requests and answers each by the next of `answers`, the last one for all that follow."""

    def __init__(self, *answers: bytes | Answer) -> None:
        self.answers = list(answers) or [OK]
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = asyncio.Event()
        """Set when the client's side of a connection has ended."""
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    def url(self, *, scheme: str = "http", host: str = "127.0.0.1", path: str = "/hook") -> str:
        assert self._server is not None
        return f"{scheme}://{host}:{self._server.sockets[0].getsockname()[1]}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if callable(answer):
                    await answer(writer)
                else:
                    writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()
        finally:
            writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


async def post(client: WebhookClient, receiver: Receiver, timeout_s: float = 20.0) -> Response:
    return await client.post(client.endpoint(receiver.url()), "webhook-id: m\r\n", b'{"a":1}', timeout_s)


async def test_a_request_is_written_once_and_whole(receiver: Receiver) -> None:
    async with webhook_client(LOCAL) as client:
        endpoint = client.endpoint(receiver.url(path="/a%2Fb?c=%20d"))
        assert await client.post(endpoint, "webhook-id: m1\r\nx: y\r\n", b'{"a":1}', 20.0) == Response(
            200, {"content-length": "2"}, b"{}"
        )
    port = receiver.url().split(":")[2].split("/")[0]
    assert receiver.requests == [
        f"POST /a%2Fb?c=%20d HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: Sluice\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nContent-Type: application/json\r\nwebhook-id: m1\r\nx: y\r\n"
        'Content-Length: 7\r\n\r\n{"a":1}'.encode()
    ]


def test_the_host_is_written_as_the_url_has_it() -> None:
    async def heads() -> list[bytes]:
        client = WebhookClient(AddressGuard())
        urls = ("https://Hooks.Example", "https://hooks.example:8443?x", "https://[2606:4700::1111]:8443/a")
        return [client.endpoint(url).head.split(b"User-Agent")[0] for url in urls]

    assert asyncio.run(heads()) == [
        b"POST / HTTP/1.1\r\nHost: hooks.example\r\n",
        b"POST /?x HTTP/1.1\r\nHost: hooks.example:8443\r\n",
        b"POST /a HTTP/1.1\r\nHost: [2606:4700::1111]:8443\r\n",
    ]


async def _then_close(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(answer)
    writer.close()


def closing(answer: bytes) -> Answer:
    return lambda writer: _then_close(writer, answer)


BOMB = gzip.compress(bytes(10 << 20))


@pytest.mark.parametrize(
    ("answer", "status", "body", "error"),
    [
        (OK, 200, b"{}", ""),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", 410, b"", ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", ""),
        (b"HTTP/1.1 307 X\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n", 307, b"", ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", 200, b"abc", ""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"{}", ""),
        (closing(b"HTTP/1.0 200 OK\r\n\r\nto the end"), 200, b"to the end", ""),
        (closing(b"HTTP/1.1 500 X\r\nConnection: close\r\n\r\n"), 500, b"", ""),
        (
            closing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
            200,
            b"abc",
            "was cut off: closed by the far side",
        ),
        (closing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), 200, b"ab", "was cut off"),
        (closing(b""), None, b"", "no answer: closed by the far side"),
        (closing(b"HTTP/1.1 200 OK\r\nConte"), None, b"", "no answer: closed by the far side"),
        (closing(b"HTTP/1.1 100 Continue\r\n\r\n"), None, b"", "no answer: closed by the far side"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", None, b"", "not HTTP"),
        (b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", None, b"", "changes the protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", None, b"", "not HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + bytes(ANSWER_BYTES_MAX),
            200,
            None,
            "larger than 65536",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * ANSWER_BYTES_MAX, None, b"", "larger than 65536"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, None, b"", "larger than 65536"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(BOMB), BOMB),
            200,
            BOMB,
            "",
        ),
    ],
)
async def test_whatever_comes_back_is_a_reply(
    receiver: Receiver, answer: bytes | Answer, status: int | None, body: bytes | None, error: str
) -> None:
    receiver.answers = [answer]
    async with webhook_client(LOCAL) as client:
        reply = await post(client, receiver)
    assert reply.status == status
    assert (error in reply.error) if error else (reply.error == "")
    assert body is None or reply.body == body


async def test_headers_are_told_by_their_names_in_lower_case(receiver: Receiver) -> None:
    receiver.answers = [b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nX-Y: \xe4\r\nContent-Length: 0\r\n\r\n"]
    async with webhook_client(LOCAL) as client:
        assert (await post(client, receiver)).headers == {"retry-after": "7", "x-y": "\xe4", "content-length": "0"}


async def test_a_connection_is_used_again(receiver: Receiver) -> None:
    async with webhook_client(LOCAL) as client:
        for _ in range(3):
            assert (await post(client, receiver)).status == 200
        await asyncio.gather(*(post(client, receiver) for _ in range(4)))
    assert len(receiver.requests) == 7
    assert receiver.connections == 4


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n",
        OK + b"garbage",
        OK + b"HTTP/1.1 200 O",
    ],
)
async def test_what_one_answer_left_behind_never_meets_the_next_request(receiver: Receiver, first: bytes) -> None:
    receiver.answers = [first, b"HTTP/1.1 202 Mine\r\nContent-Length: 0\r\n\r\n"]
    async with webhook_client(LOCAL) as client:
        assert (await post(client, receiver)).status == 200
        await receiver.closed.wait()
        assert (await post(client, receiver)).status == 202
    assert receiver.connections == 2


async def test_bytes_that_nobody_asked_for_end_an_idle_connection(receiver: Receiver) -> None:
    late = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await late.wait()
        writer.write(b"HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n")

    receiver.answers = [answer, OK]
    async with webhook_client(LOCAL) as client:
        assert (await post(client, receiver)).status == 200
        late.set()
        await receiver.closed.wait()
        assert (await post(client, receiver)).status == 200
    assert receiver.connections == 2


async def test_no_answer_in_time_is_no_status_and_ends_the_connection(receiver: Receiver) -> None:
    async def never(_writer: asyncio.StreamWriter) -> None:
        return

    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")

    for answer in (never, half):
        receiver.answers = [answer]
        receiver.closed.clear()
        async with webhook_client(LOCAL) as client:
            assert "no answer within 0.05 s" in (await post(client, receiver, 0.05)).error
            await receiver.closed.wait()


async def test_a_call_that_is_cancelled_ends_its_connection(receiver: Receiver) -> None:
    asked = asyncio.Event()

    async def never(_writer: asyncio.StreamWriter) -> None:
        asked.set()

    receiver.answers = [never]
    async with webhook_client(LOCAL) as client:
        call = asyncio.create_task(post(client, receiver))
        await asked.wait()
        call.cancel()
        await receiver.closed.wait()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_idle_connections_are_closed_in_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "KEEPALIVE_S", 0.0)
    monkeypatch.setattr(client_module, "SWEEP_S", 0.01)
    async with webhook_client(LOCAL) as client:
        assert (await post(client, receiver)).status == 200
        await receiver.closed.wait()
        assert (await post(client, receiver)).status == 200
    assert receiver.connections == 2


async def test_nobody_there_is_no_status(unused_tcp_port: int) -> None:
    async with webhook_client(LOCAL) as client:
        reply = await client.post(client.endpoint(f"http://127.0.0.1:{unused_tcp_port}/"), "", b"", 20.0)
    assert reply.status is None
    assert "Error" in reply.error


def certificate(directory: Path, name: str) -> ssl.SSLContext:
    """A server's context with a certificate of its own making for `name`, which is also in `directory`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context


async def here(_host: str) -> list[str]:
    return ["127.0.0.1"]


async def test_over_tls_the_name_and_the_authority_are_verified(tmp_path: Path) -> None:
    receiver = Receiver()
    await receiver.start(certificate(tmp_path, "hooks.example"))
    known = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))

    async def ask(host: str, tls: ssl.SSLContext | None) -> Response:
        async with webhook_client(LOCAL, here, tls) as client:
            return await client.post(client.endpoint(receiver.url(scheme="https", host=host)), "", b"{}", 20.0)

    assert (await ask("hooks.example", known)).status == 200
    assert "SSLCertVerificationError" in (await ask("other.example", known)).error
    assert "SSLCertVerificationError" in (await ask("hooks.example", None)).error
    assert len(receiver.requests) == 1
    await receiver.stop()


async def test_plain_http_behind_an_https_url_is_an_error(receiver: Receiver) -> None:
    async def greet(writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    receiver.answers = [greet]
    async with webhook_client(LOCAL) as client:
        reply = await client.post(client.endpoint(receiver.url(scheme="https")), "", b"{}", 0.2)
    assert reply.status is None
    assert receiver.requests == []
