"""The extent of a request in a connection's bytes: where its head ends, and where its body does."""

from __future__ import annotations

import re

HEAD_END = b"\r\n\r\n"
CHUNKED = -1
"""A body in chunks: its length is known when it ends."""
AMBIGUOUS = -2
"""A head that two readers could understand differently: Content-Length twice or beside Transfer-Encoding, or a value
that is not one plain number. Such heads are used to smuggle a second request past a proxy, so they are refused."""

_LENGTH, _ENCODING = b"\r\ncontent-length:", b"\r\ntransfer-encoding:"
_DIGITS_MAX = 16
"""Longer lengths are no length of a real body, and must not become numbers of any size."""
_SIZE_LINE_MAX = 256
"""Most bytes of the line before a chunk. Only its extensions, which nobody uses, could be longer."""
_TRAILER_BYTES_MAX = 8 << 10
"""Most bytes of the lines after the last chunk."""
CHUNKS_FREE = 4096
"""Chunks of a body that may be of any size."""
CHUNK_BYTES_MIN = 16
"""Beyond them, the least mean size of a chunk. Each takes some two microseconds, however small: one connection with
chunks of one byte would keep the event loop busy at 3 MB a second. Real writers fill buffers, or send lines."""
_HEX = re.compile(rb"[0-9a-fA-F]{1,12}")


def body_length(lowered: bytes) -> int:
    """The bytes of the body that follow a head, or CHUNKED or AMBIGUOUS. `lowered`: the head in lower case."""
    at = lowered.find(_LENGTH)
    if _ENCODING in lowered:
        return CHUNKED if at < 0 and _only_chunked(lowered) else AMBIGUOUS
    if at < 0:
        return 0
    start = at + len(_LENGTH)
    value = lowered[start : lowered.find(b"\r\n", start)].strip(b" \t")
    if not value.isdigit() or len(value) > _DIGITS_MAX or lowered.find(_LENGTH, start) >= 0:
        return AMBIGUOUS
    return int(value)


def _only_chunked(lowered: bytes) -> bool:
    start = lowered.find(_ENCODING) + len(_ENCODING)
    value = lowered[start : lowered.find(b"\r\n", start)].strip(b" \t")
    return value == b"chunked" and lowered.find(_ENCODING, start) < 0


def keeps_alive(lowered: bytes) -> bool:
    """Whether the connection may be used again after the request with this head."""
    line = lowered[: lowered.find(b"\r\n")]
    at = lowered.find(b"\r\nconnection:")
    if at < 0:
        return line.endswith(b"http/1.1")
    value = lowered[at + 13 : lowered.find(b"\r\n", at + 13)]
    return b"close" not in value and (line.endswith(b"http/1.1") or b"keep-alive" in value)


def can_go_on(lowered: bytes) -> bool:
    """Whether a connection may be used again although the request with this head was refused, so that no parser has
    seen it. It ends if another reader could find the next request elsewhere: with line breaks of other kinds, headers
    that go on in the next line or have a space before their colon; after HEAD, whose answers have no body; with Expect,
    after which the body may come or not."""
    breaks = lowered.count(b"\r\n")
    return (
        keeps_alive(lowered)
        and lowered.count(b"\n") == lowered.count(b"\r") == breaks
        and not any(each in lowered for each in (b"\n ", b"\n\t", b" :", b"\t:", b"\r\nexpect:"))
        and not lowered.startswith(b"head ")
    )


class ChunkedBody:
    """Finds the end of a body in chunks. `broken`: the bytes are no chunks, or far too small ones."""

    __slots__ = ("_bytes", "_count", "_last", "_left", "_line", "_trailer_bytes", "broken")

    def __init__(self) -> None:
        self.broken = False
        self._left = 0
        self._count = self._bytes = 0
        self._line = b""
        self._last = False
        self._trailer_bytes = 0

    def end(self, data: bytes, at: int = 0) -> int:
        """The index behind the last byte of the body, or -1 if it goes on behind `data`."""
        size = len(data)
        while at < size and not self.broken:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
                continue
            newline = data.find(b"\n", at)
            if newline < 0:
                self._line += data[at:]
                self.broken = len(self._line) > _SIZE_LINE_MAX
                return -1
            line, self._line = self._line + data[at : newline + 1], b""
            at = newline + 1
            if self._last:
                if line == b"\r\n":
                    return at
                self._trailer_bytes += len(line)
                self.broken = self._trailer_bytes > _TRAILER_BYTES_MAX
            else:
                self._begin_chunk(line)
        return -1

    def _begin_chunk(self, line: bytes) -> None:
        digits = line.partition(b";")[0].rstrip(b" \t\r\n")
        if len(line) > _SIZE_LINE_MAX or not line.endswith(b"\r\n") or _HEX.fullmatch(digits) is None:
            self.broken = True
            return
        length = int(digits, 16)
        self._last = length == 0
        self._count += not self._last
        self._bytes += length
        if self._count > CHUNKS_FREE and self._bytes < self._count * CHUNK_BYTES_MIN:
            self.broken = True
            return
        # A chunk ends with a line break of its own.
        self._left = length + 2 if length else 0
