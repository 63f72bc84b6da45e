"""Routes, derived from TOUCHPOINTS. Unknown paths and methods are answered in the shape of the side that asked."""

from __future__ import annotations

from aiohttp import web

from gateway.api import ManagementApi
from gateway.ingress import Ingress
from topics.touchpoints import TOUCHPOINTS, Direction, Touchpoint

MARKETPLACE_PREFIX = "/assure-magic2"
"""Increff's context path (contract 0.2): a marketplace changes only the host."""
INCREFF_PREFIX = "/channels/{channel}"


def full_path(touchpoint: Touchpoint) -> str:
    prefix = MARKETPLACE_PREFIX if touchpoint.direction is Direction.TO_INCREFF else INCREFF_PREFIX
    return prefix + touchpoint.path


def add_touchpoints(router: web.UrlDispatcher, ingress: Ingress) -> None:
    resources: dict[str, web.Resource] = {}
    directions: dict[str, Direction] = {}
    for touchpoint in TOUCHPOINTS:
        path = full_path(touchpoint)
        if path not in resources:
            resources[path] = router.add_resource(path)
            directions[path] = touchpoint.direction
        resources[path].add_route(touchpoint.method, ingress.handler(touchpoint))
    for path, resource in resources.items():
        refused = ingress.unknown(directions[path], 405, "METHOD_NOT_ALLOWED", "This path does not have this method")
        resource.add_route("*", refused)


def add_management(router: web.UrlDispatcher, api: ManagementApi) -> None:
    not_allowed = api.refusing(405, "METHOD_NOT_ALLOWED", "This path does not have this method")
    orders = ("orders", api.order, api.order_events, api.decide_order)
    returns = ("returns", api.returned, api.return_events, api.decide_return)
    for kind, one, events, decide in (orders, returns):
        for path, read in ((f"/api/{kind}/{{code}}", one), (f"/api/{kind}/{{code}}/events", events)):
            resource = router.add_resource(path)
            resource.add_route("GET", read)
            resource.add_route("*", not_allowed)
        resource = router.add_resource(f"/api/{kind}/{{code}}/deliveries/{{request}}/{{action:retry|skip}}")
        resource.add_route("POST", decide)
        resource.add_route("*", not_allowed)


def add_fallbacks(router: web.UrlDispatcher, ingress: Ingress, api: ManagementApi) -> None:
    """Last, so that they take only what nothing else took."""
    router.add_route("*", "/api/{rest:.*}", api.refusing(404, "UNKNOWN", "There is no such path"))
    to_increff = ingress.unknown(Direction.TO_INCREFF, 404, "PATH_UNKNOWN", "There is no such path")
    to_marketplace = ingress.unknown(Direction.TO_MARKETPLACE, 404, "PATH_UNKNOWN", "There is no such path")
    router.add_route("*", "/channels/{rest:.*}", to_marketplace)
    router.add_route("*", "/{rest:.*}", to_increff)
