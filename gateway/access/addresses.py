"""The address of a caller: that of its connection, or what a trusted load balancer says."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address

from aiohttp import web

from topics.configuration.networks import Network, parse_networks
from topics.configuration.settings import Settings

UNKNOWN = "unknown"
"""The address of a connection that has none, as a UNIX socket."""
HOPS_MAX = 32
"""Addresses of such a header that are looked at, from its end on."""

_FOR = re.compile(r'(?:^|;)\s*for="?([^";]+)"?', re.IGNORECASE)


class Addresses:
    """Finds callers' addresses. Without trusted proxies, headers say nothing."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = parse_networks(settings.trusted_proxies)
        self._header = settings.proxy_header

    def of(self, request: web.Request) -> str:
        address = request.remote or UNKNOWN
        if not self._proxies or not _is_in(address, self._proxies):
            return address
        # Each proxy adds the address from which it was called at the end: what is before the first one that is not
        # trusted was written by the caller.
        hops = ",".join(request.headers.getall(self._header, ())).rsplit(",", HOPS_MAX)
        for hop in reversed(hops[-HOPS_MAX:]):
            found = _address_in(hop, forwarded=self._header == "Forwarded")
            if found is None:
                break
            address = found
            if not _is_in(address, self._proxies):
                break
        return address


def _address_in(hop: str, *, forwarded: bool) -> str | None:
    """The address in one entry: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`."""
    text = hop.strip()
    if forwarded:
        match = _FOR.search(text)
        text = match.group(1).strip() if match else ""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None


@lru_cache(maxsize=4_096)
def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)
