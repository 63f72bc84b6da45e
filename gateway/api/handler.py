"""What the calls below /api have in common: the token, one answer whatever happens, and their paths' other methods."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.http.answers import Answer, Refused, bad_data
from gateway.http.authentication import bearer
from gateway.http.call import Call
from gateway.http.problem import problem
from gateway.http.responder import Handler, Responder, refusal_of
from topics.configuration.channels import Channel, Channels
from topics.configuration.settings import Settings

Act = Callable[[Call, web.Request], Awaitable[Answer]]


class Management:
    """Answers management calls. Without a configured token everybody may make them."""

    def __init__(self, settings: Settings, responder: Responder) -> None:
        self._responder = responder
        self._token = settings.api_token.get_secret_value().encode() if settings.api_token else None

    def handler(self, what: str, act: Act) -> Handler:
        """`what` names the call in the log and the metrics."""

        async def handle(request: web.Request) -> web.Response:
            call = Call(what, time.perf_counter())
            try:
                if self._token is not None:
                    bearer(self._token, request.headers.get("Authorization"))
                answer = await act(call, request)
            except Exception as error:  # noqa: BLE001 - every fault is an answer, and the unforeseen ones are logged
                answer = problem(refusal_of(error, what))
            return self._responder.respond(call, answer)

        return handle

    def refusing(self, status: int, code: str, message: str) -> Handler:
        """A handler for paths and methods that there are not."""

        async def handle(_request: web.Request) -> web.Response:
            call = Call("api-unknown", time.perf_counter())
            return self._responder.respond(call, problem(Refused(status, code, message)))

        return handle


def add_paths(router: web.UrlDispatcher, paths: Mapping[str, Mapping[str, Handler]], not_allowed: Handler) -> None:
    """Path -> method -> handler; every other method is `not_allowed`."""
    for path, methods in paths.items():
        resource = router.add_resource(path)
        for method, handle in methods.items():
            resource.add_route(method, handle)
        resource.add_route("*", not_allowed)


def channel_of(every: Channels, request: web.Request) -> Channel:
    """The channel that the query names; it need not where there is only one. Raises Refused."""
    name, channels = request.query.get("channel"), every.channels
    if name is None:
        if len(channels) > 1:
            raise bad_data(f"channel: must be one of {', '.join(sorted(channels))}")
        return next(iter(channels.values()))
    if name not in channels:
        raise Refused(404, "CHANNEL_UNKNOWN", "There is no such channel", name[:64])
    return channels[name]
