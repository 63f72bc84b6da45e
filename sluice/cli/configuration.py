"""The configuration that a command runs with: everything wrong with it is said at once, and what looks misspelt."""

# ruff: noqa: PLC0415 - settings and channels are imported when a command needs these

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from topics.configuration.channels import Channels
    from topics.configuration.settings import Settings

PREFIX = "SLUICE_"
OTHERS = (
    "SLUICE_URL",
    "SLUICE_GATEWAY_URL",
    "SLUICE_INVARIANTS",
    "SLUICE_CHANNELS",
    "SLUICE_ENV_FILE",
    "SLUICE_COMPILED",
)
"""Variables that are no settings: of the command line, of tests, of docker-compose.yml, of topics/compiled.py."""
TESTS = "SLUICE_TEST_"
_USUAL = frozenset((*OTHERS, "SLUICE_API_TOKEN"))
"""Variables of commands that ask a gateway: where there are no others, the settings need not be imported."""
_SERVICE_LINK = re.compile(r"SLUICE_(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_.*)?)")
_LINK = ("tcp://", "udp://", "sctp://")
"""Variables that Kubernetes sets in each pod for a service whose name begins with `sluice`."""
ALIKE = 0.8
"""How like a known name an unknown one is, at least, to be a misspelling of it (difflib's ratio)."""


def load(
    overrides: Mapping[str, Any],
    default_channels: dict[str, Any],
    checks: Collection[Callable[[Settings], object]] = (),
) -> tuple[Settings, Channels]:
    """Settings and channels. `checks` may refuse the settings, too. Raises one ConfigurationError for all faults."""
    from topics.configuration.channels_file import load_channels
    from topics.configuration.errors import ConfigurationError
    from topics.configuration.settings import load_settings

    given = {name: value for name, value in overrides.items() if value is not None}
    faults: list[str] = []
    settings: Settings | None = None
    channels: Channels | None = None
    try:
        settings = load_settings(**given)
    except ConfigurationError as error:
        faults.append(str(error))
    for check in checks if settings is not None else ():
        try:
            check(settings)  # type: ignore[arg-type]  # mypy does not see that it is not None here
        except ConfigurationError as error:
            faults.append(str(error))
    try:
        path = settings.channels_file if settings is not None else channels_file(given)
        channels = load_channels(path, default=default_channels)
    except ConfigurationError as error:
        faults.append(str(error))
    if settings is None or channels is None or faults:
        raise ConfigurationError("\n".join(faults))
    return settings, channels


def channels_file(given: Mapping[str, Any]) -> Path | None:
    """The path of channels.toml where other settings are wrong, or are not needed."""
    variable = f"{PREFIX}CHANNELS_FILE"
    named = given.get("channels_file") or next((os.environ[one] for one in os.environ if one.upper() == variable), "")
    return Path(named) if named else None


def unknown_variables(environment: Mapping[str, str], used: Collection[str] = (), *, every: bool) -> list[str]:
    """A sentence for each variable of Sluice's prefix that is no setting. `used`: by channels.toml. Without `every`,
    only those that are like a setting: others may be a secret that another process reads."""
    names = [name for name in environment if name.upper().startswith(PREFIX) and name not in used]
    if all(name in _USUAL for name in names):
        return []
    from topics.configuration.settings import Settings

    known = {*OTHERS, *(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)}
    unknown = (name for name in names if not _is_read(name, known) and not _is_of_others(name, environment[name]))
    return [text for name in sorted(unknown) if (text := _unknown(name, sorted(known), every=every))]


def _is_read(name: str, known: Collection[str]) -> bool:
    """Whether the name is one that is read. Settings are read in any case, the others as they are written here."""
    return name in known or (name.upper() in known and name.upper() not in OTHERS)


def _is_of_others(name: str, value: str) -> bool:
    return name.startswith(TESTS) or _SERVICE_LINK.fullmatch(name) is not None or value.startswith(_LINK)


def _unknown(name: str, known: list[str], *, every: bool) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=ALIKE)
    if near:
        return f"{name} is no setting of Sluice and is not read; did you mean {near[0]}?"
    return f"{name} is no setting of Sluice and is not read; docs/settings.md lists all settings" if every else ""
