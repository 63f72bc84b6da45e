"""The Content-Encoding of a request: what it says in the one spelling that the parser knows, or why it is refused."""

from __future__ import annotations

import re

from gateway.http.answers import Refused

TAKEN = (b"gzip", b"deflate")
"""Once each. A body that is compressed twice could become a million times as long."""
NAMED = b"\r\ncontent-encoding:"
"""The header, in a head in lower case."""

_HEADER = re.compile(rb"\r\ncontent-encoding:([^\r\n]*)", re.IGNORECASE)
_SAME = {b"x-gzip": b"gzip"}
"""Old names (RFC 9110, 8.4.1.3)."""

REFUSED = Refused(
    415,
    "ENCODING_UNKNOWN",
    "The body is encoded in a way that is not taken",
    f"[Content-Encoding: may be {' or '.join(name.decode() for name in TAKEN)}, and one of them only]",
    headers=(("Accept-Encoding", ", ".join(name.decode() for name in TAKEN)),),
)


def in_one_spelling(head: bytes, length: int) -> bytes | None:
    """The head of a request with one Content-Encoding or none; itself if it needs no change. None if the body cannot be
    read. `length`: of the body."""
    said = [value.strip().lower() for line in _HEADER.findall(head) for value in line.split(b",")]
    names = [_SAME.get(value, value) for value in said if value not in (b"", b"identity")]
    if length and (len(names) > 1 or not set(names) <= set(TAKEN)):
        return None
    if length and names == said:
        return head
    bare = _HEADER.sub(b"", head)
    return bare[:-2] + b"Content-Encoding: " + names[0] + b"\r\n\r\n" if length and names else bare
