"""Tokens of /api by name: from SLUICE_API_TOKEN, SLUICE_API_TOKENS and the file SLUICE_API_TOKENS_FILE."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from topics.configuration.errors import ConfigurationError

TOKENS_MAX = 100
"""People and programs that call /api of one gateway; more is a mistake in the file."""
UNNAMED = "api-token"
"""The name of the token in SLUICE_API_TOKEN, which has none of its own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"[!-+\--~]+")
"""Printable ASCII without blanks and commas: what a header carries as it is, and a list holds apart."""


class TokenSettings(Protocol):
    """The settings that tokens come from."""

    @property
    def api_token(self) -> SecretStr | None: ...
    @property
    def api_tokens(self) -> SecretStr | None: ...
    @property
    def api_tokens_file(self) -> Path | None: ...


def load_api_tokens(settings: TokenSettings) -> dict[str, str]:
    """All tokens by name. Reads the file anew at each call. Raises ConfigurationError, which shows no token."""
    tokens: dict[str, str] = {}
    if settings.api_token is not None:
        tokens[UNNAMED] = settings.api_token.get_secret_value()
    if settings.api_tokens is not None:
        _add(tokens, parse_api_tokens(settings.api_tokens.get_secret_value()), "environment: SLUICE_API_TOKENS")
    if settings.api_tokens_file is not None:
        path = settings.api_tokens_file
        try:
            found = parse_api_tokens(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path}: is not UTF-8: byte {error.start} cannot be read") from error
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from error
        _add(tokens, found, str(path))
    return tokens


def parse_api_tokens(text: str) -> dict[str, str]:
    """Tokens from NAME=TOKEN, with commas or line breaks between; `#` begins a remark at the begin of a line.

    Raises ValueError, which names the entry by its place and never shows a token.
    """
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    entries = [entry for line in lines for part in line.split(",") if (entry := part.strip())]
    if not 1 <= len(entries) <= TOKENS_MAX:
        raise ValueError(f"expected 1 to {TOKENS_MAX} entries NAME=TOKEN, not {len(entries)}")
    tokens: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        name, separator, token = entry.partition("=")
        name, token = name.strip(), token.strip()
        if not separator or _NAME.fullmatch(name) is None:
            raise ValueError(
                f"entry {number}: expected NAME=TOKEN, with a name of letters, digits, `.`, `_`, `@` and `-`"
            )
        if _TOKEN.fullmatch(token) is None:
            raise ValueError(f"entry {number}, {name}: a token is printable ASCII without blanks and commas")
        if name in tokens:
            raise ValueError(f"entry {number}: {name} is there twice")
        tokens[name] = token
    _check_differ(tokens)
    return tokens


def _add(tokens: dict[str, str], more: Mapping[str, str], where: str) -> None:
    same = next((name for name in more if name in tokens), None)
    if same is not None:
        raise ConfigurationError(f"{where}: the name {same} has a token elsewhere, too: give each token its own name")
    tokens |= more
    try:
        _check_differ(tokens)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _check_differ(tokens: Mapping[str, str]) -> None:
    """Raises ValueError if two names have one token: the log of actions could not say which of them acted."""
    owners: dict[str, str] = {}
    for name, token in tokens.items():
        if owners.setdefault(token, name) != name:
            raise ValueError(f"{owners[token]} and {name} have the same token: give each its own")
