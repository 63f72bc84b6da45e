"""Decompresses batches within a bound: five megabytes that Kafka takes can be gigabytes, which end a process.

Kafka's limit on a batch is for its compressed form. Snappy cannot grow more than some twentyfold, and is left alone.
"""

from __future__ import annotations

import sys
import zlib
from types import ModuleType
from typing import Any, Final

import cramjam
from aiokafka.record import default_records

PARSERS: Final[tuple[ModuleType, ...]] = (
    default_records,
    sys.modules[default_records.DefaultRecordBatch.__module__],
)
"""aiokafka's modules that look (de)compressors up: the one in Python, and the compiled one, if it is there."""

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
    return _into_a_buffer(payload, cramjam.zstd.decompress_into, zstd_content_bytes(payload))


def zstd_content_bytes(frame: Any) -> int:
    """The size that a zstd frame says its content has (RFC 8878, 3.1.1.1); 0 if it says none."""
    head = bytes(frame[:18])
    descriptor = head[4] if len(head) > 4 else 0
    has_window = not descriptor >> 5 & 1
    begin = 5 + has_window + (0, 1, 2, 4)[descriptor & 3]
    flag = descriptor >> 6
    if flag == 0:
        return head[begin] if not has_window and len(head) > begin else 0
    size = int.from_bytes(head[begin : begin + (1 << flag)], "little")
    return size + 256 if flag == 1 else size


def _into_a_buffer(payload: Any, decompress_into: Any, expected: int = 0) -> bytes:
    """`expected`: the size that the content is said to have. It may have another."""
    size = expected or max(_LEAST_BYTES, _FIRST_GUESS * len(payload))
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
