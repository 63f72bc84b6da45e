"""Authentication: a marketplace by three headers, Increff by the static headers of a channel (contract 0.2), a caller
of /api by a token.

A caller that is not authenticated learns nothing of what is configured: an unknown username or channel, a wrong secret
and a header that is not there take the same steps and get the same answer. Credentials are kept as fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from multidict import istr
from pydantic import SecretStr

from gateway.access.fingerprints import fingerprint
from topics.configuration.channels import Channel, Channels

# Header names are looked up case-insensitively; istr does the folding once, here.
USERNAME, PASSWORD, DOMAIN = istr("authUsername"), istr("authPassword"), istr("authDomainName")
_NO_HEADER = istr("")
"""A name that no header has."""
_NOTHING = b""
"""No fingerprint."""

FOUND_MAX = 1_000
"""Right credentials that are found without a fingerprint: several of each channel, which may send domains at will."""

Pairs = Mapping[str, SecretStr]
"""Header names and their values."""
_Key = TypeVar("_Key")
_Found = TypeVar("_Found")


class Marketplaces:
    """The channels by what their marketplaces send."""

    def __init__(self, channels: Channels) -> None:
        self._found: dict[tuple[str | None, ...], Channel] = {}
        self._channels: dict[bytes, Channel] = {}
        for channel in channels.channels.values():
            sent = channel.credentials
            for password in (sent.password, sent.password_also):
                if password is not None:
                    secret = (sent.username, password.get_secret_value(), sent.domain)
                    self._channels[fingerprint(secret)] = channel

    def find(self, headers: Mapping[str, str]) -> Channel | None:
        """The channel with these credentials."""
        sent = (headers.get(USERNAME), headers.get(PASSWORD), headers.get(DOMAIN))
        return self._found.get(sent) or self._look_up(sent)

    def _look_up(self, sent: tuple[str | None, str | None, str | None]) -> Channel | None:
        username, password, _domain = sent
        found = self._channels.get(fingerprint(sent))
        # A channel without a domain takes any, or none.
        found = found or self._channels.get(fingerprint((username, password, None)))
        if found is not None:
            _remember(self._found, sent, found)
        return found


class StaticHeaders:
    """The header pairs of each channel, of which a caller must send all. A channel may have several sets of them.

    For each name of a channel, known or not, the same number of headers is looked up and compared.
    """

    def __init__(self, channels: Mapping[str, Iterable[Pairs]]) -> None:
        sets = {name: [pairs for pairs in found if pairs] for name, found in channels.items()}
        self._width = max((len(pairs) for found in sets.values() for pairs in found), default=1)
        self._count = max((len(found) for found in sets.values()), default=1)
        self._nobody = self._expected([])
        self._channels = {name: self._expected(found) for name, found in sets.items()}
        self._found: dict[tuple[str, tuple[str | None, ...]], bool] = {}

    def accept(self, channel: str, headers: Mapping[str, str]) -> bool:
        """Whether these headers are right for the channel with this name."""
        names, expected = self._channels.get(channel, self._nobody)
        sent = tuple(map(headers.get, names))
        return self._found.get((channel, sent), False) or self._look_up(channel, sent, expected)

    def _look_up(self, channel: str, sent: tuple[str | None, ...], expected: tuple[bytes, ...]) -> bool:
        right = False
        for number, of_set in enumerate(expected):
            right |= fingerprint(sent[number * self._width : (number + 1) * self._width]) == of_set
        if right:
            _remember(self._found, (channel, sent), right)
        return right

    def _expected(self, sets: Sequence[Pairs]) -> tuple[tuple[istr, ...], tuple[bytes, ...]]:
        """The names of all headers of the sets, and the fingerprint of each set's right values, filled up to as many as
        any channel has."""
        names: list[istr] = []
        expected: list[bytes] = []
        for pairs in sets:
            lacking = self._width - len(pairs)
            names += [*map(istr, pairs), *(_NO_HEADER for _ in range(lacking))]
            values = [secret.get_secret_value() for secret in pairs.values()]
            expected.append(fingerprint([*values, *(None for _ in range(lacking))]))
        names += [_NO_HEADER] * (self._width * self._count - len(names))
        expected += [_NOTHING] * (self._count - len(expected))
        return tuple(names), tuple(expected)


class Tokens:
    """The callers of /api by their tokens."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._names = {fingerprint((f"Bearer {token}",)): name for name, token in tokens.items()}

    def __bool__(self) -> bool:
        return bool(self._names)

    def find(self, authorization: str | None) -> str | None:
        """The name of the token in the header Authorization."""
        return self._names.get(fingerprint((authorization,)))


def _remember(found: dict[_Key, _Found], key: _Key, value: _Found) -> None:
    """Keeps what was right, which comes with each call of a channel. What is wrong always takes the long way."""
    if len(found) >= FOUND_MAX:
        found.clear()
    found[key] = value
