"""Fingerprints of secrets: equal for equal secrets, of one length, and of use in this process only.

A fingerprint can be looked up in a table without giving anything away: it takes as long whether it is there or not,
and a caller cannot choose one. Its time depends on what the caller sent, never on what would have been right.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import blake2b

BYTES = 16
"""128 bits: no two secrets have the same."""
_KEY = os.urandom(32)


def fingerprint(parts: Iterable[str | None]) -> bytes:
    """The fingerprint of header values in their order; None: a header that is not there."""
    hashed = blake2b(key=_KEY, digest_size=BYTES)
    for part in parts:
        if part is None:
            hashed.update(b"-")
        else:
            value = part.encode("utf-8", "surrogateescape")
            hashed.update(b"%d:%b" % (len(value), value))
    return hashed.digest()
