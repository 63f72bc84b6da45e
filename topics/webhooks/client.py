"""Posts to subscribers' endpoints over HTTP/1.1, and does no more than that takes: every delivery passes here.

A request is written in one piece, its fixed part once for each endpoint; httptools reads the answer. Whatever happens
comes back as a Response, never as an exception. There are no redirects, cookies, proxies, credentials, and there is no
decompression. A kept connection stays with the address that was checked when it was dialled.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import httptools
import msgspec

from topics.http_sessions import KEEPALIVE_S
from topics.values import Value
from topics.webhooks.addresses import AddressGuard, EndpointError
from topics.webhooks.dialling import Dialler, Lookup, network_fault

ANSWER_BYTES_MAX = 64 << 10
"""Largest answer, with its headers and any 1xx before it: only the status is needed."""
SWEEP_S = 5.0
"""How often idle connections are looked through; one that has been idle for too long is not used meanwhile either."""
CONNECT_TIMEOUT_S = 10.0
"""A receiver that does not even accept a connection by then is down; the rest of the time-out is for its answer."""
ERROR_CHARS_MAX = 300
NO_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

log = logging.getLogger(__name__)

Origin = tuple[str, int, bool]
"""Host, port and whether it is TLS: connections are shared by what has the same."""


class Response(Value, frozen=True):
    """The answer to a post. `status` None: none came, and `error` says why. A status with an `error`: it did not arrive
    whole. Names of headers are in lower case."""

    status: int | None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked URL, and the part of a request that is the same each time (not shown: a path may hold a token)."""

    origin: Origin
    head: bytes = field(repr=False)


class WebhookClient:
    """Posts over kept connections, as many as there are calls at once: destinations bound their own calls."""

    def __init__(self, guard: AddressGuard, lookup: Lookup | None = None, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: by default with the system's authorities."""
        self._guard = guard
        self._dialler = Dialler(guard, lookup)
        self._tls = tls
        self._idle: defaultdict[Origin, list[_Connection]] = defaultdict(list)
        self._open: set[_Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    def endpoint(self, url: str) -> Endpoint:
        """Raises EndpointError."""
        try:
            parsed = self._guard.endpoint(url)
        except EndpointError as error:
            if error.detail:
                self._dialler.log_refusal(error.detail)
            raise
        host, port = (parsed.raw_host or "").lower(), parsed.port or 0
        head = (
            f"POST {parsed.raw_path_qs or '/'} HTTP/1.1\r\nHost: {parsed.host_port_subcomponent}\r\n"
            "User-Agent: Sluice\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n"
            "Content-Type: application/json\r\n"
        )
        return Endpoint((host, port, parsed.scheme == "https"), head.encode("ascii"))

    async def post(self, endpoint: Endpoint, headers: str, body: bytes, timeout_s: float) -> Response:
        """Posts and returns the answer. `headers`: lines, each with CRLF, of characters that a header may have."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        connection = self._kept(endpoint.origin, loop.time() - KEEPALIVE_S)
        if connection is None:
            try:
                async with asyncio.timeout_at(min(until, loop.time() + CONNECT_TIMEOUT_S)):
                    connection = await self._dial(endpoint.origin)
            except TimeoutError:
                return Response(None, error=f"no connection within {min(timeout_s, CONNECT_TIMEOUT_S):g} s")
            except OSError as error:  # TLS errors are among them
                log.debug("endpoint.no_connection host=%s: %r", endpoint.origin[0], error)
                return Response(None, error=network_fault(error)[:ERROR_CHARS_MAX])
        request = b"%b%bContent-Length: %d\r\n\r\n%b" % (endpoint.head, headers.encode("ascii"), len(body), body)
        response = connection.begin(request)
        timer = loop.call_at(until, connection.end, f"no answer within {timeout_s:g} s")
        try:
            return await response
        finally:
            timer.cancel()
            if connection.is_usable:
                self._idle[endpoint.origin].append(connection)
                self._sweep_later(loop)
            else:
                connection.abort()

    async def stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._dialler.stop()
        for connection in tuple(self._open):
            connection.abort()
        self._idle.clear()

    def _kept(self, origin: Origin, not_before: float) -> _Connection | None:
        """The idle connection that was used last, unless that is too long ago."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                if connection.since >= not_before:
                    return connection
                connection.abort()
        return None

    async def _dial(self, origin: Origin) -> _Connection:
        host, port, is_tls = origin
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._open),
            sock=await self._dialler.connect(host, port),
            ssl=self._context() if is_tls else None,
            server_hostname=host if is_tls else None,
        )
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweeping is None:
            self._sweeping = loop.call_later(SWEEP_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = None
        before = loop.time() - KEEPALIVE_S
        for origin, idle in tuple(self._idle.items()):
            for connection in idle:
                if connection.since < before:
                    connection.abort()
            self._idle[origin] = [connection for connection in idle if connection.is_usable]
            if not self._idle[origin]:
                del self._idle[origin]
        if self._idle:
            self._sweep_later(loop)


class _Connection(asyncio.Protocol):
    """One connection, for one exchange at a time. httptools calls the `on_...` methods while it reads."""

    def __init__(self, opened: set[_Connection]) -> None:
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response: asyncio.Future[Response] | None = None
        self._received = 0
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._body = b""
        self.is_usable = False
        self.since = 0.0
        """When it became idle."""

    def begin(self, request: bytes) -> asyncio.Future[Response]:
        """Writes a request. Returns a future of the answer."""
        response = self._response = self._loop.create_future()
        self._received, self._status, self._body = 0, None, b""
        self.is_usable = False
        if self._transport is None:
            self.end("the connection was closed")
        else:
            self._transport.write(request)
        return response

    def end(self, error: str) -> None:
        """Ends the exchange without a whole answer."""
        self._resolve(
            Response(self._status, self._headers if self._status else {}, self._body, error[:ERROR_CHARS_MAX])
        )
        self.abort()

    def abort(self) -> None:
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._opened.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._opened.discard(self)
        self.is_usable = False
        if self._status is not None and exc is None and self._ends_with_connection():
            self._resolve(Response(self._status, self._headers, self._body))
            return
        why = f"{type(exc).__name__}: {exc}" if exc else "closed by the far side"
        self.end(f"no answer: {why}" if self._status is None else f"the answer was cut off: {why}")

    def data_received(self, data: bytes) -> None:
        if self._response is None:
            self.abort()  # data without a request must not become the next answer
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.end("the answer changes the protocol")
        except httptools.HttpParserError as error:
            self.end(f"the answer is not HTTP: {error}")
        else:
            if self._received > ANSWER_BYTES_MAX:
                self.end(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")

    def on_message_begin(self) -> None:
        if self._response is None:
            self.abort()  # more than one answer to one request
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._status = status if status >= 200 else None

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._status is None or self._response is None or self._received > ANSWER_BYTES_MAX:
            return  # after a 1xx the answer is still to come
        self.is_usable = self._parser.should_keep_alive()
        self.since = self._loop.time()
        self._resolve(Response(self._status, self._headers, self._body))

    def _resolve(self, response: Response) -> None:
        waiting, self._response = self._response, None
        if waiting is not None and not waiting.done():
            waiting.set_result(response)

    def _ends_with_connection(self) -> bool:
        framed = "content-length" in self._headers or "chunked" in self._headers.get("transfer-encoding", "").lower()
        return self._status not in NO_BODY and not framed
