"""Routes, derived from TOUCHPOINTS. Unknown paths and methods are answered in the shape of the side that asked."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from gateway.http.answers import shaped
from gateway.http.responder import Handler, Responder
from gateway.touchpoints.ingress import Ingress
from topics.api.routes import full_path
from topics.contract.definition import Direction
from topics.contract.touchpoints import TOUCHPOINTS


def add_touchpoints(router: web.UrlDispatcher, ingress: Ingress, responder: Responder) -> None:
    resources: dict[str, web.Resource] = {}
    directions: dict[str, Direction] = {}
    for touchpoint in TOUCHPOINTS:
        path = full_path(touchpoint)
        if path not in resources:
            resources[path] = router.add_resource(path)
            directions[path] = touchpoint.direction
        resources[path].add_route(touchpoint.method, ingress.handler(touchpoint))
    for path, resource in resources.items():
        message = "This path does not have this method"
        resource.add_route("*", _refusing(responder, directions[path], 405, "METHOD_NOT_ALLOWED", message))


def add_fallbacks(router: web.UrlDispatcher, responder: Responder) -> None:
    """Adds the 404 routes. Call it after all other routes are added, so that those match first."""
    for prefix, direction in (("/channels", Direction.TO_MARKETPLACE), ("", Direction.TO_INCREFF)):
        refused = _refusing(responder, direction, 404, "PATH_UNKNOWN", "There is no such path")
        router.add_route("*", f"{prefix}/{{rest:.*}}", refused)


def _refusing(responder: Responder, direction: Direction, status: int, code: str, message: str) -> Handler:
    return responder.refusing("unknown", partial(shaped, direction), status, code, message)
