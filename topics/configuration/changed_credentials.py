"""Credentials of a `channels.toml` that was read again. Only they change while a process runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from topics.configuration.channels import Channel, Channels
from topics.configuration.errors import ConfigurationError

CREDENTIALS = ("credentials", "increff_credentials", "increff_headers", "increff_headers_also", "marketplace_headers")
"""Members of a channel that are credentials as a whole."""
CREDENTIALS_WITH_A_SWITCH = ("get_credential", "marketplace_credential")
"""Members that hold credentials, and by being there switch something on: that needs a restart."""
NAMED_MAX = 20
"""Settings that one line of the log names."""


def with_credentials_of(known: Channels, found: Channels) -> Channels:
    """The known channels with the credentials that were found. Raises ConfigurationError if two share a username."""
    merged = {
        name: _with_credentials(channel, found.channels.get(name, channel)) for name, channel in known.channels.items()
    }
    owners: dict[str, str] = {}
    for name, channel in merged.items():
        username = channel.credentials.username
        if owners.setdefault(username, name) != name:
            raise ConfigurationError(f"channels {owners[username]} and {name} would share the username {username}")
    return known.model_copy(update={"channels": merged})


def needs_restart(known: Channels, found: Channels) -> list[str]:
    """The settings, no credentials, in which the two differ: a running process goes on with the known ones."""
    return list(_differences(_without_credentials(known), _without_credentials(found)))


def listed(names: list[str]) -> str:
    """The first of the names, for a line of the log."""
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def _with_credentials(old: Channel, new: Channel) -> Channel:
    update = {name: getattr(new, name) for name in CREDENTIALS}
    for name in CREDENTIALS_WITH_A_SWITCH:
        if getattr(old, name) is not None and getattr(new, name) is not None:
            update[name] = getattr(new, name)
    return old.model_copy(update=update)


def _without_credentials(channels: Channels) -> dict[str, Any]:
    document = channels.model_dump()
    for channel in document["channels"].values():
        for name in CREDENTIALS:
            del channel[name]
        for name in CREDENTIALS_WITH_A_SWITCH:
            channel[name] = channel[name] is not None
    return document


def _differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            below = f"{path}.{name}" if path else str(name)
            if name in one and name in other:
                yield from _differences(one[name], other[name], below)
            else:
                yield below
    elif one != other:
        yield path
