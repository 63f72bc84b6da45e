"""URLs and addresses at which a subscriber's endpoint may be. Pure.

The registrant of an endpoint chooses where Sluice connects to, from inside the operator's network. So every address
that is not plainly on the public internet is refused, unless the operator allows its network. The tables are IANA's
registries of special-purpose addresses, and addresses of clouds' services. One refused address refuses a whole name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

from topics.configuration.networks import Network

URL_CHARS_MAX = 2048
"""The longest that servers and proxies commonly accept."""

Address = IPv4Address | IPv6Address

SPECIAL_IPV4: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network (unspecified)"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "shared by carriers (CGNAT)"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "Azure's host"),
    ("169.254.0.0/16", "link-local, where clouds answer metadata"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved (class E)"),
)
SPECIAL_IPV6: tuple[tuple[str, str], ...] = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::/96", "IPv4-compatible"),
    ("::ffff:0:0:0/96", "IPv4-translated"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("100::/64", "discard-only"),
    ("100:0:0:1::/64", "dummy prefix"),
    ("2001::/32", "Teredo"),
    ("2001:2::/48", "benchmarking"),
    ("2001:10::/28", "ORCHID"),
    ("2001:20::/28", "ORCHIDv2"),
    ("2001::/23", "protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "AS112"),
    ("3ffe::/16", "6bone, given back"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing (SRv6)"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
GLOBAL_IPV6 = IPv6Network("2000::/3")
"""The part that the internet routes; everything else is refused, named above or not."""
ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""In the middle of an IPv6 address: its last part is an IPv4 address that some router would turn to."""

NOT_ALLOWED = "its address is not allowed: the log says which and why, and SLUICE_SUBSCRIBER_NETWORKS allows networks"
"""All that is said about an address that is not allowed, whatever it is."""

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_USER = re.compile(r"[^/?#]*//[^/?#]*@")
_PLAIN_URL = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without `\\`, which some programs read as `/`."""


class EndpointError(ValueError):
    """Sluice does not call this endpoint. The message says why, and which setting would change that.

    `detail`: what only the log says: who may register endpoints must not explore the operator's network by them.
    """

    def __init__(self, said: str, detail: str = "") -> None:
        super().__init__(said)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Special:
    network: Network
    what: str


_SPECIAL_IPV4 = tuple(Special(IPv4Network(network), what) for network, what in SPECIAL_IPV4)
_SPECIAL_IPV6 = tuple(Special(IPv6Network(network), what) for network, what in SPECIAL_IPV6)


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Endpoints that the operator allows. By default: https on public addresses, at the usual ports."""

    networks: tuple[Network, ...] = ()
    """Allowed although they are not public."""
    ports: tuple[range, ...] = (range(443, 444), range(8443, 8444))
    plain_http: bool = False

    def endpoint(self, text: str) -> URL:
        """The URL to call. Raises EndpointError. Addresses behind a name are checked when it is called."""
        if len(text) > URL_CHARS_MAX or _PLAIN_URL.fullmatch(text) is None:
            raise EndpointError(f"expected a URL of at most {URL_CHARS_MAX} printable ASCII characters without `\\`")
        try:
            url = URL(text)
            port, host = url.port, (url.raw_host or "").lower()
        except ValueError as error:
            raise EndpointError(f"not a URL: {error}") from error
        if url.scheme != "https" and not (self.plain_http and url.scheme == "http"):
            wanted = "https:// or http://" if self.plain_http else "https:// (SLUICE_SUBSCRIBER_HTTP allows http://)"
            raise EndpointError(f"expected a URL that begins with {wanted}")
        if _USER.match(text) is not None:
            raise EndpointError("a URL with user and password in it would show them in logs: leave them out")
        if "#" in text:
            raise EndpointError("a URL with `#` in it: nothing behind that is ever sent, leave it out")
        refusal = self._host_refusal(host) or self._port_refusal(port or 0)
        if refusal is not None:
            raise EndpointError(refusal)
        if is_address(host) and (refusal := self._address_refusal(host)) is not None:
            raise EndpointError(NOT_ALLOWED, refusal)
        return url

    def refusal(self, address: str, port: int) -> str | None:
        """Why this address must not be dialled, for the log; None when it may be."""
        return self._port_refusal(port) or self._address_refusal(address)

    def _address_refusal(self, address: str) -> str | None:
        try:
            parsed = ip_address(address)
        except ValueError:
            return f"{address[:80]} is not an address"
        if any(parsed in network for network in self.networks):
            return None
        what = special(parsed)
        if what is None:
            return None
        return f"{address} is not public: {what} (SLUICE_SUBSCRIBER_NETWORKS allows networks)"

    def answer_refusal(self, addresses: Iterable[str], port: int) -> str | None:
        """Why a name with these addresses must not be called: one refused address is enough."""
        return next((why for address in addresses if (why := self.refusal(address, port)) is not None), None)

    def _host_refusal(self, host: str) -> str | None:
        """Why this is no host. Addresses behind a name are known only when it is called."""
        if ":" in host:
            return None
        if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]) is not None:
            try:
                IPv4Address(host)
            except ValueError:
                return f"{host[:80]} is an IPv4 address in an odd spelling: write it as four decimal numbers"
            return None
        return f"{host[:80]!r} is not the name of a host" if len(host) > 253 or not _NAME.fullmatch(host) else None

    def _port_refusal(self, port: int) -> str | None:
        if any(port in allowed for allowed in self.ports):
            return None
        return f"port {port} is not allowed (SLUICE_SUBSCRIBER_PORTS says which are)"


def special(address: Address) -> str | None:
    """The kind of special address, None for one on the public internet."""
    if isinstance(address, IPv4Address):
        return next((entry.what for entry in _SPECIAL_IPV4 if address in entry.network), None)
    if address.scope_id is not None:
        return "it is of one interface only"
    named = next((entry.what for entry in _SPECIAL_IPV6 if address in entry.network), None)
    if named is not None:
        return named
    if address not in GLOBAL_IPV6:
        return "not routed on the internet"
    return "IPv4 inside (ISATAP)" if int(address) >> 32 & 0xFFFF_FFFF in ISATAP else None


def is_address(host: str) -> bool:
    """Whether a host that passed the guard is an address, not a name."""
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
