"""Parses the networks and ports of settings. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

NETWORKS_MAX = 64
"""Networks in the allow-list: each address is compared with each of them."""
DEFAULT_PORTS = "443,8443"

Network = IPv4Network | IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8, fd00::/8`. Raises ValueError."""
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    if len(parts) > NETWORKS_MAX:
        raise ValueError(f"expected at most {NETWORKS_MAX} networks, not {len(parts)}")
    return tuple(_network(part) for part in parts)


def parse_ports(text: str) -> tuple[range, ...]:
    """`443,8000-8999`. Raises ValueError."""
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    return tuple(_ports(part) for part in parts)


def _network(part: str) -> Network:
    try:
        return ip_network(part)
    except ValueError as error:
        raise ValueError(f"expected networks with commas between, as 10.0.0.0/8,fd00::/8: {error}") from error


def _ports(part: str) -> range:
    first, _, last = part.partition("-")
    if re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", part) is None or not 0 < int(first) <= int(last or first) <= 65_535:
        raise ValueError(f"expected ports with commas between, as 443,8000-8999, not {part!r}")
    return range(int(first), int(last or first) + 1)
