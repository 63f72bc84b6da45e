"""Bytes that are no HTTP: the contract's shape as answer, one short line by class and peer, none of them in the log."""

from __future__ import annotations

import asyncio
import gzip
import logging
import random

import orjson
import pytest
from aiohttp import web

from gateway.http.answers import Refused, shaped
from gateway.http.body import BodyReader
from tests.support.eventually import eventually
from tests.unit.gateway.connections.serving import serving
from topics import http_faults
from topics.contract.definition import Direction
from topics.http_faults import FaultLog, in_words

SECRET = b"s3cretPassw0rd"
BASE = b"POST /x HTTP/1.1\r\nHost: x\r\nauthPassword: " + SECRET + b"\r\n"
CASES = [
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECRET),
    ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECRET),
    ("method", b"\x00\x01\x02" + SECRET),
    ("method", b"get / HTTP/1.1\r\nHost: x\r\n\r\n" + SECRET),
    ("method", b"GIVE /" + SECRET + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("request-line", b"GET /" + SECRET + b"\n\n"),
    ("request-line", b"GET /" + SECRET + b" HTTP/9\r\nHost: x\r\n\r\n"),
    ("target", b"GET http://[" + SECRET + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("header", b"GET / HTTP/1.1\r\nauthPassword " + SECRET + b"\r\n\r\n"),
    ("header", b"GET / HTTP/1.1\r\nHost: x\r\nX: \x00" + SECRET + b"\r\n\r\n"),
    ("header", b"GET / HTTP/1.1\r\nX: " + SECRET + b"\r\n\r\n"),
    ("header", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * 200 + b"\r\n"),
    ("too-large", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + SECRET * 2_000 + b"\r\n\r\n"),
    ("too-large", b"GET /" + SECRET * 2_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("too-large", b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"X: " + SECRET * 100 + b"\r\n") * 60),
    ("framing", BASE + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("framing", BASE + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    ("framing", BASE + b"Content-Length: 3, 4\r\n\r\nabcd"),
    ("framing", BASE + b"Transfer-Encoding: chunked, " + SECRET + b"\r\n\r\n0\r\n\r\n"),
    ("framing", BASE + b"Content-Length: " + SECRET + b"\r\n\r\n0\r\n\r\n"),
    ("body", BASE + b"Transfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n\r\n"),
    ("body", BASE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab" + SECRET + b"\r\n\r\n"),
]


@pytest.fixture(autouse=True)
def every_fault_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_faults, "WINDOW_S", 0.0)


@pytest.mark.parametrize(("fault", "sent"), CASES, ids=[f"{fault}-{at}" for at, (fault, _) in enumerate(CASES)])
@pytest.mark.parametrize("cut", [False, True], ids=["one-piece", "pieces"])
async def test_what_is_no_http_is_answered_counted_and_logged_in_words(
    fault: str, sent: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], *, cut: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(handler=contract_like) as server:
        at = await server.connect()
        pieces = [sent[:20], sent[20:40], sent[40:]] if cut else [sent]
        for piece in pieces:
            at.writer.write(piece)
            await asyncio.sleep(0.01 if cut else 0)
        answer = await at.end()
        text = server.metrics.text()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer
    assert b"connection: close" in head.lower()
    assert set(orjson.loads(body)) == {"code", "message", "description"}
    assert b'sluice_gateway_malformed_requests_total{class="%b"} 1.0' % fault.encode() in text
    lines = [record.getMessage() for record in caplog.records if record.name == "topics.http_faults"]
    assert lines == [f"gateway: malformed request ({fault}) from 127.0.0.1"]
    said = caplog.text + "".join(capfd.readouterr())
    assert SECRET.decode() not in said
    assert "Traceback" not in said


async def contract_like(request: web.Request) -> web.Response:
    """Reads as all handlers of the gateway do."""
    try:
        return web.Response(body=await BodyReader(1 << 20).read(request))
    except Refused as refused:
        answer = shaped(Direction.TO_INCREFF, refused)
        return web.Response(status=answer.status, body=answer.body)


@pytest.mark.parametrize(
    ("path", "members"),
    [
        (b"/channels/demo/inventory", {"hasError", "errorMessage"}),
        (b"/api/orders/1", {"type", "title", "status", "detail", "code"}),
        (b"/assure-magic2/orders", {"code", "message", "description"}),
    ],
)
async def test_the_answer_has_the_shape_of_the_side_that_asked(path: bytes, members: set[str]) -> None:
    async with serving() as server:
        answer = await (await server.connect(b"GET " + path + b" HTTP/1.1\r\nbad header\r\n\r\n")).end()
    assert set(orjson.loads(answer.partition(b"\r\n\r\n")[2])) == members


async def test_a_body_that_breaks_later_ends_its_handler(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(handler=contract_like) as server:
        at = await server.connect(BASE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await eventually(lambda: server.registry.watched)
        at.writer.write(SECRET + b"\r\n")
        assert (await at.end()).startswith(b"HTTP/1.1 400 ")
    assert SECRET.decode() not in caplog.text


@pytest.mark.parametrize(
    "body", [b"\x1f\x8b" + SECRET, gzip.compress(SECRET, mtime=0)[:-8] + SECRET], ids=["no-gzip", "wrong-sum"]
)
async def test_a_compressed_body_that_is_none_leaves_no_traceback(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    head = BASE + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving(handler=contract_like) as server:
        assert (await (await server.connect(head + body)).end()).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in caplog.text
    assert SECRET.decode() not in caplog.text


async def test_a_handler_that_fails_is_logged_without_the_values_it_failed_of(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(request: web.Request) -> web.Response:
        raise KeyError(request.headers["authPassword"]) from ValueError(SECRET)

    async with serving(handler=failing) as server:
        answer = await (await server.connect(BASE + b"\r\n")).end()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert SECRET.decode() not in caplog.text
    assert "KeyError" in caplog.text
    assert "test_malformed.py" in caplog.text


async def test_bytes_of_any_kind_get_an_answer_or_an_end(caplog: pytest.LogCaptureFixture) -> None:
    random_ = random.Random(20_261_130)
    whole = BASE + b"Content-Length: 5\r\n\r\nhello"
    async with serving(
        handler=contract_like, head_s=0.3, body_grace_s=0.3, linger_s=30, connections_max=4_000
    ) as server:
        clients = []
        for _ in range(400):
            sent = bytearray(whole if random_.random() < 0.8 else random_.randbytes(80))
            for _change in range(random_.randint(1, 6)):
                sent[random_.randrange(len(sent))] = random_.choice(b"\r\n\x00 :;,/A\xff" + random_.randbytes(4))
            clients.append(await server.connect(bytes(sent)))
        for at in clients:
            try:
                at.writer.write_eof()
                answer = await at.end()
            except ConnectionError:
                continue
            assert not answer or answer.startswith(b"HTTP/1.1 "), answer
        await eventually(lambda: not server.registry.open)
        assert (await (await server.connect(whole)).answer()) == (200, b"hello")
    assert "Traceback" not in caplog.text


def test_a_flood_of_faults_is_one_line_and_then_a_count(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_faults, "WINDOW_S", 10.0)
    now = [0.0]
    faults = FaultLog("gateway", lambda: now[0])
    for _ in range(1_000):
        faults.note("tls", "10.0.0.1")
    faults.note("body", "10.0.0.2")
    now[0] = 11.0
    faults.note("tls", "10.0.0.3")
    assert [record.getMessage() for record in caplog.records] == [
        "gateway: malformed request (tls) from 10.0.0.1",
        "gateway: malformed request (body) from 10.0.0.2",
        "gateway: malformed request (tls) from 10.0.0.3, and 999 of this class since the last line",
    ]
    assert faults.counts == {"tls": 1_001, "body": 1}


async def test_the_event_loop_logs_its_faults_without_arguments(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    http_faults.log_loop_faults(loop)
    try:
        loop.call_soon(int, SECRET)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    assert "event loop: Exception in callback" in caplog.text
    assert "ValueError" in caplog.text
    assert SECRET.decode() not in caplog.text


def test_an_error_in_words_names_type_and_place_and_no_value() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        words = in_words(error)
    assert words.startswith("ValueError at test_malformed.py:")
    assert SECRET.decode() not in words
