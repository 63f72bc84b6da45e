"""Environment of the roles of `sluice up`. Variables that the user has set win."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from sluice.errors import StartError
from topics.configuration.private_files import make_private
from topics.configuration.secret_keys import KEY_BYTES, parse_secret_keys

HOST = "127.0.0.1"
"""Where the gateway listens unless SLUICE_GATEWAY_HOST says otherwise."""
KEY_FILE = "secret.key"
THIS_MACHINE = {
    "SLUICE_SUBSCRIBER_NETWORKS": "127.0.0.0/8,::1/128",
    "SLUICE_SUBSCRIBER_PORTS": "1-65535",
    "SLUICE_SUBSCRIBER_HTTP": "true",
}
"""Beside the sandboxes, subscribers may be on this machine."""
NO_PERSONS = {"SLUICE_JOURNAL_PERSONAL": "plain"}
"""The sandboxes' orders name nobody, so the journal may keep all of them."""
TOKENS = ("SLUICE_API_TOKEN", "SLUICE_API_TOKENS", "SLUICE_API_TOKENS_FILE")
OPEN = "SLUICE_API_OPEN"


def role_environment(data_dir: Path, *, has_sandboxes: bool, given: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a role. Raises StartError when the key cannot be kept."""
    ours = {**THIS_MACHINE, **NO_PERSONS} if has_sandboxes else {}
    if has_sandboxes and _is_loopback(given.get("SLUICE_GATEWAY_HOST") or HOST) and not has_token(given):
        ours[OPEN] = "true"
    if not given.get("SLUICE_JOURNAL_URL"):  # the gateway reads what the journal role writes
        ours["SLUICE_JOURNAL_URL"] = f"sqlite:///{(data_dir / 'journal' / 'journal.db').absolute()}"
    if not given.get("SLUICE_SECRET_KEY"):
        ours["SLUICE_SECRET_KEY"] = kept_key(data_dir / KEY_FILE)
    return {**ours, **{name: value for name, value in given.items() if value or name not in ours}}


def has_token(environment: Mapping[str, str]) -> bool:
    """Whether a token of /api is set."""
    return any(environment.get(name) for name in TOKENS)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def kept_key(path: Path) -> str:
    """Return the key in the file, made by the first run: secrets sealed in one run must open in the next."""
    try:
        if not path.exists():
            _make(path)
        key = path.read_text(encoding="ascii").strip()
        parse_secret_keys(key)
    except OSError as error:
        raise StartError(f"{path}: cannot be used: {error.strerror}") from error
    except ValueError as error:
        advice = "without the old key, the secrets of subscriptions must be rotated"
        raise StartError(f"{path}: {error}; {advice}") from error
    return key


def _make(path: Path) -> None:
    """Write a new key in one step: the next run must not find half a key."""
    make_private(path.parent)
    half = path.with_suffix(".new")
    half.unlink(missing_ok=True)
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
