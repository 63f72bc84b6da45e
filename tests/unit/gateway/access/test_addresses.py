"""A caller's address is its connection's, unless that is a trusted load balancer's; nobody chooses an address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from aiohttp import web
from multidict import CIMultiDict

from gateway.access.addresses import HOPS_MAX, Addresses
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import load_settings

PROXIES = "10.0.0.0/8, fd00::/8"


@dataclass
class Request:
    remote: str | None
    headers: CIMultiDict[str]


def address(remote: str | None, *lines: str, header: str = "X-Forwarded-For", **settings: Any) -> str:
    request = Request(remote, CIMultiDict([(header, line) for line in lines]))
    return Addresses(load_settings(**settings)).of(cast("web.Request", request))


def test_headers_say_nothing_where_nobody_is_trusted() -> None:
    assert address("10.0.0.1", "192.0.2.1") == "10.0.0.1"
    assert address("192.0.2.9", "192.0.2.1", trusted_proxies=PROXIES) == "192.0.2.9"
    assert address(None, "192.0.2.1", trusted_proxies=PROXIES) == "unknown"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["203.0.113.7, 192.0.2.1"], "192.0.2.1"),
        (["203.0.113.7", "192.0.2.1"], "192.0.2.1"),
        (["203.0.113.7, 192.0.2.1, 10.0.0.2, 10.0.0.3"], "192.0.2.1"),
        (["192.0.2.1:4711"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["10.0.0.2"], "10.0.0.2"),
        (["192.0.2.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        (["nonsense"], "10.0.0.1"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
        ([", ".join(["192.0.2.1"] + ["10.0.0.2"] * HOPS_MAX)], "10.0.0.2"),
    ],
)
def test_the_last_address_that_is_no_trusted_proxy_counts(lines: list[str], found: str) -> None:
    assert address("10.0.0.1", *lines, trusted_proxies=PROXIES) == found
    assert address("::ffff:10.0.0.1", *lines, trusted_proxies=PROXIES) in (found, "::ffff:10.0.0.1")


def test_the_standard_header_is_read_where_it_is_chosen_and_only_there() -> None:
    forwarded: dict[str, Any] = {"header": "Forwarded", "trusted_proxies": PROXIES, "proxy_header": "Forwarded"}
    assert address("10.0.0.1", "for=203.0.113.7, proto=https;for=192.0.2.1", **forwarded) == "192.0.2.1"
    assert address("10.0.0.1", 'for="[2001:db8::1]:80";by=10.0.0.1', **forwarded) == "2001:db8::1"
    assert address("10.0.0.1", "for=_hidden", **forwarded) == "10.0.0.1"
    assert address("10.0.0.1", "for=192.0.2.1", header="Forwarded", trusted_proxies=PROXIES) == "10.0.0.1"


def test_a_network_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="SLUICE_TRUSTED_PROXIES: expected networks"):
        load_settings(trusted_proxies="load-balancer")
