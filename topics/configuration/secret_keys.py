"""Parses SLUICE_SECRET_KEY: one key, or several while the key itself is changed. Pure."""

from __future__ import annotations

import base64
import re
from typing import Annotated

from pydantic import Field, SecretStr

KEY_BYTES = 32
"""AES-256."""
KEYS_MAX = 8
"""Keys in the setting: they are changed one at a time."""
HOW_TO = "`openssl rand -base64 32` makes one"

Secret = Annotated[SecretStr, Field(min_length=1)]
"""Never empty: an empty secret would let in any caller with an empty header."""


def parse_secret_keys(text: str) -> tuple[bytes, ...]:
    """Keys from base64, with commas or blanks between. Raises ValueError, which never shows a key."""
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    if not 1 <= len(parts) <= KEYS_MAX:
        raise ValueError(f"expected 1 to {KEYS_MAX} keys with commas between, not {len(parts)}; {HOW_TO}")
    return tuple(_key(part, number) for number, part in enumerate(parts, 1))


def _key(part: str, number: int) -> bytes:
    try:
        key = base64.b64decode(part, validate=True)
    except ValueError:
        raise ValueError(f"key {number} is not base64; {HOW_TO}") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"key {number} is {len(key)} bytes, expected {KEY_BYTES} as base64; {HOW_TO}")
    return key
