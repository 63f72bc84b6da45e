"""Each route below /api has one handler of its name, and each handler a route: else there is no gateway."""

from __future__ import annotations

import pytest
from aiohttp import web

from gateway.access.control import AccessControl
from gateway.api.handler import Act, Management, add_api
from gateway.app import make_calls
from gateway.http.access_log import AccessLog, discard
from gateway.http.answers import Answer
from gateway.http.call import Call
from gateway.http.metrics import Metrics
from gateway.http.responder import Responder
from tests.fakes.gateway import channels_with
from topics.api.routes import ROUTES
from topics.configuration.settings import load_settings


async def act(_call: Call, _request: web.Request) -> Answer:
    return Answer(204)


def bind(names: set[str]) -> web.UrlDispatcher:
    router = web.Application().router
    acts: dict[str, Act] = dict.fromkeys(names, act)
    settings, metrics = load_settings(), Metrics()
    access = AccessControl(settings, channels_with(), metrics)
    calls = make_calls(settings, channels_with())
    add_api(router, Management(settings, access, calls, Responder(metrics, AccessLog(discard), lambda: 0)), acts)
    return router


NAMES = {route.name for route in ROUTES}


def test_names_of_routes_are_their_own() -> None:
    assert len(NAMES) == len(ROUTES)


def test_all_routes_are_bound() -> None:
    assert len({resource.canonical for resource in bind(NAMES).resources()}) == len({r.path for r in ROUTES})


@pytest.mark.parametrize("names", [NAMES - {"get-order"}, NAMES | {"get-weather"}])
def test_a_route_without_a_handler_and_a_handler_without_a_route_are_found(names: set[str]) -> None:
    (odd,) = names ^ NAMES
    with pytest.raises(LookupError, match=odd):
        bind(names)
