"""PURE: tokens of previews: what was asked and shown, signed, so that any gateway of the same secret key can act on it.

A token is signed, not stored: gateways share a port and are restarted, and a preview at one is acted on at another. It
holds a digest of what was shown and not the things themselves, which may be a hundred thousand; the second step finds
them again, and the digest says whether they are the same. That it is taken once, the topic of facts sees to.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Final

from topics.records.json_record import JsonRecord, decode_record, encode_record

_PERSON: Final = b"sluice-preview"
"""Separates this use of the key from every other."""
_DIGEST_BYTES: Final = 16
"""128 bits: nobody finds a signature by trying."""
TOKEN_BYTES_MAX: Final = 2 << 20
"""Most bytes of a token's content: a thousand codes of the largest length. More is no token of ours."""
OPEN_KEY: Final = b"an open /api has no secret"


class TokenError(ValueError):
    """A text is no token that this gateway can take; the message says why."""


class Token(JsonRecord, frozen=True, kw_only=True):
    """`id`: of the action; `place`: the parts of its path; `asked`: the body of the preview; `digest`: of what was
    shown, `count` things. `ends`: the offsets up to which a topic was read for it, by partition."""

    id: str
    action: str
    by: str
    place: dict[str, str]
    asked: dict[str, Any]
    digest: str
    count: int
    made_ms: int
    ends: dict[str, int]


class PreviewTokens:
    """Signs with the first key, and takes the signatures of all: so keys can be changed one after the other."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = [blake2b(key, person=_PERSON, digest_size=32).digest() for key in keys or (OPEN_KEY,)]

    def sign(self, token: Token) -> str:
        content = zlib.compress(token.encode())
        signed = urlsafe_b64encode(content).decode().rstrip("=")
        return f"{signed}.{_signature(self._keys[0], signed).decode()}"

    def read(self, text: str) -> Token:
        """Raises TokenError."""
        signed, _, signature = text.rpartition(".")
        given = signature.encode("utf-8", "replace")
        if not any(compare_digest(_signature(key, signed), given) for key in self._keys):
            raise TokenError("it is no token of a preview here, or the secret key was changed since: preview again")
        try:
            packed = urlsafe_b64decode(signed + "=" * (-len(signed) % 4))
            return decode_record(zlib.decompressobj().decompress(packed, TOKEN_BYTES_MAX), Token)
        except (ValueError, zlib.error) as error:
            raise TokenError("it was made by another version: preview again") from error


def _signature(key: bytes, signed: str) -> bytes:
    return blake2b(signed.encode("utf-8", "replace"), key=key, digest_size=_DIGEST_BYTES).hexdigest().encode()


def digest_of(state: Mapping[str, Any] | None) -> str:
    """A digest of a state, which JSON can carry."""
    return blake2b(encode_record(state), digest_size=_DIGEST_BYTES).hexdigest()


def digest_of_all(names: Iterable[str]) -> str:
    """A digest of things by their names, in whatever sequence."""
    hashed = blake2b(digest_size=_DIGEST_BYTES)
    for name in sorted(names):
        hashed.update(f"{len(name)}|{name}".encode())
    return hashed.hexdigest()
