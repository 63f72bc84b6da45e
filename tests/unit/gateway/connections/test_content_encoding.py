"""A body's Content-Encoding is understood in every spelling, or refused in its caller's shape with those that are
taken."""

from __future__ import annotations

import gzip
import zlib

import orjson
import pytest

from gateway.connections.content_encoding import in_one_spelling
from tests.fakes.gateway import INCREFF, MARKETPLACE, gateway
from tests.support.paths.raw_http import RawAnswer, RawClient, both_ports
from topics.contract.sample_files import sample

ORDER = "POST /assure-magic2/orders/outward"
BODY = orjson.dumps(sample("create-outward-order").body)
GZIP, DEFLATE = gzip.compress(BODY, mtime=0), zlib.compress(BODY)
PACK = orjson.dumps(sample("pack-order").body)

TAKEN = [
    (["gzip"], GZIP),
    (["x-gzip"], GZIP),
    (["X-GZip"], GZIP),
    (["GZIP"], GZIP),
    ([" gzip\t"], GZIP),
    (["gzip, identity"], GZIP),
    (["identity", "gzip"], GZIP),
    (["identity,,x-gzip,"], GZIP),
    (["deflate"], DEFLATE),
    (["Deflate"], DEFLATE),
    (["identity"], BODY),
    (["IDENTITY"], BODY),
    (["identity, identity"], BODY),
    ([""], BODY),
    (["", "gzip"], GZIP),
]
REFUSED = [
    *(["br"], ["zstd"], ["BR"], ["compress"], ["x-compress"], ["aws-chunked"], ["gzip;q=1"], ["utf-8"], ["*"], ["gzi"]),
    *(["gzip, gzip"], ["gzip, deflate"], ["gzip", "gzip"], ["identity, br"], ["br", "identity"], ["gzip", "br"]),
]


async def send(client: RawClient, line: str, encodings: list[str], body: bytes, *, chunked: bool = False) -> RawAnswer:
    given = "".join(f"{name}: {value}\r\n" for name, value in ({**MARKETPLACE, **INCREFF}).items())
    given += "".join(f"Content-ENCODING:{value}\r\n" for value in encodings)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return await client.send(f"{line} HTTP/1.1\r\nHost: x\r\n{given}{length}\r\n\r\n".encode() + sent)


@pytest.mark.parametrize(("encodings", "body"), TAKEN, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_a_known_encoding_is_taken_in_every_spelling(encodings: list[str], body: bytes, *, chunked: bool) -> None:
    async with gateway() as at:
        async with both_ports(at) as client:
            for _ in range(2):
                answer = await send(client, ORDER, encodings, body, chunked=chunked)
                assert answer.status == 200, answer
        assert [orjson.loads(record.value) for record in at.kafka.records] == [sample("create-outward-order").body] * 2


@pytest.mark.parametrize("encodings", REFUSED, ids=str)
async def test_another_encoding_is_refused_with_those_that_are_taken(encodings: list[str]) -> None:
    async with gateway() as at:
        async with both_ports(at) as client:
            answer = await send(client, ORDER, encodings, GZIP)
            assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
            assert set(answer.body) == {"code", "message", "description"}
            assert not at.kafka.records
            assert (await send(client, ORDER, ["gzip"], GZIP)).status == 200, "the connection goes on"
        assert b'sluice_gateway_malformed_requests_total{class="encoding"} 1.0' in at.metrics.text()


@pytest.mark.parametrize(
    ("line", "members"),
    [
        ("POST /channels/demo/orders/pack", {"hasError", "errorMessage"}),
        ("POST //channels/demo/orders/pack", {"hasError", "errorMessage"}),
        ("PUT /api/inventory/snapshots/demo/L1", {"type", "title", "status", "detail", "code"}),
        ("PUT /assuremagic2/orders/A", {"code", "message", "description"}),
        ("POST /live", {"code", "message", "description"}),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_each_side_is_refused_in_its_shape(line: str, members: set[str], *, chunked: bool) -> None:
    async with gateway() as at, both_ports(at) as client:
        answer = await send(client, line, ["br"], PACK, chunked=chunked)
    assert (answer.status, answer.headers["accept-encoding"], set(answer.body)) == (415, "gzip, deflate", members)


async def test_where_there_is_no_body_its_encoding_is_of_no_interest() -> None:
    async with gateway() as at, both_ports(at) as client:
        for encoding in ("br", "gzip", "gzip, gzip"):
            answer = await send(client, "GET /channels/demo/invoice?orderCode=O&shipmentCode=S", [encoding], b"")
            assert answer.status == 200, answer


async def test_a_snapshot_may_be_compressed_under_an_old_name() -> None:
    async with gateway() as at, both_ports(at) as client:
        answer = await send(client, "PUT /api/inventory/snapshots/demo/L1", ["x-gzip"], gzip.compress(b"{]"))
    assert (answer.status, b"application/x-ndjson" in answer.raw) == (415, True), "it is read, and its type is missing"


def test_a_head_that_needs_no_change_is_the_same() -> None:
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nA: b\r\n\r\n"
    assert in_one_spelling(head, 5) is head
    assert in_one_spelling(head.replace(b"gzip", b"x-gzip"), 5) == (
        b"POST /x HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Encoding: gzip\r\n\r\n"
    )
