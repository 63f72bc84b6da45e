"""Each route below /api has one handler of its name, and each handler a route: else there is no gateway."""

from __future__ import annotations

import re

import pytest
from aiohttp import web

from gateway.access.control import AccessControl
from gateway.api.handler import Act, Management, add_api
from gateway.app import make_calls
from gateway.http.access_log import AccessLog
from gateway.http.answers import Answer
from gateway.http.call import Call
from gateway.http.metrics import Metrics
from gateway.http.responder import Responder
from tests.fakes.gateway import channels_with, gateway
from topics.api.query_parameters import QueryParameter
from topics.api.route import Route
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
    add_api(router, Management(settings, access, calls, Responder(metrics, AccessLog(lambda _lines: None))), acts)
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


TYPED = [(route, one) for route in ROUTES for one in route.query if one.type != "string"]


@pytest.mark.parametrize(("route", "parameter"), TYPED, ids=[f"{route.name}-{one.name}" for route, one in TYPED])
async def test_a_call_that_is_refused_for_its_query_has_done_nothing(route: Route, parameter: QueryParameter) -> None:
    """Not even asked a role: a handler that looks later has acted by then."""
    path = re.sub(r"\{\w+(?::(\w+)[^}]*)?\}", lambda part: part[1] or "x", route.path)
    words = ("x", "-1", "1.5", "9" * 17, "") if parameter.type == "integer" else ("yes", "1", "")
    async with gateway() as at:
        for word in words:
            query = {parameter.name: word}
            response = await at.client.request(route.method, path, params=query, json={"dryRun": False, "reason": "x"})
            problem = await response.json(content_type=None)
            assert (response.status, problem["code"]) == (400, "BAD_DATA")
            assert problem["detail"].startswith(f"Input validation failed: [{parameter.name}: must be")
        assert at.kafka.records == []
