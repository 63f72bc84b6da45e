"""Sends one request over HTTP, once. Failures of the far side or the network are Answers, never exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from msgspec.structs import replace
from yarl import URL

from streams.delivery.clock import SystemClock
from streams.delivery.destinations import destinations
from streams.delivery.ports import RESPONSE_BYTES_MAX, Answer, Call, Clock, Sender
from streams.delivery.senders.credentials import REFUSED, Credentials
from topics import http_sessions
from topics.configuration.channels import Channels
from topics.contract.definition import Touchpoint
from topics.contract.leniency import as_text
from topics.contract.touchpoints import BY_NAME
from topics.paths.patterns import filled, names_in
from topics.records.json_text import write
from topics.schema_base import canonical
from topics.traces.context import TRACEPARENT
from topics.webhooks.addresses import is_address
from topics.webhooks.dialling import network_fault

READ_BYTES = 64 << 10
CONNECT_TIMEOUT_S = 10.0
"""A far side that accepts no connection by then is down; the rest of the time-out is for its answer."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_AS_THEY_ARE: Mapping[str, str] = {}

GET_CREDENTIAL = BY_NAME["get-credential"]


class HttpSender(Sender):
    """Owns the role's one client session: no cookies, no redirects. Each destination bounds its own connections."""

    def __init__(
        self, channels: Channels, *, clock: Clock | None = None, reload: Callable[[], Channels] | None = None
    ) -> None:
        """`reload` reads channels.toml again, after credentials were refused."""
        self._credentials = Credentials(channels, clock or SystemClock(), reload)
        self._destinations = destinations(channels)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = http_sessions.session(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=http_sessions.KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Sluice", "Accept": "application/json"},
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def reload(self) -> None:
        await self._credentials.reload()

    async def send(self, call: Call) -> Answer:
        if CONTROL.search(call.delivery_id):
            # No header can carry it, in no attempt: so this is no failure that passes.
            error = "the event id holds a line break or another control character, which no HTTP header can carry"
            return Answer(status=None, headers={}, error=error, unsendable=True)
        asked = None if _to_increff(call) else self._credentials.asked(call.channel)
        if asked is not None and asked.wanted:
            answer = await asked.ask(lambda: self._get_credential(call))
            if answer is not None:
                return answer
        headers = self._headers(call)
        answer = await self._request(call, headers)
        if answer.status == REFUSED:
            await self._credentials.refused(call.channel, headers, by_marketplace=not _to_increff(call))
        return answer

    async def _get_credential(self, call: Call) -> Answer:
        headers = self._credentials.bootstrap(call.channel)
        return await self._request(replace(call, touchpoint=GET_CREDENTIAL, members=None, body=None), headers)

    async def _request(self, call: Call, headers: dict[str, str]) -> Answer:
        if self._session is None:
            raise RuntimeError("the sender is not started")
        destination = self._destinations[call.destination]
        total_s = destination.timeout_s if call.timeout_s is None else call.timeout_s
        touchpoint = call.touchpoint
        path, names = destination.far_path(touchpoint), destination.far_members.get(touchpoint.name, _AS_THEY_ARE)
        is_read = touchpoint.query or touchpoint.path_members or touchpoint.former_paths or names
        # A request of an earlier version may have the names of that version.
        members = canonical(touchpoint.name, call.read_members()) if is_read else None
        url = far_url(destination.url, path, touchpoint, members or {}, names)
        body = call.text() if members is None else _body(touchpoint, members, path, names)
        try:
            async with self._session.request(
                destination.far_method(touchpoint),
                url,
                data=body,
                headers=headers if body is None else headers | {"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=min(CONNECT_TIMEOUT_S, total_s)),
            ) as response:
                return await _read(response)
        except TimeoutError:
            return Answer(status=None, headers={}, error=f"no answer within {total_s:g} s")
        except aiohttp.ClientConnectorError as error:
            # The caller of a relay may be told this: a name that channels.toml has, and never an address.
            to = "" if is_address(error.host) else f" to {error.host}"
            return Answer(status=None, headers={}, error=f"no connection{to}: {network_fault(error.os_error)}"[:300])
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: the answer is not HTTP, or no host can have the URL.
            return Answer(status=None, headers={}, error=f"{type(error).__name__}: {error}"[:300])

    def _headers(self, call: Call) -> dict[str, str]:
        read = self._credentials.increff if _to_increff(call) else self._credentials.marketplace
        headers = read(call.channel)
        if call.delivery_id:
            headers["Sluice-Delivery-Id"] = call.delivery_id
            headers["Sluice-Attempt"] = str(call.attempt)
        if call.redrive:
            headers["Sluice-Redrive"] = call.redrive
        if call.traceparent:
            headers[TRACEPARENT] = call.traceparent
        return headers


def _body(touchpoint: Touchpoint, members: dict[str, Any], path: str, names: Mapping[str, str]) -> bytes | None:
    """The HTTP body of a call whose members were read; None where it has none."""
    body = touchpoint.carried_body(members, names_in(path))
    return None if body is None else write(_renamed(body, names))


def _renamed(members: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The members of a call, and those of the objects in its lists, under the far side's names."""
    if not names:
        return members
    return {names.get(name, name): _renamed_items(value, names) for name, value in members.items()}


def _renamed_items(value: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(value, list):
        return value
    return [
        {names.get(name, name): member for name, member in item.items()} if isinstance(item, dict) else item
        for item in value
    ]


def _to_increff(call: Call) -> bool:
    return call.touchpoint.far_side == "increff"


def far_url(
    base: str, path: str, touchpoint: Touchpoint, members: dict[str, Any], names: Mapping[str, str] = _AS_THEY_ARE
) -> URL:
    """The URL of a call: path members are in the path, members of a query touchpoint are its query. `names`: those of
    the far side."""
    url = base + filled(path, {name: _text(members.get(name, "")) for name in touchpoint.path_members})
    if touchpoint.query:
        pairs = [(names.get(name, name), _text(value)) for name, value in members.items() if value is not None]
        if pairs:
            url += ("&" if "?" in url else "?") + urlencode(pairs, quote_via=quote)
    return URL(url, encoded=True)


def _text(value: Any) -> str:
    text = as_text(value)
    return write(value).decode() if text is None else text


async def _read(response: aiohttp.ClientResponse) -> Answer:
    """Read the answer up to the limit. Decompressed bytes count, so a gzip bomb is cut off."""
    headers = dict(response.headers)
    body = bytearray()
    try:
        while chunk := await response.content.read(READ_BYTES):
            body += chunk
            if len(body) > RESPONSE_BYTES_MAX:
                response.close()
                error = f"the answer is larger than {RESPONSE_BYTES_MAX} bytes"
                return Answer(status=response.status, headers=headers, error=error)
    except (aiohttp.ClientError, OSError) as error:
        cut = f"the answer was cut off: {type(error).__name__}: {error}"[:300]
        return Answer(status=response.status, headers=headers, body=bytes(body), error=cut)
    return Answer(status=response.status, headers=headers, body=bytes(body))
