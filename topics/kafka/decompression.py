"""Decompresses batches within a bound: five megabytes that Kafka takes can be gigabytes, which end a process.

Kafka's limit on a batch is for its compressed form. Snappy cannot grow more than some twentyfold, and is left alone.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import cramjam

DECOMPRESSED_BYTES_MAX: Final = 64 << 20
"""Largest batch: producers bound theirs before they compress, to a megabyte or a few; the largest record has five."""
_FIRST_GUESS: Final = 8
"""Times that a batch of JSON grows, at most, as a rule; where it grows more, the buffer is made anew."""
_LEAST_BYTES: Final = 64 << 10
_GZIP: Final = 31
"""zlib's window bits for a gzip header."""


class TooLargeBatchError(ValueError):
    """A batch would take more than DECOMPRESSED_BYTES_MAX."""

    def __init__(self) -> None:
        super().__init__(f"it takes more than {DECOMPRESSED_BYTES_MAX} bytes decompressed")


def gzip_decode(payload: Any) -> bytes:
    parts: list[bytes] = []
    data, room = bytes(payload), DECOMPRESSED_BYTES_MAX
    while data:  # as one may follow the other
        member = zlib.decompressobj(_GZIP)
        parts.append(member.decompress(data, room + 1))
        room -= len(parts[-1])
        if room < 0:
            raise TooLargeBatchError
        data = member.unused_data
    return b"".join(parts)


def lz4_decode(payload: Any) -> bytes:
    return _into_a_buffer(payload, cramjam.lz4.decompress_into)


def zstd_decode(payload: Any) -> bytes:
    return _into_a_buffer(payload, cramjam.zstd.decompress_into)


def _into_a_buffer(payload: Any, decompress_into: Any) -> bytes:
    size = max(_LEAST_BYTES, _FIRST_GUESS * len(payload))
    while True:
        size = min(size, DECOMPRESSED_BYTES_MAX)
        buffer = bytearray(size)
        try:
            written = decompress_into(payload, buffer)
            return bytes(memoryview(buffer)[:written])
        except cramjam.DecompressionError as error:
            if "whole buffer" not in str(error):
                raise
            if size == DECOMPRESSED_BYTES_MAX:
                raise TooLargeBatchError from None
        size *= _FIRST_GUESS
