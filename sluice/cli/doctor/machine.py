"""Looks at this machine: its configuration, the secrets that it names, room on its disk, the way to far sides."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sluice.cli.doctor.findings import Observation, ok, problem, warning
from topics.configuration.api_tokens import load_api_tokens
from topics.configuration.channels import Channels
from topics.configuration.channels_file import load_channels
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings, load_settings

CONNECT_S: Final = 5.0
"""For a connection to a far side. Delivery waits twice as long; what takes more than this is slow."""
FREE_BYTES_MIN: Final = 1 << 30
"""Room that a backlog of some 200,000 waiting requests takes on local disk."""
FREE_SHARE_LOW: Final = 0.1
"""Where less than a tenth is free, a disk that fills by a percent an hour has less than half a day."""
SECRETS: Final = ("env:", "file:")
"""How channels.toml names secrets."""

Usage = Callable[[Path], Any]


def configured(
    overrides: dict[str, Any], default: dict[str, Any]
) -> tuple[Settings | None, Channels | None, list[Observation]]:
    """Settings and channels as roles on this machine would have them, and what is wrong with them."""
    found: list[Observation] = []
    settings: Settings | None = None
    channels: Channels | None = None
    try:
        settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    except ConfigurationError as error:
        found += faults_told(error)
    try:
        named = overrides.get("channels_file") if settings is None else settings.channels_file
        channels = load_channels(named, default=default)
    except ConfigurationError as error:
        found += faults_told(error)
    if settings is not None:
        found += tokens_told(settings)
    checks = {one.check for one in found}
    if "configuration" not in checks:
        found.append(ok("configuration", "settings and channels", "They can be read"))
    if "credential" not in checks:
        found.append(ok("credential", "secrets", "All that is named is there"))
    return settings, channels, found


def faults_told(error: ConfigurationError) -> Iterator[Observation]:
    """A finding for each fault; the faults name file, key and what is expected."""
    for line in str(error).splitlines():
        about, _, what = line.partition(": ")
        if any(mark in line for mark in SECRETS):
            do = "Set the variable, or write the file, for each process that reads channels.toml"
            yield problem("credential", about, what, do)
        else:
            yield problem(
                "configuration", about, what, "Correct it; docs/settings.md has all settings and their values"
            )


def tokens_told(settings: Settings) -> Iterator[Observation]:
    """Whether operators can call /api."""
    try:
        tokens = load_api_tokens(settings)
    except ConfigurationError as error:
        yield problem(
            "credential", "SLUICE_API_TOKENS", str(error), "Correct it; docs/access.md says how it is written"
        )
        return
    if settings.channels_file is not None and not tokens and not settings.api_open:
        do = "Set SLUICE_API_TOKEN for the gateway and for commands (`openssl rand -base64 32` makes one)"
        yield problem("credential", "SLUICE_API_TOKEN", "There is no token, so /api is closed", do)
    if settings.channels_file is not None and settings.secret_key is None:
        what = "There is no key: subscriptions cannot keep secrets, and commands of gateways are validated twice"
        do = "Set SLUICE_SECRET_KEY, the same for all roles (`openssl rand -base64 32` makes one)"
        yield warning("credential", "SLUICE_SECRET_KEY", what, do)


def look_at_disk(settings: Settings, usage: Usage = shutil.disk_usage) -> list[Observation]:
    """Room for local state. The journal's file lies there, too, unless its URL says otherwise."""
    directory = settings.state_dir.absolute()
    there = next(one for one in (directory, *directory.parents) if one.exists())
    try:
        found = usage(there)
    except OSError as error:
        return [
            problem("disk", str(directory), f"It cannot be looked at: {error.strerror}", "Correct SLUICE_STATE_DIR")
        ]
    free, share = found.free, found.free / found.total if found.total else 0.0
    said = f"{free / (1 << 30):.1f} GiB free, {share:.0%}"
    if not os.access(there, os.W_OK):
        return [
            problem("disk", str(directory), "It cannot be written", "Give this user the directory (SLUICE_STATE_DIR)")
        ]
    do = "Free room, or choose another disk with SLUICE_STATE_DIR: without room, a role that has to spill ends"
    if free < FREE_BYTES_MIN:
        return [problem("disk", str(directory), said, do)]
    return [warning("disk", str(directory), said, do) if share < FREE_SHARE_LOW else ok("disk", str(directory), said)]


async def look_at_destinations(channels: Channels) -> list[Observation]:
    """Each host of a far side once. Nothing is sent: a connection is opened and closed."""
    urls = {"increff": channels.increff.url}
    urls |= {f"channel:{name}": one.marketplace.url for name, one in channels.channels.items() if one.marketplace.url}
    by_host: dict[tuple[str, int], list[str]] = {}
    for name, url in urls.items():
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        by_host.setdefault((parts.hostname or "", port), []).append(name)
    return list(await asyncio.gather(*(_reached(host, port, names) for (host, port), names in by_host.items())))


async def _reached(host: str, port: int, names: list[str]) -> Observation:
    about = f"{', '.join(sorted(names))} at {host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_S):
            _reader, writer = await asyncio.open_connection(host, port)
    except socket.gaierror as error:
        what = f"The host is not known: {error.strerror or error}"
        return problem("destinations", about, what, "Correct its url in channels.toml, or the DNS of this machine")
    except TimeoutError:
        what = f"No connection within {CONNECT_S:.0f} s"
        return problem("destinations", about, what, "Open the way to it: firewall, proxy, allow-list of the far side")
    except OSError as error:
        what = f"No connection: {error.strerror or error}"
        return problem("destinations", about, what, "Ask the far side, or correct its url in channels.toml")
    writer.close()
    return ok("destinations", about, "It can be reached")
