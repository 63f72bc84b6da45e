"""Credential headers of HTTP requests (contract 0.2): from channels.toml, or from the marketplace's Get Credential.

Mode (a), static pairs: after a 401 and at SIGHUP channels.toml is read again, so a changed password needs no restart.
Mode (b), `marketplace_credential`: the marketplace's Get Credential is called before the first request and after a 401.
That call is a request like any other: it takes the place of the attempt that needs it, so the budget counts it, and the
request goes with the next attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from streams.delivery.ports import Answer, Clock
from topics.configuration.changed_credentials import listed, needs_restart, with_credentials_of
from topics.configuration.channels import Channels
from topics.configuration.errors import ConfigurationError
from topics.contract.models.documents import CredentialHeaders
from topics.records.json_text import read
from topics.records.shape import has_too_many_values

READ_EVERY_MS = 10_000
"""Shortest time between two reads. Credentials that were just read and are refused will not be better now."""
REFUSED = 401
BUSY = frozenset({429, 502, 503, 504})
"""Statuses of Get Credential that ask for a lower pace of all calls."""
READ_AGAIN = "the credentials were refused or missing, and have been read again; the next attempt sends the request"

log = logging.getLogger(__name__)

Ask = Callable[[], Awaitable[Answer]]
"""One GET to the marketplace's Get Credential."""


class Credentials:
    """The credentials of all channels. `reload` reads channels.toml again, None without a file."""

    def __init__(self, channels: Channels, clock: Clock, reload: Callable[[], Channels] | None = None) -> None:
        self._channels = channels
        self._clock = clock
        self._reload = reload
        self._reading = asyncio.Lock()
        self._reloaded_ms = 0
        self._asked = {
            name: RequestedCredentials(clock)
            for name, channel in channels.channels.items()
            if channel.marketplace_credential is not None
        }

    def increff(self, channel: str) -> dict[str, str]:
        """The header triple of contract 0.2; some tenants have no domain."""
        credentials = self._channels.channels[channel].increff_credentials
        headers = {"authUsername": credentials.username, "authPassword": credentials.password.get_secret_value()}
        if credentials.domain is not None:
            headers["authDomainName"] = credentials.domain
        return headers

    def marketplace(self, channel: str) -> dict[str, str]:
        """The static pairs, overridden by those of Get Credential."""
        static = self._channels.channels[channel].marketplace_headers
        headers = {name: value.get_secret_value() for name, value in static.items()}
        if channel in self._asked:
            headers |= self._asked[channel].headers
        return headers

    def asked(self, channel: str) -> RequestedCredentials | None:
        """None where the marketplace has no Get Credential."""
        return self._asked.get(channel)

    def bootstrap(self, channel: str) -> dict[str, str]:
        """The pairs with which a marketplace is asked for the others."""
        configured = self._channels.channels[channel].marketplace_credential
        if configured is None:
            raise RuntimeError(f"channel {channel} has no marketplace_credential")
        return {name: value.get_secret_value() for name, value in configured.bootstrap_headers.items()}

    async def refused(self, channel: str, sent: dict[str, str], *, by_marketplace: bool) -> None:
        """Handle a 401 to a request with the headers `sent`."""
        if by_marketplace and channel in self._asked:
            self._asked[channel].refused(sent)
        elif self._reload is not None:
            async with self._reading:
                if self._clock.now_ms() - self._reloaded_ms >= READ_EVERY_MS:
                    await self._read_file(self._reload, f"channel {channel} was refused")

    async def reload(self) -> None:
        """Read channels.toml again, now."""
        if self._reload is None:
            log.info("credentials.unchanged: there is no channels.toml, so SIGHUP changes nothing")
            return
        async with self._reading:
            await self._read_file(self._reload, "SIGHUP")

    async def _read_file(self, reload: Callable[[], Channels], why: str) -> None:
        self._reloaded_ms = self._clock.now_ms()
        try:
            found = await asyncio.to_thread(reload)
            merged = with_credentials_of(self._channels, found)
        except ConfigurationError as error:
            log.error("credentials.unreadable after %s: all credentials stay as they were: %s", why, error)  # noqa: TRY400
            return
        changed = listed(needs_restart(self._channels, found))
        if changed:
            log.warning("credentials.need_restart: other settings changed, and count after a restart: %s", changed)
        self._channels = merged
        log.info("credentials.read_again after %s", why)


class RequestedCredentials:
    """The pairs that the marketplace of one channel gave by Get Credential."""

    def __init__(self, clock: Clock) -> None:
        self.headers: dict[str, str] = {}
        self._clock = clock
        self._wanted = True
        self._read_ms = 0
        self._asking = asyncio.Lock()

    @property
    def wanted(self) -> bool:
        """Whether they must be requested before anything else is sent."""
        return self._wanted and (not self.headers or self._clock.now_ms() - self._read_ms >= READ_EVERY_MS)

    def refused(self, sent: dict[str, str]) -> None:
        """Request them again if the refused ones are still in use: another attempt may have requested new ones."""
        if all(sent.get(name) == value for name, value in self.headers.items()):
            self._wanted = True

    async def ask(self, ask: Ask) -> Answer | None:
        """Request them. Returns the answer that stands for the attempt; None when another attempt did it meanwhile."""
        async with self._asking:
            if not self.wanted:
                return None
            answer = await ask()
            if answer.status != 200 or answer.error:
                return _not_given(answer)
            try:
                if has_too_many_values(answer.body):
                    raise ValueError("it has too many values")
                pairs = CredentialHeaders.model_validate(read(answer.body)).model_dump()
            except ValueError as error:
                said = f"Get Credential did not answer a flat map of header names to values: {type(error).__name__}"
                return Answer(status=None, error=said)
            self.headers = pairs
            self._wanted = False
            self._read_ms = self._clock.now_ms()
            return Answer(status=REFUSED, error=READ_AGAIN)


def _not_given(answer: Answer) -> Answer:
    """The answer for a request that was not sent, because Get Credential gave no pairs. It makes the request go again,
    whatever the status would mean for the request itself."""
    said = answer.error or f"it answered {answer.status}"
    error = f"the request was not sent, because Get Credential gave no headers: {said}"
    if answer.status in BUSY:
        return Answer(status=answer.status, headers=answer.headers, error=error)
    return Answer(status=None, error=error)
