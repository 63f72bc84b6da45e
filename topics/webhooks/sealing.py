"""Secrets at rest: sealed with AES-GCM under SLUICE_SECRET_KEY, or only named, as `env:NAME`.

A sealed secret is `sealed:KEY:BASE64`, where KEY identifies the key without revealing it. It is bound to its owner, so
a copy under another subscription does not open. To change the key: put the new one first, keep the old one behind it
until every secret was sealed anew (each change of a subscription does that), then leave the old one out.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from topics.configuration.secret_keys import HOW_TO
from topics.configuration.settings import Settings

SEALED, REFERENCE = "sealed:", "env:"
NONCE_BYTES = 12
"""The length AES-GCM is made for. Nonces are random: two alike become likely only after billions of secrets."""
_SHAPE = re.compile(r"sealed:([0-9a-f]{8}):([A-Za-z0-9+/=]{1,4096})")


class SealError(Exception):
    """A secret cannot be sealed or read now. The message says what to do about it, and shows no secret."""


class SecretBox:
    """Seals and opens secrets. The first key seals, all open; without a key only references can be read."""

    def __init__(self, keys: Sequence[bytes], environment: Mapping[str, str] = os.environ) -> None:
        self._ciphers = {_name(key): AESGCM(key) for key in keys}
        self._environment = environment

    def __repr__(self) -> str:
        return f"SecretBox(keys={list(self._ciphers)})"

    def seal(self, secret: str, owner: str) -> str:
        """Raises SealError when there is no key."""
        if not self._ciphers:
            raise SealError(f"SLUICE_SECRET_KEY is not set, and secrets are stored only sealed; {HOW_TO}")
        name, cipher = next(iter(self._ciphers.items()))
        nonce = secrets.token_bytes(NONCE_BYTES)
        return (
            f"{SEALED}{name}:"
            + base64.b64encode(nonce + cipher.encrypt(nonce, secret.encode(), owner.encode())).decode()
        )

    def open(self, stored: str, owner: str) -> str:
        """The secret that `seal` was given for this owner, or that a reference names. Raises SealError."""
        if stored.startswith(REFERENCE):
            return self._referenced(stored.removeprefix(REFERENCE))
        shape = _SHAPE.fullmatch(stored)
        if shape is None:
            raise SealError(f"the secret of {owner} is neither sealed nor a reference `{REFERENCE}NAME`")
        name, text = shape.groups()
        cipher = self._ciphers.get(name)
        if cipher is None:
            there = f"which has {', '.join(self._ciphers)}" if self._ciphers else "which is not set"
            raise SealError(
                f"the secret of {owner} is sealed under key {name}: add that key to SLUICE_SECRET_KEY, {there}"
            )
        try:
            raw = base64.b64decode(text, validate=True)
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode()).decode()
        except (InvalidTag, ValueError):
            why = f"the secret of {owner} does not open under its key {name}: it was changed, or is another's"
            raise SealError(why) from None

    def renewed(self, sealed: str, owner: str) -> str:
        """The same secret under the first key. A secret whose key is not here stays as it is. Raises SealError."""
        shape = _SHAPE.fullmatch(sealed)
        name = shape[1] if shape is not None else ""
        if name not in self._ciphers or name == next(iter(self._ciphers)):
            return sealed
        return self.seal(self.open(sealed, owner), owner)

    def _referenced(self, name: str) -> str:
        secret = self._environment.get(name)
        if not secret:
            state = "empty" if secret == "" else "not set"
            raise SealError(f"{REFERENCE}{name} names the environment variable {name}, which is {state}")
        return secret


def secret_box(settings: Settings) -> SecretBox:
    return SecretBox(settings.secret_keys)


def _name(key: bytes) -> str:
    return hashlib.sha256(b"sluice secret key" + key).hexdigest()[:8]
