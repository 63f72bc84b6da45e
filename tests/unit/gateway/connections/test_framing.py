"""Where a request ends: as its head says, or nowhere if two readers could understand the head differently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.framing import (
    AMBIGUOUS,
    CHUNK_BYTES_MIN,
    CHUNKED,
    CHUNKS_FREE,
    ChunkedBody,
    body_length,
    keeps_alive,
)


def head(*lines: str, version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"POST / {version}", *lines, "", ""]).encode().lower()


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ((), 0),
        (("Host: a", "Content-Length: 12"), 12),
        (("Content-Length:12 ",), 12),
        (("Transfer-Encoding: chunked",), CHUNKED),
        (("Content-Length: 12", "Content-Length: 12"), AMBIGUOUS),
        (("Content-Length: 12", "Transfer-Encoding: chunked"), AMBIGUOUS),
        (("Transfer-Encoding: chunked", "Content-Length: 12"), AMBIGUOUS),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), AMBIGUOUS),
        (("Transfer-Encoding: gzip, chunked",), AMBIGUOUS),
        (("Transfer-Encoding: xchunked",), AMBIGUOUS),
        (("Content-Length: -1",), AMBIGUOUS),
        (("Content-Length: +1",), AMBIGUOUS),
        (("Content-Length: 0x10",), AMBIGUOUS),
        (("Content-Length: 1,1",), AMBIGUOUS),
        (("Content-Length:",), AMBIGUOUS),
        (("Content-Length: " + "9" * 40,), AMBIGUOUS),
        (("X-Content-Length: 12",), 0),
    ],
)
def test_the_length_is_what_the_head_says_once(lines: tuple[str, ...], length: int) -> None:
    assert body_length(head(*lines)) == length


@pytest.mark.parametrize(
    ("version", "lines", "kept"),
    [
        ("HTTP/1.1", (), True),
        ("HTTP/1.1", ("Connection: close",), False),
        ("HTTP/1.0", (), False),
        ("HTTP/1.0", ("Connection: keep-alive",), True),
    ],
)
def test_a_connection_is_kept_as_the_caller_wants(version: str, lines: tuple[str, ...], *, kept: bool) -> None:
    assert keeps_alive(head(*lines, version=version)) is kept


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.binary(max_size=20), st.data())
def test_the_end_of_a_body_in_chunks_is_found_however_it_is_cut(
    chunks: list[bytes], behind: bytes, data: st.DataObject
) -> None:
    body = b"".join(b"%x;q=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nDigest: x\r\n\r\n"
    sent = body + behind
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    reader, at = ChunkedBody(), 0
    for stop in [*cuts, len(sent)]:
        end = reader.end(sent[at:stop])
        if end >= 0:
            assert at + end == len(body)
            return
        at = stop
    raise AssertionError("no end")


@pytest.mark.parametrize(
    "bad", [b"x\r\n", b"\r\n", b"5\n12345", b"-1\r\n", b"5" * 20 + b"\r\n", b"a" * 300, b"0\r\n" + b"x: y\r\n" * 2_000]
)
def test_bytes_that_are_no_chunks_are_told(bad: bytes) -> None:
    reader = ChunkedBody()
    assert reader.end(bad) == -1
    assert reader.broken


def test_many_chunks_may_not_be_tiny() -> None:
    """Else one caller keeps the event loop busy with few bytes."""
    few, lines, tiny = ChunkedBody(), ChunkedBody(), ChunkedBody()
    assert few.end(b"1\r\nx\r\n" * (CHUNKS_FREE - 1) + b"0\r\n\r\n") > 0
    line = b"%x\r\n%b\r\n" % (CHUNK_BYTES_MIN, b"x" * CHUNK_BYTES_MIN)
    assert lines.end(line * 3 * CHUNKS_FREE + b"0\r\n\r\n") > 0
    assert tiny.end(b"1\r\nx\r\n" * (CHUNKS_FREE + 1)) < 0
    assert (few.broken, tiny.broken) == (False, True)
