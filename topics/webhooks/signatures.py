"""Signatures of Standard Webhooks 1.0: `v1` (HMAC-SHA256) and `v1a` (ed25519). Pure.

What is signed is `ID.TIMESTAMP.BODY`. While a secret is rotated each live one signs, and a receiver takes any signature
that it can verify. Secrets are text: `whsec_` for v1, `whsk_` for v1a, whose receivers verify with the `whpk_` half.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
"""Of a v1 secret, as the standard says."""
MADE_BYTES = 32
"""Of a secret made here: as long as the hash, and as an ed25519 seed."""
TOLERANCE_S = 300
"""How far an attempt's time may be from the receiver's clock, as the reference libraries have it."""
SIGNATURES_MAX = 16
"""Of one header that are looked at: more secrets are never live at once."""
HMAC_PREFIX, SEED_PREFIX, PUBLIC_PREFIX = "whsec_", "whsk_", "whpk_"
ID = re.compile(r"[!-\-/-~]{1,256}")
"""Of a delivery: printable ASCII (a header carries it) without `.`, which ends it in what is signed."""


class SecretError(ValueError):
    """This text is no secret; the message says why, and never holds any of it."""


class SignatureError(ValueError):
    """The request cannot be trusted; the message says why."""


class Signature(StrEnum):
    """How deliveries to a subscriber are signed."""

    V1 = "v1"
    V1A = "v1a"


class SigningKey(Protocol):
    """One secret, ready to sign many times."""

    def sign(self, content: bytes) -> str:
        """With its version, as it stands in the header."""

    def verifier(self) -> str:
        """What a receiver needs to verify: the secret itself for v1, the public half for v1a."""


class VerifyingKey(Protocol):
    version: str

    def is_valid(self, content: bytes, signature: bytes) -> bool: ...


class HmacKey:
    """A v1 secret: both sides have it, so it signs and verifies."""

    version = "v1"

    def __init__(self, key: bytes) -> None:
        if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
            raise SecretError(
                f"a {HMAC_PREFIX} secret is {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, not {len(key)}"
            )
        self._key = key
        self._begun = hmac.new(key, digestmod=hashlib.sha256)  # copying it is cheaper than to begin again

    def sign(self, content: bytes) -> str:
        return "v1," + binascii.b2a_base64(self._digest(content), newline=False).decode()

    def verifier(self) -> str:
        return HMAC_PREFIX + base64.b64encode(self._key).decode()

    def is_valid(self, content: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self._digest(content), signature)

    def _digest(self, content: bytes) -> bytes:
        mac = self._begun.copy()
        mac.update(content)
        return mac.digest()


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


class Ed25519PublicHalf:
    version = "v1a"

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise SecretError(f"a {PUBLIC_PREFIX} key is 32 bytes, not {len(key)}")
        self._public = Ed25519PublicKey.from_public_bytes(key)

    def is_valid(self, content: bytes, signature: bytes) -> bool:
        try:
            self._public.verify(signature, content)
        except InvalidSignature:
            return False
        return True


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


def verifying_key(key: str) -> VerifyingKey:
    """Raises SecretError."""
    if key.startswith(HMAC_PREFIX):
        return HmacKey(_decoded(key, HMAC_PREFIX))
    if key.startswith(PUBLIC_PREFIX):
        return Ed25519PublicHalf(_decoded(key, PUBLIC_PREFIX))
    raise SecretError(f"a key that verifies begins with {HMAC_PREFIX} (v1) or {PUBLIC_PREFIX} (v1a)")


def content(delivery_id: str, timestamp: int, body: bytes) -> bytes:
    """What is signed."""
    return f"{delivery_id}.{timestamp}.".encode() + body


def sign(keys: Iterable[SigningKey], delivery_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`, a signature of each key. Raises ValueError for an id that cannot be signed."""
    if ID.fullmatch(delivery_id) is None:
        raise ValueError(f"{delivery_id[:80]!r} cannot be a webhook-id: 1 to 256 printable ASCII characters, no `.`")
    signed = content(delivery_id, timestamp, body)
    return " ".join([key.sign(signed) for key in keys])


def verify(
    keys: Sequence[VerifyingKey],
    *,
    delivery_id: str | None,
    timestamp: str | None,
    signatures: str | None,
    body: bytes,
    now_s: float,
    tolerance_s: float = TOLERANCE_S,
) -> None:
    """Raises SignatureError unless a signature in the header is one of these keys' and the attempt is of now.

    Signatures of other versions and of other secrets are passed over: a rotation or a later standard may add them.
    """
    if not delivery_id or not timestamp or not signatures:
        raise SignatureError("webhook-id, webhook-timestamp and webhook-signature must all be there")
    if ID.fullmatch(delivery_id) is None:
        raise SignatureError("webhook-id is not printable ASCII without `.`")
    if not re.fullmatch(r"[0-9]{1,15}", timestamp):
        raise SignatureError("webhook-timestamp is not a number of seconds")
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise SignatureError(f"webhook-timestamp is more than {tolerance_s:g} s from now")
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    for token in signatures.split(" ")[:SIGNATURES_MAX]:
        version, _, text = token.partition(",")
        raw = _unbase64(text)
        if raw is not None and any(key.version == version and key.is_valid(signed, raw) for key in keys):
            return
    raise SignatureError("no signature in webhook-signature is valid for this body and these keys")


def _decoded(secret: str, prefix: str) -> bytes:
    raw = _unbase64(secret.removeprefix(prefix))
    if raw is None:
        raise SecretError(f"what follows {prefix} is not base64")
    return raw


def _unbase64(text: str) -> bytes | None:
    """Strictly: what is not base64 is not guessed at."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
