"""Faults of HTTP servers in the log: one short line, without a byte of any request.

aiohttp writes tracebacks with the bytes of malformed requests, and so passwords and addresses, into the log of whoever
runs the server. Every server of Sluice uses the classes here instead.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, BadStatusLine, HttpProcessingError, InvalidURLError, LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

log = logging.getLogger(__name__)

WINDOW_S = 10.0
"""A class of fault is logged once in so long, with the number of those that were not: enough to see an attack, and a
flood of them does not fill a disk."""
PEERS_MAX = 64
"""Most characters of a peer's name in the log."""
FRAMES = 6
"""Innermost frames of an error that are logged."""

FAULTS: Mapping[str, str] = {
    "tls": "TLS on a port without it",
    "http2": "HTTP/2, which is not spoken here",
    "method": "no HTTP method",
    "request-line": "no HTTP request line",
    "target": "no target of a request, or one with letters or a `#` that must be percent-encoded, as %C3%A9 and %23",
    "too-large": "headers are too large",
    "header": "a header is not well-formed, or Host is missing",
    "framing": "Content-Length and Transfer-Encoding contradict each other, come twice, or are no lengths",
    "body": "the body is not encoded as its headers say",
    "encoding": "the body has a Content-Encoding that is not taken; answered with 415",
}
"""The classes of malformed requests, and what is said to the caller."""


def fault_of(error: HttpProcessingError, sent: bytes = b"") -> str:
    """The class of what a parser found. `sent`: the first bytes of the request."""
    if sent.startswith(b"\x16\x03") or "HTTPS traffic" in str(error.message):
        return "tls"
    kinds = ((BadHttpMethod, "method"), (BadStatusLine, "request-line"), (InvalidURLError, "target"))
    for kind, fault in (*kinds, (LineTooLong, "too-large")):
        if isinstance(error, kind):
            return fault
    return "header"


def in_words(error: BaseException | None) -> str:
    """An error by its type and place. Its message is left out: it may be or hold something that a caller sent."""
    if error is None:
        return "no error is known"
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    places = " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    caused = error.__cause__
    cause = f", caused by {type(caused).__qualname__}" if caused is not None else ""
    return f"{name}{cause} at {places or 'an unknown place'}"


def log_loop_faults(loop: asyncio.AbstractEventLoop) -> None:
    """Makes a loop log its faults in words: by default it writes the arguments of callbacks, which hold bytes."""

    def handler(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message = str(context.get("message", "")).partition("<")[0].partition("(")[0].strip()
        log.error("event loop: %s: %s", message[:80], in_words(context.get("exception")))

    loop.set_exception_handler(handler)


class FaultLog:
    """Counts faults by class, and logs the first of each class in WINDOW_S. `counts`: all so far."""

    def __init__(self, server: str, now: Callable[[], float] = time.monotonic) -> None:
        self.counts: dict[str, int] = {}
        self._server = server
        self._now = now
        self._windows: dict[str, tuple[float, int]] = {}

    def note(self, fault: str, peer: str) -> None:
        count = self.counts[fault] = self.counts.get(fault, 0) + 1
        since, logged = self._windows.get(fault, (float("-inf"), 0))
        now = self._now()
        if now - since < WINDOW_S:
            return
        self._windows[fault] = (now, count)
        more = f", and {count - logged - 1} of this class since the last line" if count - logged > 1 else ""
        log.warning("%s: malformed request (%s) from %s%s", self._server, fault, peer[:PEERS_MAX] or "unknown", more)


class QuietHandler(RequestHandler):
    """A connection of aiohttp's server that keeps what was sent out of the log. `faults`: of its server."""

    def __init__(self, manager: Server, faults: FaultLog, **options: Any) -> None:
        super().__init__(manager, **options)
        self.faults = faults

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """The answer to a request that could not be parsed, or whose handler failed. It ends the connection."""
        if isinstance(exc, HttpProcessingError):
            self._note(fault_of(exc))
            status, code, told = 400, "MALFORMED", "This is not a well-formed HTTP request"
        else:
            log.error("a handler of HTTP requests failed: %s", in_words(exc))
            code, told = "INTERNAL", "The request was not handled"
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun to leave, so no other can")
        response = web.json_response({"code": code, "message": told, "description": told}, status=status)
        response.force_close()
        return response

    def log_exception(self, *_args: Any, **options: Any) -> None:
        error = options.get("exc_info")
        if isinstance(error, web.RequestPayloadError):
            self._note("body")
            return
        log.error("a connection failed: %s", in_words(error if isinstance(error, BaseException) else None))

    def say_last(self) -> None:
        """Makes the answer to the present request say that the connection ends with it."""
        request = self._current_request
        if request is not None:
            request._message = request._message._replace(should_close=True)
            request._cache.pop("keep_alive", None)
        elif self._messages:
            message, payload = self._messages[0]
            self._messages[0] = (message._replace(should_close=True), payload)  # type: ignore[union-attr]

    def end_reading(self) -> None:
        """Ends a handler that reads the body of the present request."""
        if self._current_request is not None:
            self._current_request._cancel(asyncio.CancelledError())

    def _note(self, fault: str) -> None:
        peer = self.peername
        self.faults.note(fault, str(peer[0]) if isinstance(peer, tuple) else "")

    def log_debug(self, *_args: Any, **_options: Any) -> None:
        """Say nothing: aiohttp's debug lines have tracebacks."""


class QuietServer(Server):
    """A server like `inner`, with connections of another class. `make` is given the server and aiohttp's options."""

    def __init__(self, inner: Server, make: Callable[..., QuietHandler]) -> None:
        super().__init__(
            inner.request_handler, request_factory=inner.request_factory, loop=inner._loop, **inner._kwargs
        )
        self._make = make

    def __call__(self) -> QuietHandler:
        return self._make(self, loop=self._loop, **self._kwargs)


class QuietRunner(web.AppRunner):
    """Runs an application on a QuietServer. `faults`: what malformed requests came."""

    def __init__(self, app: web.Application, server: str, **options: Any) -> None:
        super().__init__(app, access_log=None, **options)
        self.faults = FaultLog(server)

    async def open(self, host: str, port: int) -> int:
        """Listens, and returns the port in use. Where it cannot, nothing of it is left."""
        try:
            await self.setup()
            await web.TCPSite(self, host, port).start()
        except BaseException:
            await self.cleanup()
            raise
        return int(self.addresses[0][1])

    async def _make_server(self) -> Server:
        return QuietServer(await super()._make_server(), partial(QuietHandler, faults=self.faults))
