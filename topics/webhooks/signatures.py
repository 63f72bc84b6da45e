"""Signatures of Standard Webhooks 1.0: `v1` (HMAC-SHA256) and `v1a` (ed25519). Pure.

The signed text is `ID.TIMESTAMP.BODY`. While a secret is rotated each live one signs, and a receiver accepts any
signature that it can verify. Secrets are text: `whsec_` for v1, `whsk_` for v1a, which receivers verify with `whpk_`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
"""Bounds of a v1 secret, from the standard."""
SHA256_BLOCK_BYTES = 64
"""Bytes that SHA-256 reads at a time: HMAC pads a key to so many. No v1 secret is longer."""
MADE_BYTES = 32
"""Length of a secret made here: that of the hash, and of an ed25519 seed."""
HMAC_PREFIX, SEED_PREFIX, PUBLIC_PREFIX = "whsec_", "whsk_", "whpk_"
ID = re.compile(r"[!-\-/-~]{1,256}")
"""A delivery's id: printable ASCII (it is in a header) without `.`, which ends it in the signed text."""


class SecretError(ValueError):
    """This text is no secret. The message says why, and never quotes it."""


class Signature(StrEnum):
    """How deliveries to a subscriber are signed."""

    V1 = "v1"
    """HMAC-SHA256 with a secret that both sides have."""
    V1A = "v1a"
    """Ed25519: the receiver has only the public key."""


class SigningKey(Protocol):
    """One secret, ready to sign many times."""

    def sign(self, content: bytes) -> str:
        """The signature with its version, as it stands in the header."""

    def verifier(self) -> str:
        """The text with which a receiver verifies: the secret itself for v1, the public half for v1a."""


class HmacKey:
    """A v1 secret: both sides have it."""

    def __init__(self, key: bytes) -> None:
        if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
            raise SecretError(
                f"a {HMAC_PREFIX} secret is {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, not {len(key)}"
            )
        self._key = key
        # HMAC as RFC 2104 defines it. The hashes that have read the padded key are copied for each signature, which
        # costs two thirds of what Python's hmac takes for that.
        padded = key.ljust(SHA256_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def sign(self, content: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return "v1," + binascii.b2a_base64(outer.digest(), newline=False).decode()

    def verifier(self) -> str:
        return HMAC_PREFIX + base64.b64encode(self._key).decode()


class Ed25519Key:
    """A v1a secret: the seed, or the seed and the public half behind it."""

    def __init__(self, key: bytes) -> None:
        if len(key) not in (32, 64):
            raise SecretError(f"a {SEED_PREFIX} secret is 32 bytes, or 64 with its public half, not {len(key)}")
        self._private = Ed25519PrivateKey.from_private_bytes(key[:32])
        self._public = self._private.public_key().public_bytes_raw()
        if key[32:] not in (b"", self._public):
            raise SecretError(f"the second half of this {SEED_PREFIX} secret is not the public half of the first")

    def sign(self, content: bytes) -> str:
        return "v1a," + binascii.b2a_base64(self._private.sign(content), newline=False).decode()

    def verifier(self) -> str:
        return PUBLIC_PREFIX + base64.b64encode(self._public).decode()


def make_secret(signature: Signature, randomness: bytes) -> str:
    """A new secret from MADE_BYTES random bytes."""
    if len(randomness) != MADE_BYTES:
        raise ValueError(f"a secret is made of {MADE_BYTES} random bytes, not {len(randomness)}")
    prefix = HMAC_PREFIX if signature is Signature.V1 else SEED_PREFIX
    return prefix + base64.b64encode(randomness).decode()


def signature_of(secret: str) -> Signature:
    """Which signature a secret makes. Raises SecretError."""
    return Signature.V1 if isinstance(signing_key(secret), HmacKey) else Signature.V1A


def signing_key(secret: str) -> SigningKey:
    """Raises SecretError."""
    if secret.startswith(HMAC_PREFIX):
        return HmacKey(_decoded(secret, HMAC_PREFIX))
    if secret.startswith(SEED_PREFIX):
        return Ed25519Key(_decoded(secret, SEED_PREFIX))
    raise SecretError(f"a secret that signs begins with {HMAC_PREFIX} (v1) or {SEED_PREFIX} (v1a)")


def sign(keys: Iterable[SigningKey], delivery_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`, a signature of each key. Raises ValueError for an id that cannot be signed."""
    if ID.fullmatch(delivery_id) is None:
        raise ValueError(f"{delivery_id[:80]!r} cannot be a webhook-id: 1 to 256 printable ASCII characters, no `.`")
    content = f"{delivery_id}.{timestamp}.".encode() + body
    return " ".join([key.sign(content) for key in keys])


def signed_headers(keys: Iterable[SigningKey], delivery_id: str, timestamp: int, body: bytes) -> str:
    """The standard's three headers, as lines of a request. Raises ValueError as `sign`."""
    signatures = sign(keys, delivery_id, timestamp, body)
    return f"webhook-id: {delivery_id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signatures}\r\n"


def _decoded(secret: str, prefix: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(prefix), validate=True)
    except ValueError:
        raise SecretError(f"what follows {prefix} is not base64") from None
