"""The frame of all calls below /api: their routes, the token, the bound on reads, the log of actions, and an answer
whatever happens."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.access.control import AccessControl, Braked
from gateway.access.reads import ReadLimit
from gateway.admission.calls import Calls
from gateway.http import tracing
from gateway.http.answers import Answer, Refused, bad_data, problem
from gateway.http.call import Call
from gateway.http.query import check_query
from gateway.http.responder import Handler, Responder, refusal_of
from topics.api.route import Route
from topics.api.routes import ROUTES
from topics.configuration.channels import Channel
from topics.configuration.settings import Settings
from topics.paths.resources import add_route

ID_CHARS = 40
"""Characters of a path's id that are logged; Sluice's own ids are shorter."""
TARGET_CHARS = 500
"""Characters of an action's path that are logged: those of a code of the largest length, quoted."""

Act = Callable[[Call, web.Request], Awaitable[Answer]]
"""The work of a call. Raises Refused, and whatever the ports raise."""


class Management:
    """Makes HTTP handlers of acts."""

    def __init__(self, settings: Settings, access: AccessControl, calls: Calls, responder: Responder) -> None:
        self._access = access
        self._reads = ReadLimit(settings)
        self._calls = calls
        self._responder = responder

    def handler(self, route: Route, act: Act) -> Handler:
        run = self._reading(route.cost, act) if route.is_read else act

        async def handle(request: web.Request) -> web.Response:
            subject = request.match_info.get("id", "")[:ID_CHARS]
            call = Call(route.label, time.perf_counter(), subject=subject, address=self._access.address(request))
            tracing.begin(call, request)
            ticket = self._calls.ticket_of(request.protocol)
            call.standstills = ticket.standstills
            try:
                ticket.enter_api()
                call.actor = self._access.actor(request, call.address)
                check_query(request, route.query)
                answer = await run(call, request)
            except Exception as error:  # noqa: BLE001 - every fault is an answer, and the unforeseen ones are logged
                answer = _refusal(route, call, error)
            finally:
                ticket.leave()
            if call.actor and not route.is_read:
                target = _target(route, request)
                self._responder.log_action(call, answer, name=route.name, method=route.method, target=target)
            return self._responder.respond(call, answer)

        return handle

    def _reading(self, cost: int, act: Act) -> Act:
        async def read(call: Call, request: web.Request) -> Answer:
            with self._reads.reading(call.actor, cost):
                return await act(call, request)

        return read


def _target(route: Route, request: web.Request) -> str:
    """Path and query of an action, for the log: of the query what the route knows, because others may be anything."""
    names = {known.name for known in route.query}
    query = "&".join(f"{name}={value}" for name, value in request.query.items() if name in names)
    return f"{request.path}{'?' if query else ''}{query}"[:TARGET_CHARS]


def _refusal(route: Route, call: Call, error: Exception) -> Answer:
    """The answer that an error becomes. (As in Ingress: no frame of its traceback holds the error.)"""
    call.is_logged = not isinstance(error, Braked)
    refused = refusal_of(error, route.label)
    call.code, call.reason = refused.code, refused.reason
    return problem(refused)


def add_api(router: web.UrlDispatcher, management: Management, acts: Mapping[str, Act]) -> None:
    """Adds all paths below /api. Raises LookupError unless `acts` has the names of ROUTES, and no others."""
    unbound = acts.keys() ^ {route.name for route in ROUTES}
    if unbound:
        raise LookupError(f"in topics.api.routes or in gateway.api, but not in both: {', '.join(sorted(unbound))}")
    for route in ROUTES:
        add_route(router, route.method, route.path, management.handler(route, acts[route.name]))


def check_ready(unready: str | None, message: str) -> None:
    """Raises Refused while a view that the call needs is not read to its end; `unready` says why."""
    if unready is not None:
        raise Refused(503, "STARTING", message, unready, retry_after_s=1)


def channel_named(channels: Mapping[str, Channel], name: str) -> Channel:
    """Raises Refused."""
    if name not in channels:
        known = ", ".join(sorted(channels))
        raise Refused(404, "CHANNEL_UNKNOWN", "There is no such channel", f"there are: {known}")
    return channels[name]


def channel_in_query(channels: Mapping[str, Channel], request: web.Request) -> Channel:
    """The channel that the query names; without a name the only one there is. Raises Refused."""
    name = request.query.get("channel")
    if name is not None:
        return channel_named(channels, name)
    if len(channels) > 1:
        raise bad_data(f"channel: must be one of {', '.join(sorted(channels))}")
    return next(iter(channels.values()))
