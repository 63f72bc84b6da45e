"""Nothing but the public internet is called, however an address is written, unless an operator allows its network."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.configuration.errors import ConfigurationError
from topics.configuration.networks import parse_networks, parse_ports
from topics.configuration.settings import load_settings
from topics.webhooks.addresses import NOT_ALLOWED, SPECIAL_IPV4, SPECIAL_IPV6, AddressGuard, EndpointError, special
from topics.webhooks.dialling import guard_of

DEFAULT = AddressGuard()
OPEN = AddressGuard(plain_http=True, ports=parse_ports("1-65535"))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "100.100.100.200"),
        *("127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1"),
        *("172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1"),
        *("192.168.1.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.254", "255.255.255.255"),
        *("::", "::1", "::2", "::7f00:1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "100:0:0:1::1", "2001::1"),
        *("2001:2::1", "2001:10::1", "2001:2f::1", "2001:1ff::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::"),
        *("2620:4f:8000::1", "3ffe::1", "3fff::1", "3fff:fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1"),
        *("fe80::1%eth0", "2600::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "4000::1", "200::1", "8000::1"),
        *("2600::5efe:10.0.0.1", "2600::200:5efe:8.8.8.8"),
    ],
)
def test_a_special_address_is_refused(address: str) -> None:
    assert special(ip_address(address)) is not None
    assert "SLUICE_SUBSCRIBER_NETWORKS" in (OPEN.refusal(address, 443) or "")


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "128.0.0.0", "126.255.255.255"),
        *("169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255"),
        *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.17"),
        *("2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111", "2a00::1", "3fff:1000::1"),
    ],
)
def test_a_public_address_is_not(address: str) -> None:
    assert special(ip_address(address)) is None
    assert OPEN.refusal(address, 443) is None


@given(st.ip_addresses())
def test_what_python_knows_to_be_private_is_never_public_here(address: object) -> None:
    parsed = ip_address(str(address))
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved:
        assert special(parsed) is not None


def test_every_entry_of_the_tables_refuses_its_ends() -> None:
    for text, _ in (*SPECIAL_IPV4, *SPECIAL_IPV6):
        network = ip_network(text)
        for address in (network.network_address, network.broadcast_address):
            assert special(address) is not None, address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://hooks.example/", "begins with https://"),
        ("ftp://hooks.example/", "begins with https://"),
        ("//hooks.example/", "begins with https://"),
        ("hooks.example", "begins with https://"),
        ("https://", "not a URL|not the name of a host"),
        ("https:///path", "not a URL|not the name of a host"),
        ("https://user:pass@hooks.example/", "user and password"),
        ("https://user@hooks.example/", "user and password"),
        ("https://@hooks.example/", "user and password"),
        ("https://1.1.1.1@127.0.0.1/", "user and password"),
        ("https://hooks.example/#x", "`#`"),
        ("https://hooks.example/#", "`#`"),
        ("https://hooks.example:8080/", "port 8080 is not allowed"),
        ("https://hooks.example:0/", "port 0 is not allowed|not a URL"),
        ("https://hooks.example:99999/", "not a URL"),
        ("https://1.1.1.1:22/", "port 22 is not allowed"),
        ("https://127.0.0.1/", "loopback"),
        ("https://169.254.169.254/latest/meta-data/", "metadata"),
        ("https://2130706433/", "odd spelling"),
        ("https://0x7f000001/", "odd spelling"),
        ("https://0x7f.0.0.1/", "odd spelling"),
        ("https://0177.0.0.1/", "odd spelling"),
        ("https://127.1/", "odd spelling"),
        ("https://127.0.1/", "odd spelling"),
        ("https://0/", "odd spelling"),
        ("https://127.0.0.1./", "odd spelling"),
        ("https://127.0.0.01/", "odd spelling"),
        ("https://1.1.1.1.1/", "odd spelling"),
        ("https://256.1.1.1/", "odd spelling|not a URL"),
        ("https://1.1.1.0x1/", "odd spelling"),
        ("https://hooks.0x7f/", "odd spelling"),
        ("https://134744072/", "odd spelling"),
        ("https://\uff11\uff12\uff17.0.0.1/", "printable ASCII"),
        ("https://%31%32%37.0.0.1/", "not the name of a host|loopback|odd spelling|not a URL"),
        ("https://hooks%2eexample/", "not the name of a host|not a URL"),
        ("https://hooks.example\\@127.0.0.1/", "printable ASCII"),
        ("https://hooks.example/\r\nHost: x", "printable ASCII"),
        ("https://hooks .example/", "printable ASCII"),
        ("https://hooks.example./", "not the name of a host"),
        ("https://hooks..example/", "not the name of a host|not a URL"),
        ("https://-hooks.example/", "not the name of a host|not a URL"),
        ("https://" + "a" * 64 + ".example/", "not the name of a host|not a URL"),
        ("https://[::1]/", "loopback"),
        ("https://[::]/", "unspecified"),
        ("https://[0:0:0:0:0:0:0:1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "IPv4-mapped"),
        ("https://[::ffff:7f00:1]/", "IPv4-mapped"),
        ("https://[::127.0.0.1]/", "IPv4-compatible"),
        ("https://[64:ff9b::169.254.169.254]/", "NAT64"),
        ("https://[2002:7f00:1::]/", "6to4"),
        ("https://[2001:0:7f00:1::]/", "Teredo"),
        ("https://[fd00:ec2::254]/", "unique local"),
        ("https://[fe80::1%25eth0]/", "one interface|link-local|not a URL|not an address"),
        ("https://[::1", "not a URL"),
        ("https://[hooks.example]/", "not a URL|not an address"),
        ("https://hooks.example/" + "x" * 2048, "at most 2048"),
        ("", "at most 2048"),
    ],
)
def test_a_url_that_is_no_public_endpoint_is_refused(url: str, says: str) -> None:
    with pytest.raises(EndpointError) as error:
        DEFAULT.endpoint(url)
    assert re.search(says, f"{error.value} {error.value.detail}")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fd00::1]", "[::ffff:a00:1]"])
def test_all_addresses_that_are_not_allowed_get_the_same_words(host: str) -> None:
    with pytest.raises(EndpointError) as error:
        DEFAULT.endpoint(f"https://{host}/")
    assert str(error.value) == NOT_ALLOWED
    assert host.strip("[]") in error.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/",
        "https://hooks.example",
        "https://HOOKS.Example/a%2Fb?c=d%20e",
        "https://hooks.example:8443/x",
        "https://a_b.c-d.example/x",
        "https://xn--mnchen-3ya.example/",
        "https://1.1.1.1/hook",
        "https://[2606:4700::1111]:8443/hook",
        "https://localhost/",  # a name like any other: what it means is known when it is called
    ],
)
def test_a_public_endpoint_is_called_as_it_is_written(url: str) -> None:
    assert DEFAULT.endpoint(url).scheme == "https"


@given(address=st.ip_addresses(v=4), data=st.data())
def test_an_address_is_taken_in_its_one_spelling_only(address: object, data: st.DataObject) -> None:
    """Whatever `inet_aton` would read as an address, and browsers and resolvers with it."""
    octets = str(address).split(".")
    value = int(ip_address(str(address)))
    kept = data.draw(st.integers(0, 3), label="octets before the rest")
    rest = value & ((1 << 8 * (4 - kept)) - 1)
    numbers = [int(octet) for octet in octets[:kept]] + [rest]
    spelling = st.sampled_from(["{:d}", "0{:o}", "0x{:x}", "0X{:X}", "0000{:o}"])
    host = ".".join(data.draw(spelling).format(number) for number in numbers)
    if host != str(address):
        with pytest.raises(EndpointError, match="odd spelling"):
            OPEN.endpoint(f"https://{host}/")
    elif special(ip_address(host)) is not None:
        with pytest.raises(EndpointError, match=NOT_ALLOWED):
            OPEN.endpoint(f"https://{host}/")


def test_one_refused_address_refuses_the_answer() -> None:
    assert DEFAULT.answer_refusal(["1.1.1.1", "2606:4700::1111"], 443) is None
    assert "loopback" in (DEFAULT.answer_refusal(["1.1.1.1", "127.0.0.1"], 443) or "")
    assert "unique local" in (DEFAULT.answer_refusal(["fd00::1", "1.1.1.1"], 443) or "")
    assert "not an address" in (DEFAULT.answer_refusal(["elsewhere.example"], 443) or "")


def test_an_operator_allows_networks_ports_and_plain_http() -> None:
    guard = guard_of(
        load_settings(
            subscriber_networks="127.0.0.0/8, fd00::/8", subscriber_ports="8000-8001,443", subscriber_http="true"
        )
    )
    assert guard.endpoint("http://127.0.0.1:8000/").port == 8000
    assert guard.endpoint("https://[fd00::1]/").port == 443
    assert guard.refusal("10.0.0.1", 443) is not None
    assert guard.refusal("::ffff:127.0.0.1", 443) is not None
    for url, says in (("http://127.0.0.1/", "port 80"), ("http://127.0.0.1:8002/", "port 8002"), ("ws://x/", "begins")):
        with pytest.raises(EndpointError, match=says):
            guard.endpoint(url)
    assert guard_of(load_settings()) == DEFAULT


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("subscriber_networks", "10.0.0.1/8", "expected networks with commas between"),
        ("subscriber_networks", "everything", "expected networks"),
        ("subscriber_networks", ",".join(["10.0.0.0/8"] * 65), "expected at most 64 networks"),
        ("subscriber_ports", "0", "expected ports with commas between"),
        ("subscriber_ports", "9-8", "expected ports"),
        ("subscriber_ports", "65536", "expected ports"),
        ("subscriber_ports", "https", "expected ports"),
    ],
)
def test_a_setting_that_allows_nothing_sensible_is_refused_at_the_start(setting: str, value: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SLUICE_{setting.upper()}: {says}"):
        load_settings(**{setting: value})


def test_networks_and_ports_are_read_with_commas_or_blanks() -> None:
    assert [str(network) for network in parse_networks("10.0.0.0/8 fd00::/8,")] == ["10.0.0.0/8", "fd00::/8"]
    assert parse_ports("443, 8000-8999") == (range(443, 444), range(8000, 9000))
