"""Who calls: a marketplace by its header triple, Increff by a channel's static pairs (contract 0.2). Constant time."""

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
class _Triple:
    channel: Channel | None
    password: bytes
    domain: bytes | None


class Authentication:
    """Secrets are unwrapped once, when the gateway starts."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels.channels
        self._nobody = _Triple(None, _NOBODY, None)
        self._triples: dict[str, _Triple] = {}
        self._increff: dict[str, tuple[tuple[str, bytes], ...]] = {}
        self._bootstrap: dict[str, tuple[tuple[str, bytes], ...]] = {}
        for name, channel in channels.channels.items():
            credentials = channel.credentials
            domain = None if credentials.domain is None else credentials.domain.encode()
            password = credentials.password.get_secret_value().encode()
            self._triples[credentials.username] = _Triple(channel, password, domain)
            self._increff[name] = _pairs(channel.increff_headers)
            if channel.get_credential is not None:
                self._bootstrap[name] = _pairs(channel.get_credential.bootstrap_headers)

    def marketplace(self, headers: Mapping[str, str]) -> Channel:
        """The channel whose credentials these are. An unknown username costs what a wrong password costs."""
        username = headers.get(USERNAME)
        password = headers.get(PASSWORD)
        if username is None or password is None:
            raise unauthorized(f"[{USERNAME if username is None else PASSWORD}: header is missing]")
        triple = self._triples.get(username, self._nobody)
        right = compare_digest(_bytes(password), triple.password)
        if triple.domain is not None:
            domain = headers.get(DOMAIN)
            if domain is None:
                raise unauthorized(f"[{DOMAIN}: header is missing]")
            right &= compare_digest(_bytes(domain), triple.domain)
        if not right or triple.channel is None:
            raise unauthorized("[credentials are not known]")
        return triple.channel

    def channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            raise Refused(404, "CHANNEL_UNKNOWN", "There is no such channel", f"[channel: {name[:64]} is not known]")
        return channel

    def increff(self, channel: Channel, headers: Mapping[str, str]) -> None:
        _check(self._increff[channel.name], headers)

    def bootstrap(self, channel: Channel, headers: Mapping[str, str]) -> None:
        """Get Credential has headers of its own: what it hands out cannot be what it asks for."""
        _check(self._bootstrap[channel.name], headers)


def bearer(token: bytes, header: str | None) -> None:
    """The management API's token."""
    given = _bytes(header or "")
    if not compare_digest(given, b"Bearer " + token):
        raise unauthorized("Authorization: Bearer with the gateway's API token is needed")


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
    """A header may hold bytes that are not UTF-8; they then match nothing."""
    return text.encode("utf-8", "surrogateescape")
