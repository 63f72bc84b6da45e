"""Routes, derived from TOUCHPOINTS. Unknown paths and methods are answered in the shape of the side that asked."""

from __future__ import annotations

from aiohttp import web

from gateway.api.handler import add_paths
from gateway.api.orders import ManagementApi
from gateway.touchpoints.ingress import Ingress
from topics.contract.touchpoints import TOUCHPOINTS, Direction, Touchpoint

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
    for kind, one in (("orders", "order"), ("returns", "return")):
        is_return = one == "return"
        path = f"/api/{kind}/{{code}}"
        paths = {
            path: {"GET": api.handler(f"api-{one}", returns=is_return)},
            f"{path}/events": {"GET": api.handler(f"api-{one}-events", returns=is_return)},
            f"{path}/deliveries/{{request}}/{{action:retry|skip}}": {
                "POST": api.handler("api-lane-decision", returns=is_return)
            },
        }
        add_paths(router, paths, not_allowed)


def add_fallbacks(router: web.UrlDispatcher, ingress: Ingress, api: ManagementApi) -> None:
    """Last, so that they take only what nothing else took."""
    router.add_route("*", "/api/{rest:.*}", api.refusing(404, "UNKNOWN", "There is no such path"))
    to_increff = ingress.unknown(Direction.TO_INCREFF, 404, "PATH_UNKNOWN", "There is no such path")
    to_marketplace = ingress.unknown(Direction.TO_MARKETPLACE, 404, "PATH_UNKNOWN", "There is no such path")
    router.add_route("*", "/channels/{rest:.*}", to_marketplace)
    router.add_route("*", "/{rest:.*}", to_increff)
