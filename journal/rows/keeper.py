"""The parts of texts that may name people which the journal keeps, as SLUICE_JOURNAL_PERSONAL says.

- `none`: of a body, the members that cannot name anybody (topics/contract/personal.py); of other words nothing.
- `encrypted`: all, encrypted under the first key of SLUICE_SECRET_KEY by AES-SIV, so the same record gives the same row
  again: `KEY:` and the ciphertext, where KEY names the key without revealing it.
- `plain`: all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from topics.contract.personal import without_personal
from topics.contract.touchpoints import BY_NAME

PLAIN, ENCRYPTED, REDUCED = "plain", "encrypted", "reduced"
_NAME_CHARS: Final = 8
_WORDS: Final = b"words"
"""Words are bound to no row: they are part of one that is found by its key."""


class Personal(StrEnum):
    NONE = "none"
    ENCRYPTED = "encrypted"
    PLAIN = "plain"


class KeeperError(ValueError):
    """Kept text cannot be opened. The message says what to do."""


class Keeper:
    """Keeps and opens bodies and words."""

    def __init__(self, personal: Personal, keys: Sequence[bytes] = ()) -> None:
        """Raises ValueError where `personal` needs a key and there is none."""
        if personal is Personal.ENCRYPTED and not keys:
            raise ValueError("SLUICE_JOURNAL_PERSONAL=encrypted needs SLUICE_SECRET_KEY")
        self._personal = personal
        self._ciphers = {_name(key): AESSIV(hashlib.sha256(b"sluice journal" + key).digest()) for key in keys}
        self._first = next(iter(self._ciphers.items()), None)

    def body(self, touchpoint: str, body: bytes, owner: str) -> tuple[str, bytes]:
        """The form and what is kept of a body. `owner`: the id of its row; a copy under another does not open."""
        if self._personal is Personal.PLAIN:
            return PLAIN, body
        if self._personal is Personal.ENCRYPTED:
            return ENCRYPTED, self._encrypted(body, owner.encode())
        called = BY_NAME.get(touchpoint)
        return REDUCED, b"" if called is None else without_personal(called.request, body)

    def words(self, words: str) -> str:
        """The part that is kept of the words of a far side, or of an error that may quote a record."""
        if not words or self._personal is Personal.PLAIN:
            return words
        if self._personal is Personal.NONE:
            return ""
        return base64.b64encode(self._encrypted(words.encode(errors="backslashreplace"), _WORDS)).decode()

    def open_body(self, form: str, content: bytes, owner: str) -> bytes:
        """Raises KeeperError."""
        return self._opened(content, owner.encode()) if form == ENCRYPTED else content

    def open_words(self, words: str) -> str:
        """Words as they were. Raises KeeperError."""
        if self._personal is not Personal.ENCRYPTED or not words:
            return words
        return self._opened(base64.b64decode(words), _WORDS).decode()

    def _encrypted(self, content: bytes, owner: bytes) -> bytes:
        name, cipher = self._first or ("", None)
        if cipher is None:
            raise KeeperError("there is no key to encrypt with")
        # AES-SIV takes no empty text, so each begins with a byte.
        return name.encode() + b":" + cipher.encrypt(b"\0" + content, [owner])

    def _opened(self, content: bytes, owner: bytes) -> bytes:
        name = content[:_NAME_CHARS].decode(errors="replace")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise KeeperError(f"encrypted under key {name}: add that key to SLUICE_SECRET_KEY")
        try:
            return cipher.decrypt(content[_NAME_CHARS + 1 :], [owner])[1:]
        except InvalidTag:
            raise KeeperError(f"does not open under its key {name}: it was changed, or is another's") from None


def _name(key: bytes) -> str:
    return hashlib.sha256(b"sluice secret key" + key).hexdigest()[:_NAME_CHARS]
