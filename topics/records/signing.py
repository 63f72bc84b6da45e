"""The signature of a command that the gateway has validated, so that the orders role need not validate it again. Pure.

Headers cannot say who wrote a record, because anybody may write them. So the gateway signs what it validated, and the
orders role checks the signature under the same key, which a producer does not have. The signature says one thing: this
is a valid body of this type, under this record key. A copy of the record is therefore harmless, and nothing else may be
inferred from it: whether a repeat counts, and who the caller is, is decided as for any record.

The key is made of SLUICE_SECRET_KEY. Without one nothing is signed, and every body is validated by the role.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

SIGNATURE = "sluice-signature"
"""Header of a command that a gateway has validated: the signature in hexadecimal digits."""
DIGEST_BYTES = 16
"""128 bits: nobody finds a signature by trying."""
_KEY_OF = b"sluice-signing"
_SIGNED = b"sluice-command"
"""Both separate this use of the key, and of the hash, from every other."""


class Signer:
    """Signs with the first key, and takes the signatures of all: so keys can be changed one after the other."""

    __slots__ = ("_hashes",)

    def __init__(self, secret_keys: Sequence[bytes]) -> None:
        keys = [blake2b(key=secret, person=_KEY_OF, digest_size=32).digest() for secret in secret_keys]
        # Begun once: to begin a hash costs as much as to take in a small order.
        self._hashes = tuple(blake2b(key=key, person=_SIGNED, digest_size=DIGEST_BYTES) for key in keys)

    def sign(self, kind: str, key: bytes, value: bytes) -> bytes | None:
        """The signature of a record by its ce_type, key and value; None without a secret key."""
        return _digest(self._hashes[0], kind, key, value) if self._hashes else None

    def is_signed(self, kind: str, key: bytes, value: bytes, signature: bytes) -> bool:
        for begun in self._hashes:  # noqa: SIM110 - `any` would cost as much again
            if compare_digest(_digest(begun, kind, key, value), signature):
                return True
        return False


def _digest(begun: blake2b, kind: str, key: bytes, value: bytes) -> bytes:
    """Lengths go before all parts but the last, so no two records are the same text."""
    of_kind = kind.encode()
    hashed = begun.copy()
    hashed.update(b"%d|%d|%b%b" % (len(of_kind), len(key), of_kind, key))
    hashed.update(value)
    return hashed.hexdigest().encode()
