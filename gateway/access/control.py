"""Lets callers in: finds the channel of a call, or whose token a call of /api has; brakes guesses."""

from __future__ import annotations

import math
from collections.abc import Mapping

from aiohttp import web

from gateway.access.addresses import Addresses
from gateway.access.authentication import USERNAME, Marketplaces, StaticHeaders, Tokens
from gateway.access.brake import Brake, State
from gateway.access.failures import Failures
from gateway.http.answers import Refused
from gateway.http.metrics import Metrics
from topics.configuration.api_tokens import load_api_tokens
from topics.configuration.channels import Channel, Channels
from topics.configuration.settings import Settings
from topics.contract.definition import Touchpoint

ANYBODY = "anybody"
"""The actor of a call to an open /api."""
_API = "api"
_HOW_MARKETPLACE = "authUsername, authPassword and, where the channel has a domain, authDomainName"
_HOW_INCREFF = "the header pairs that are agreed for this channel"
_HOW_API = "Authorization: Bearer, with a token of the gateway's /api"


_SCHEMES = {_HOW_API: 'Bearer realm="Sluice"'}
_OWN_SCHEME = 'Headers realm="Sluice"'
"""The challenge where credentials travel in headers of their own, for which no scheme is registered. (Basic would make
browsers ask for a password.)"""


def unauthorized(how: str) -> Refused:
    """The one answer to all callers that are not authenticated. `how`: the headers that callers on this side send."""
    challenge = ("WWW-Authenticate", _SCHEMES.get(how, _OWN_SCHEME))
    fault = f"[credentials are missing or not known: send {how}]"
    return Refused(401, "UNAUTHORIZED", "Authentication failed", fault, headers=(challenge,))


class Braked(Refused):
    """A call from where too many wrong credentials came. It has no line in the access log: a guesser would fill it."""


def braked(wait_s: float) -> Braked:
    said = "credentials from this address are looked at again after Retry-After"
    return Braked(429, "TOO_MANY_FAILURES", "Too many wrong credentials", said, math.ceil(wait_s))


class AccessControl:
    """Checks callers. Its credentials are replaced while it works: see `replace`."""

    def __init__(self, settings: Settings, channels: Channels, metrics: Metrics) -> None:
        """Raises ConfigurationError if tokens of /api cannot be read."""
        self._is_open = settings.api_open
        self._addresses = Addresses(settings)
        self._brake = Brake(settings.auth_failures_burst, settings.auth_failures_per_minute)
        self._failures = Failures(metrics)
        self.replace(channels, load_api_tokens(settings))

    def replace(self, channels: Channels, tokens: Mapping[str, str]) -> None:
        """From now on these credentials are right, and no others."""
        known = channels.channels
        marketplaces, found_tokens = Marketplaces(channels), Tokens(tokens)
        increff = {name: (channel.increff_headers, channel.increff_headers_also) for name, channel in known.items()}
        bootstrap = {
            name: (given.bootstrap_headers, given.bootstrap_headers_also)
            for name, channel in known.items()
            if (given := channel.get_credential) is not None
        }
        self._increff, self._bootstrap = StaticHeaders(increff), StaticHeaders(bootstrap)
        self._marketplaces, self._tokens = marketplaces, found_tokens
        self._usernames = {channel.credentials.username: name for name, channel in known.items()}
        self.channels = channels

    def api_state(self) -> str:
        """The words for the log: who may call /api."""
        if self._tokens:
            return "takes calls with a token"
        return "is open to anybody (SLUICE_API_OPEN)" if self._is_open else "is closed: no token is set"

    def address(self, request: web.Request) -> str:
        return self._addresses.of(request)

    def claimed(self, username: str) -> str | None:
        """The name of the channel with a marketplace's username, which anybody may claim to be."""
        return self._usernames.get(username)

    def marketplace(self, _touchpoint: Touchpoint, request: web.Request, address: str) -> Channel:
        """The channel whose marketplace calls. Raises Refused."""
        username = request.headers.get(USERNAME, "")
        name = f"marketplace {username}"
        self._check_brake("marketplace", address, name, username)
        channel = self._marketplaces.find(request.headers)
        if channel is None:
            raise self._failed("marketplace", address, name, username, _HOW_MARKETPLACE)
        self._brake.succeeded(address, name)
        return channel

    def increff(self, touchpoint: Touchpoint, request: web.Request, address: str) -> Channel:
        """The channel in the path, if this is Increff. Raises Refused.

        Get Credential has headers of its own, because it hands out the others. Where it is off, there are none: then a
        caller with the others learns from the answer that it is off.
        """
        of = request.match_info["channel"]
        name = f"increff {of}"
        self._check_brake("increff", address, name, of)
        bootstrap = touchpoint.name == "get-credential"
        right = (self._bootstrap if bootstrap else self._increff).accept(of, request.headers)
        if bootstrap and not right:
            known = self.channels.channels.get(of)
            is_off = known is None or known.get_credential is None
            # Asked in any case, so that it takes the same time.
            right = self._increff.accept(of, request.headers) and is_off
        if not right:
            raise self._failed("increff", address, name, of, _HOW_INCREFF)
        self._brake.succeeded(address, name)
        return self.channels.channels[of]

    def actor(self, request: web.Request, address: str) -> str:
        """The name of the token with which a caller of /api comes. Raises Refused."""
        if not self._tokens:
            if self._is_open:
                return ANYBODY
            raise Refused(
                403,
                "API_CLOSED",
                "This gateway takes no calls of /api, because it has no token for them",
                "set SLUICE_API_TOKENS=NAME=TOKEN at the gateway, and send the header Authorization: Bearer TOKEN",
            )
        self._check_brake(_API, address, _API, "")
        actor = self._tokens.find(request.headers.get("Authorization"))
        if actor is None:
            raise self._failed(_API, address, _API, "", _HOW_API)
        self._brake.succeeded(address, _API)
        return actor

    def _check_brake(self, side: str, address: str, name: str, claimed: str) -> None:
        wait_s = self._brake.wait_s(address, name)
        if wait_s > 0:
            self._failures.note(side, address, self._who(side, claimed), State.ON)
            raise braked(wait_s)

    def _failed(self, side: str, address: str, name: str, claimed: str, how: str) -> Refused:
        over_s = self._brake.failed(address, name)
        self._failures.note(side, address, self._who(side, claimed), State.SPARED if over_s > 0 else State.OFF)
        return braked(over_s) if over_s > 0 else unauthorized(how)

    def _who(self, side: str, claimed: str) -> str:
        """The name that a caller claims. Unknown names are not logged: they may be secrets in the wrong place."""
        known = claimed in (self.channels.channels if side == "increff" else self._usernames)
        return f"{side} {claimed if known else '(an unknown name)' if claimed else '(no name)'}"


def check_offered(channel: Channel, touchpoint: Touchpoint) -> None:
    """Raises Refused if the channel takes no part in the touchpoint. Only for callers that are authenticated."""
    if not channel.offers(touchpoint):
        fault = f"[{touchpoint.name} is off for channel {channel.name}]"
        raise Refused(404, "TOUCHPOINT_OFF", "This channel does not take part in this call", fault)
