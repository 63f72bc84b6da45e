"""The server of both sandboxes: the touchpoints' routes, recording, faults, and `/_sandbox/*`."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from sluice.dev.sandbox.faults import FaultList, FaultRule
from sluice.dev.sandbox.journal import Journal, JournalEntry
from sluice.dev.sandbox.recorder import Recorded, Recorder, codes_in, keep, restore
from topics.contract.definition import Direction, Touchpoint
from topics.contract.leniency import normalised
from topics.contract.touchpoints import TOUCHPOINTS
from topics.http_faults import QuietRunner
from topics.paths.resources import add_route
from topics.records.json_record import encode_record
from topics.records.json_text import JsonTextError, read
from topics.schema_base import problems

BODY_BYTES_MAX = 8 << 20
"""Twice the limit of Sluice's gateway, so that a sandbox never limits a request."""
FLUSH_EVERY_S = 0.2
"""A killed sandbox forgets at most the changes of this time."""
ORDERS_MAX = 100_000
"""Bound for orders, returns and manifests each; the oldest are forgotten. Some days of the demo fit."""
STOP_TIMEOUT_S = 0.2
"""Delayed answers are dropped at the end: `sluice up` gives a sandbox one second."""
_REQUEST = "request"

Call = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a sandbox. `body`: None is an empty body, a string is sent as it is, anything else as JSON."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        if self.body is None:
            return web.Response(status=self.status, headers=self.headers)
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        return json_response(self.body, self.status, self.headers)


def same_headers(headers: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether the headers have all wanted pairs."""
    return all(
        hmac.compare_digest(headers.get(name, "").encode(errors="surrogateescape"), value.encode())
        for name, value in wanted.items()
    )


def forget_oldest(things: dict[str, Any], most: int) -> list[str]:
    """Keep a dictionary within its bound; return the keys that were removed."""
    gone = list(itertools.islice(things, max(0, len(things) - most)))
    for key in gone:
        del things[key]
    return gone


class Sandbox(ABC):
    """A far side: its state, and its answers."""

    direction: Direction
    prefix: str = ""

    def __init__(self, state_file: Path | None = None) -> None:
        self.recorder = Recorder()
        self.faults = FaultList()
        self.journal = Journal(state_file, self._everything)

    # Defined by each far side.

    @abstractmethod
    def authorised(self, touchpoint: Touchpoint | None, headers: Mapping[str, str]) -> bool: ...

    @abstractmethod
    def error(self, status: int, message: str, faults: list[str] | None = None) -> Answer:
        """Return an error in this far side's shape; `faults` name the members that are wrong."""

    @abstractmethod
    def handle(self, touchpoint: Touchpoint, members: dict[str, Any]) -> Answer: ...

    @abstractmethod
    def show_order(self, code: str) -> dict[str, Any] | None: ...

    @abstractmethod
    def show_return(self, code: str) -> dict[str, Any] | None: ...

    @abstractmethod
    def show_stock(self) -> dict[str, Any]: ...

    @abstractmethod
    def live(self) -> Iterator[JournalEntry]:
        """Yield its whole state, for the journal."""

    @abstractmethod
    def restore(self, kind: str, key: str, value: Any) -> None: ...

    def admit(self) -> Answer | None:
        """Return a refusal when there are too many requests."""
        return None

    def validate(self, touchpoint: Touchpoint, members: dict[str, Any]) -> Answer | None:
        """Return a refusal when the members are not as the contract says."""
        try:
            touchpoint.request.model_validate(members)
        except ValidationError as error:
            return self.error(400, "Input validation failed", problems(error))
        return None

    def add_routes(self, router: web.UrlDispatcher) -> None:  # noqa: B027 - a side may have none
        """Add routes beyond the common ones."""

    async def start(self) -> None:  # noqa: B027 - a side may have nothing to start
        """Start whatever runs beside the server."""

    async def stop(self) -> None:  # noqa: B027 - as above
        """Stop whatever `start` began."""

    # State over a restart.

    def _everything(self) -> Iterator[JournalEntry]:
        yield from self.live()
        for request in self.recorder.newest():
            yield _REQUEST, str(request.number), keep(request)

    def load(self) -> None:
        requests = []
        for kind, key, value in self.journal.load():
            if kind == _REQUEST:
                requests.append(restore(value))
            else:
                self.restore(kind, key, value)
        for request in sorted(requests, key=lambda request: request.at):
            self.recorder.add(request)
        self.journal.compact()

    def save(self) -> None:
        """Write everything at the end. Requests are written only now: earlier, they would be most of the journal."""
        for request in self.recorder.newest():
            self.journal.put(_REQUEST, str(request.number), keep(request))
        self.journal.flush()
        self.journal.close()

    def forget_requests(self, requests: list[Recorded]) -> None:
        for request in requests:
            self.journal.put(_REQUEST, str(request.number), None)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=encode_record(body),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def make_app(sandbox: Sandbox) -> web.Application:
    """Return the sandbox as a web application, which loads its state at the start and saves it at the end."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    pipeline = _Pipeline(sandbox)
    for touchpoint in TOUCHPOINTS:
        if touchpoint.direction is sandbox.direction:
            add_route(app.router, touchpoint.method, sandbox.prefix + touchpoint.far_path, pipeline.route(touchpoint))
    _add_sandbox_routes(app.router, sandbox)
    app.router.add_route("*", "/{path:.*}", pipeline.route(None))
    app.cleanup_ctx.append(lambda _: _life(sandbox))
    return app


async def _life(sandbox: Sandbox) -> Any:
    sandbox.load()
    await sandbox.start()
    flusher = asyncio.create_task(_flush(sandbox))
    yield
    flusher.cancel()
    await sandbox.stop()
    sandbox.save()


async def _flush(sandbox: Sandbox) -> None:
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        sandbox.journal.flush()


class _Pipeline:
    """The steps of one request: record, authenticate, limit, apply a fault, validate, answer."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def route(self, touchpoint: Touchpoint | None) -> Call:
        async def call(request: web.Request) -> web.Response:
            at = time.time()
            try:
                raw = await request.read()
            except web.HTTPRequestEntityTooLarge:
                return self._sandbox.error(413, f"body is over {BODY_BYTES_MAX} bytes").response()
            members, unreadable = _members(touchpoint, request, raw)
            recorded = Recorded(
                touchpoint=touchpoint.name if touchpoint else "",
                orders=codes_in(members),
                method=request.method,
                path=request.path,
                headers={str(name): value for name, value in request.headers.items()},
                raw=raw,
                query=dict(request.query) if request.method == "GET" else None,
                at=at,
            )
            self._sandbox.recorder.add(recorded)
            answer = await self._answer(touchpoint, request, members, unreadable)
            if answer is None:
                _close(request)
                return web.Response(status=500)  # the connection is closed: it is never sent
            recorded.status = answer.status
            return answer.response()

        return call

    async def _answer(
        self, touchpoint: Touchpoint | None, request: web.Request, members: dict[str, Any], unreadable: str
    ) -> Answer | None:
        """Return None when the connection is to be closed without an answer."""
        sandbox = self._sandbox
        if not sandbox.authorised(touchpoint, request.headers):
            return sandbox.error(401, "Authentication failed: the credentials are missing or wrong")
        if (refusal := sandbox.admit()) is not None:
            return refusal
        if touchpoint is None:
            return sandbox.error(404, f"There is nothing at {request.method} {request.path}")
        fault = sandbox.faults.next_for(touchpoint.name)
        if fault is not None and fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault is None or not fault.answers or fault.apply:
            answer = sandbox.error(400, "Input validation failed", [unreadable]) if unreadable else None
            # Each far side reads as Jackson does; what is recorded are the members as they came.
            read = normalised(touchpoint.request, members)
            answer = answer or sandbox.validate(touchpoint, read) or sandbox.handle(touchpoint, read)
        if fault is None or not fault.answers:
            return answer
        return None if fault.reset else self._faulty(fault)

    def _faulty(self, fault: FaultRule) -> Answer:
        status = fault.status or 500
        headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after}"}
        body = fault.body
        if body is None and status >= 400:
            body = self._sandbox.error(status, f"The sandbox was told to answer {status}").body
        return Answer(status, body, headers)


def _members(touchpoint: Touchpoint | None, request: web.Request, raw: bytes) -> tuple[dict[str, Any], str]:
    """Return all members of a call, from body, path and query, and what is wrong with the body as a whole."""
    beside = {**request.match_info} if touchpoint else {}
    if touchpoint is not None and touchpoint.query:
        return {**request.query, **beside}, ""
    try:
        body = read(raw)
    except JsonTextError:
        return beside, "body: is not valid JSON"
    if not isinstance(body, dict):
        return beside, "body: must be an object"
    return {**body, **beside}, ""


def _close(request: web.Request) -> None:
    """Close the connection without an answer, as if the process had died."""
    if request.transport is not None:
        request.transport.abort()


def _add_sandbox_routes(router: web.UrlDispatcher, sandbox: Sandbox) -> None:
    async def ready(_: web.Request) -> web.Response:
        return json_response({"ready": True})

    async def requests(request: web.Request) -> web.Response:
        return json_response(
            sandbox.recorder.select(request.query.get("touchpoint", ""), request.query.get("order", ""))
        )

    async def clear_requests(_: web.Request) -> web.Response:
        sandbox.forget_requests(sandbox.recorder.clear())
        return json_response([])

    async def faults(_: web.Request) -> web.Response:
        return json_response(sandbox.faults.show())

    async def set_faults(request: web.Request) -> web.Response:
        try:
            sandbox.faults.replace(read(await request.read()))
        except JsonTextError:
            return usage_error("body is not valid JSON")
        except ValidationError as error:
            return usage_error("; ".join(problems(error)))
        return json_response(sandbox.faults.show())

    async def clear_faults(_: web.Request) -> web.Response:
        sandbox.faults.clear()
        return json_response([])

    async def order(request: web.Request) -> web.Response:
        return found("order", request.match_info["code"], sandbox.show_order(request.match_info["code"]))

    async def returned(request: web.Request) -> web.Response:
        return found("return", request.match_info["code"], sandbox.show_return(request.match_info["code"]))

    async def stock(_: web.Request) -> web.Response:
        return json_response(sandbox.show_stock())

    add_route(router, "GET", "/_sandbox/ready", ready)
    add_route(router, "GET", "/_sandbox/requests", requests)
    add_route(router, "DELETE", "/_sandbox/requests", clear_requests)
    add_route(router, "GET", "/_sandbox/faults", faults)
    add_route(router, "PUT", "/_sandbox/faults", set_faults)
    add_route(router, "DELETE", "/_sandbox/faults", clear_faults)
    add_route(router, "GET", "/_sandbox/orders/{code}", order)
    add_route(router, "GET", "/_sandbox/returns/{code}", returned)
    add_route(router, "GET", "/_sandbox/stock", stock)
    sandbox.add_routes(router)
    router.add_route("*", "/_sandbox/{path:.*}", _no_such_route)


async def _no_such_route(request: web.Request) -> web.Response:
    return usage_error(f"there is no {request.method} {request.path}", 404)


def found(what: str, code: str, document: dict[str, Any] | None) -> web.Response:
    if document is None:
        return usage_error(f"no {what} {code}", 404)
    return json_response(document)


def usage_error(message: str, status: int = 400) -> web.Response:
    """Return an error of `/_sandbox/*`, which is not part of the contract."""
    return json_response({"error": message}, status)


async def serve(sandbox: Sandbox, host: str, port: int) -> None:
    """Serve until cancelled."""
    runner = QuietRunner(make_app(sandbox), "sandbox", shutdown_timeout=STOP_TIMEOUT_S)
    await runner.open(host, port)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
