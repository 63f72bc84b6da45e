"""Authentication, in constant time: a marketplace by three headers, Increff by the static headers of a channel
(contract 0.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest

from multidict import istr

from gateway.http.answers import Refused
from topics.configuration.channels import Channel, Channels

# Header names are looked up case-insensitively; istr does the folding once, here.
USERNAME, PASSWORD, DOMAIN = istr("authUsername"), istr("authPassword"), istr("authDomainName")
_NOBODY = b"\x00 matches no header value"


def unauthorized(description: str) -> Refused:
    return Refused(401, "UNAUTHORIZED", "Authentication failed", description)


@dataclass(frozen=True, slots=True)
class _Credentials:
    """Credentials that a marketplace has to send. `channel` None: an unknown username; `domain` None: any domain, or
    none."""

    channel: Channel | None
    password: bytes
    domain: bytes | None


class Authentication:
    """Finds the channel of a call, and checks the secrets of its caller. They are unwrapped once, at the start."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels.channels
        self._nobody = _Credentials(None, _NOBODY, None)
        self._marketplaces: dict[str, _Credentials] = {}
        self._increff: dict[str, tuple[tuple[str, bytes], ...]] = {}
        self._bootstrap: dict[str, tuple[tuple[str, bytes], ...]] = {}
        for name, channel in channels.channels.items():
            credentials = channel.credentials
            domain = None if credentials.domain is None else credentials.domain.encode()
            password = credentials.password.get_secret_value().encode()
            self._marketplaces[credentials.username] = _Credentials(channel, password, domain)
            self._increff[name] = _pairs(channel.increff_headers)
            if channel.get_credential is not None:
                self._bootstrap[name] = _pairs(channel.get_credential.bootstrap_headers)

    def marketplace(self, headers: Mapping[str, str]) -> Channel:
        """The channel with these credentials. An unknown username takes as long as a wrong password. Raises Refused."""
        username = headers.get(USERNAME)
        password = headers.get(PASSWORD)
        if username is None or password is None:
            raise unauthorized(f"[{USERNAME if username is None else PASSWORD}: header is missing]")
        expected = self._marketplaces.get(username, self._nobody)
        right = compare_digest(_bytes(password), expected.password)
        if expected.domain is not None:
            domain = headers.get(DOMAIN)
            if domain is None:
                raise unauthorized(f"[{DOMAIN}: header is missing]")
            right &= compare_digest(_bytes(domain), expected.domain)
        if not right or expected.channel is None:
            raise unauthorized("[credentials are not known]")
        return expected.channel

    def channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            raise Refused(404, "CHANNEL_UNKNOWN", "There is no such channel", f"[channel: {name[:64]} is not known]")
        return channel

    def increff(self, channel: Channel, headers: Mapping[str, str]) -> None:
        _check(self._increff[channel.name], headers)

    def bootstrap(self, channel: Channel, headers: Mapping[str, str]) -> None:
        """Get Credential has headers of its own, because it hands out the others."""
        _check(self._bootstrap[channel.name], headers)


def bearer(token: bytes, header: str | None) -> None:
    """Checks the token of the management API. Raises Refused."""
    given = _bytes(header or "")
    if not compare_digest(given, b"Bearer " + token):
        raise unauthorized("send the header Authorization: Bearer with the gateway's API token")


def _check(pairs: tuple[tuple[str, bytes], ...], headers: Mapping[str, str]) -> None:
    right = True
    for name, secret in pairs:
        given = headers.get(name)
        if given is None:
            raise unauthorized(f"[{name}: header is missing]")
        right &= compare_digest(_bytes(given), secret)
    if not right:
        raise unauthorized("[credentials are not known]")


def _pairs(secrets: Mapping[str, object]) -> tuple[tuple[str, bytes], ...]:
    return tuple((istr(name), str(secret.get_secret_value()).encode()) for name, secret in secrets.items())  # type: ignore[attr-defined]


def _bytes(text: str) -> bytes:
    """The bytes of a header. Those that are not UTF-8 match no secret."""
    return text.encode("utf-8", "surrogateescape")
