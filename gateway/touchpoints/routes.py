"""Routes, derived from TOUCHPOINTS. Unknown paths and methods are answered in the shape of the side that asked."""

from __future__ import annotations

from aiohttp import web

from gateway.http.responder import Responder
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
        refused = responder.refusing(directions[path], 405, "METHOD_NOT_ALLOWED", "This path does not have this method")
        resource.add_route("*", refused)


def add_fallbacks(router: web.UrlDispatcher, responder: Responder) -> None:
    """Last, so that they take only what nothing else took."""
    to_increff = responder.refusing(Direction.TO_INCREFF, 404, "PATH_UNKNOWN", "There is no such path")
    to_marketplace = responder.refusing(Direction.TO_MARKETPLACE, 404, "PATH_UNKNOWN", "There is no such path")
    router.add_route("*", "/channels/{rest:.*}", to_marketplace)
    router.add_route("*", "/{rest:.*}", to_increff)
