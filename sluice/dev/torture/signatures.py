"""Checks of signatures of Standard Webhooks 1.0, v1 (HMAC-SHA256) and v1a (ed25519), apart from the code that signs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sluice.dev.torture.log import Signed

TOLERANCE_S = 300
"""Largest distance of a timestamp from the receiver's clock, as in the libraries of Standard Webhooks."""
SECRET, PUBLIC_KEY = "whsec_", "whpk_"

Check = Callable[[bytes, str], bool]
"""Whether a token (`v1,...`) signs the content."""


class SecretError(ValueError):
    """A secret that cannot be used; the message does not show it."""


def checker(secret: str) -> Check:
    """Return the check with one secret (`whsec_...`) or public key (`whpk_...`). Raises SecretError."""
    prefix = PUBLIC_KEY if secret.startswith(PUBLIC_KEY) else SECRET
    try:
        key = base64.b64decode(secret.removeprefix(prefix), validate=True)
    except binascii.Error as error:
        raise SecretError(f"a secret is not base64 after its prefix {SECRET} or {PUBLIC_KEY}") from error
    if prefix == SECRET:
        return lambda content, token: _is_hmac(key, content, token)
    try:
        public = Ed25519PublicKey.from_public_bytes(key)
    except ValueError as error:
        raise SecretError("a public key must be 32 bytes, as base64 after whpk_") from error
    return lambda content, token: _is_ed25519(public, content, token)


def judge(checks: Sequence[Check], headers: Mapping[str, str], body: bytes, now_s: float) -> Signed:
    """Judge whether a token passes a check and the timestamp is near. Header names are in lower case."""
    if not checks:
        return Signed.UNCHECKED
    message, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    tokens = headers.get("webhook-signature", "").split()
    if not (message and stamp and tokens):
        return Signed.MISSING
    near = stamp.isascii() and stamp.isdigit() and abs(int(stamp) - now_s) <= TOLERANCE_S
    content = f"{message}.{stamp}.".encode(errors="surrogateescape") + body  # a header may hold any bytes
    right = near and any(check(content, token) for check in checks for token in tokens if token.isascii())
    return Signed.RIGHT if right else Signed.WRONG


def _is_hmac(key: bytes, content: bytes, token: str) -> bool:
    version, _, given = token.partition(",")
    wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return version == "v1" and hmac.compare_digest(wanted.encode(), given.encode())


def _is_ed25519(key: Ed25519PublicKey, content: bytes, token: str) -> bool:
    version, _, given = token.partition(",")
    if version != "v1a":
        return False
    try:
        key.verify(base64.b64decode(given, validate=True), content)
    except (InvalidSignature, binascii.Error):
        return False
    return True
