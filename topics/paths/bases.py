"""PURE: the paths below which a side finds the calls that are meant for it."""

from __future__ import annotations

import re

CHANNELS_BASE = "/channels"
INCREFF_BASE = f"{CHANNELS_BASE}/{{channel}}"
"""Increff's calls to a channel."""
API_BASE = "/api"
METRICS_PATH = "/metrics"
MARKETPLACE_BASES = ("/assure-magic2", "/assuremagic2")
"""Increff's own context paths, of which tenants have one or the other (contract 0.2): a marketplace changes only the
host."""
BASES_MAX = 16
"""Each base is a set of routes that an unknown path is compared with."""

_BASE = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_TAKEN = (CHANNELS_BASE, API_BASE)


def parse_bases(text: str) -> tuple[str, ...]:
    """`/assure-magic2,/assuremagic2`; `/` is a base without a path. Raises ValueError."""
    bases = tuple(dict.fromkeys(part.rstrip("/") for part in re.split(r"[,\s]+", text) if part))
    if not 0 < len(bases) <= BASES_MAX:
        raise ValueError(f"expected 1 to {BASES_MAX} paths with commas between, as {','.join(MARKETPLACE_BASES)}")
    for base in bases:
        if not _BASE.fullmatch(base):
            raise ValueError(f"expected paths as /assure-magic2, of letters, digits and ._~-, not {base!r}")
        if any(base == taken or base.startswith(taken + "/") for taken in _TAKEN):
            raise ValueError(f"{base}: calls below {' and '.join(_TAKEN)} are not those of marketplaces")
    return bases
