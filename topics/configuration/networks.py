"""Parses the networks and ports of settings. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

NETWORKS_MAX = 64
"""Networks in the allow-list: each address is compared with each of them."""
DEFAULT_PORTS = "443,8443"
IPV6_PREFIX = 64
"""The part of an IPv6 address that one customer gets: the addresses in it are one machine's to choose from."""

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


@lru_cache(maxsize=4_096)
def peer_of(address: str) -> str:
    """The peer with this address: of IPv6 its /64. IPv4 that is written as IPv6 is IPv4; other texts stay."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    host_bits = 128 - IPV6_PREFIX
    return f"{IPv6Address(int(parsed) >> host_bits << host_bits)}/{IPV6_PREFIX}"


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
