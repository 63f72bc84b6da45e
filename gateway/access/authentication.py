"""Authentication: a marketplace by three headers, Increff by the static headers of a channel (contract 0.2), a caller
of /api by a token.

A caller that is not authenticated learns nothing of what is configured: an unknown username or channel, a wrong secret
and a header that is not there take the same steps and get the same answer. Credentials are kept as fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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

Pairs = Mapping[str, SecretStr]
"""Header names and their values."""


class Marketplaces:
    """The channels by what their marketplaces send."""

    def __init__(self, channels: Channels) -> None:
        self._channels: dict[bytes, Channel] = {}
        for channel in channels.channels.values():
            sent = channel.credentials
            for password in (sent.password, sent.password_also):
                if password is not None:
                    secret = (sent.username, password.get_secret_value(), sent.domain)
                    self._channels[fingerprint(secret)] = channel

    def find(self, headers: Mapping[str, str]) -> Channel | None:
        """The channel with these credentials."""
        username, password = headers.get(USERNAME), headers.get(PASSWORD)
        found = self._channels.get(fingerprint((username, password, headers.get(DOMAIN))))
        # A channel without a domain takes any, or none.
        return found or self._channels.get(fingerprint((username, password, None)))


class StaticHeaders:
    """The header pairs of each channel, of which a caller must send all. A channel may have several sets of them.

    For each name of a channel, known or not, the same number of headers is looked up and compared.
    """

    def __init__(self, channels: Mapping[str, Iterable[Pairs]]) -> None:
        sets = {name: [pairs for pairs in found if pairs] for name, found in channels.items()}
        width = max((len(pairs) for found in sets.values() for pairs in found), default=1)
        count = max((len(found) for found in sets.values()), default=1)
        self._nobody = (((_NO_HEADER,) * width, _NOTHING),) * count
        self._channels = {
            name: (tuple(_expected(pairs, width) for pairs in found) + self._nobody)[:count]
            for name, found in sets.items()
        }

    def accept(self, channel: str, headers: Mapping[str, str]) -> bool:
        """Whether these headers are right for the channel with this name."""
        right = False
        for names, expected in self._channels.get(channel, self._nobody):
            right |= fingerprint(map(headers.get, names)) == expected
        return right


class Tokens:
    """The callers of /api by their tokens."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._names = {fingerprint((f"Bearer {token}",)): name for name, token in tokens.items()}

    def __bool__(self) -> bool:
        return bool(self._names)

    def find(self, authorization: str | None) -> str | None:
        """The name of the token in the header Authorization."""
        return self._names.get(fingerprint((authorization,)))


def _expected(pairs: Pairs, width: int) -> tuple[tuple[istr, ...], bytes]:
    names = tuple(map(istr, pairs)) + (_NO_HEADER,) * (width - len(pairs))
    values = [*(secret.get_secret_value() for secret in pairs.values()), *(None for _ in range(width - len(pairs)))]
    return names, fingerprint(values)
