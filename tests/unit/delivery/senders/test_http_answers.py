"""A refusal that comes compressed, cut off or wrongly labelled is read, or asked for again: it is never a success."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from streams.delivery.attempts.classify import classify
from streams.delivery.ports import Answer, Call, ResponseClass
from streams.delivery.senders.http import HttpSender
from tests.fakes.delivery import channels_for
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import INCREFF

CANCEL = BY_NAME["customer-cancellation"]
REFUSAL = b'{"hasError":true,"errorMessage":"packed already"}'
REFUSED, RETRY = ResponseClass.REFUSED, ResponseClass.RETRY


def whole(body: bytes, *headers: bytes, length: int | None = None) -> bytes:
    lines = (b"HTTP/1.1 200 OK", b"Content-Length: %d" % (len(body) if length is None else length), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


ANSWERS = {
    "as it should be": (whole(REFUSAL), REFUSED),
    "gzip": (whole(gzip.compress(REFUSAL), b"Content-Encoding: gzip"), REFUSED),
    "gzip, the header twice": (
        whole(gzip.compress(REFUSAL), b"Content-Encoding: gzip", b"Content-Encoding: gzip"),
        None,
    ),
    "deflate": (whole(zlib.compress(REFUSAL), b"Content-Encoding: deflate"), REFUSED),
    "deflate without its head": (whole(raw_deflate(REFUSAL), b"Content-Encoding: deflate"), REFUSED),
    "identity": (whole(REFUSAL, b"Content-Encoding: identity"), REFUSED),
    "gzip that is not said": (whole(gzip.compress(REFUSAL), b"Content-Type: application/json"), RETRY),
    "gzip that is not said, nor its type": (whole(gzip.compress(REFUSAL)), RETRY),
    "gzip twice": (whole(gzip.compress(gzip.compress(REFUSAL)), b"Content-Encoding: gzip"), RETRY),
    "gzip under its old name": (whole(gzip.compress(REFUSAL), b"Content-Encoding: x-gzip"), None),
    "said to be gzip": (whole(REFUSAL, b"Content-Encoding: gzip"), RETRY),
    "said to be deflate": (whole(REFUSAL, b"Content-Encoding: deflate"), RETRY),
    "said to be br": (whole(REFUSAL, b"Content-Encoding: br"), None),
    "said to be zstd": (whole(REFUSAL, b"Content-Encoding: zstd"), None),
    "said to be what nobody knows": (whole(REFUSAL, b"Content-Encoding: aes128gcm"), REFUSED),
    "gzip, half of it": (whole(gzip.compress(REFUSAL)[:30], b"Content-Encoding: gzip"), RETRY),
    "shorter than said": (whole(REFUSAL, length=1_000), RETRY),
    "shorter than said, and empty": (whole(b"", length=10), RETRY),
    "longer than said": (whole(REFUSAL, length=10), RETRY),
    "chunks": (chunked(chunk(REFUSAL[:9]), chunk(REFUSAL[9:]), b"0\r\n\r\n"), REFUSED),
    "chunks, cut off between two": (chunked(chunk(REFUSAL[:9])), RETRY),
    "chunks, cut off within one": (chunked(b"ff\r\n" + REFUSAL), RETRY),
    "chunks, before the last": (chunked(chunk(b"{}")), RETRY),
    "chunks of a wrong size": (chunked(b"zz\r\n" + REFUSAL + b"\r\n0\r\n\r\n"), RETRY),
    "until the end, cut off": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + REFUSAL[:20], RETRY),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\n" + REFUSAL, REFUSED),
    "a notice before it": (whole(b"<br />\n<b>Warning</b>: no\n" + REFUSAL, b"Content-Type: text/html"), RETRY),
}
"""The answer, and its class; None: read or asked for again, as the libraries that are installed can."""


@pytest.fixture
async def ask() -> AsyncIterator[_Ask]:
    asked = _Ask()
    yield asked
    await asked.sender.stop()


class _Ask:
    """Asks a server that answers with given bytes, then closes the connection."""

    sender: HttpSender

    async def __call__(self, raw: bytes) -> Answer:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            writer.write(raw)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            url = f"http://127.0.0.1:{port}"
            self.sender = HttpSender(channels_for(increff={"url": url, "timeout_s": 5}, marketplace={"url": url}))
            await self.sender.start()
            members = {"orderCode": "o1"}
            return await self.sender.send(
                Call(touchpoint=CANCEL, destination=INCREFF, channel="demo", members=members, delivery_id="d1")
            )


@pytest.mark.parametrize("what", ANSWERS)
async def test_a_refusal_on_the_wire_is_never_a_success(ask: _Ask, what: str) -> None:
    raw, expected = ANSWERS[what]
    answer = await ask(raw)
    verdict = classify(CANCEL, {}, answer, 0)
    assert verdict.kind in ((expected,) if expected is not None else (REFUSED, RETRY)), answer
    assert verdict.message
    if verdict.kind is REFUSED:
        assert verdict.message == "packed already"
