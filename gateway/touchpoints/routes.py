"""Routes, derived from TOUCHPOINTS."""

from __future__ import annotations

from aiohttp import web

from gateway.touchpoints.ingress import Ingress
from topics.api.routes import full_paths
from topics.contract.touchpoints import TOUCHPOINTS
from topics.paths.resources import add_route


def add_touchpoints(router: web.UrlDispatcher, ingress: Ingress, bases: tuple[str, ...]) -> None:
    """Adds the routes of all touchpoints. `bases`: the paths below which marketplaces find theirs."""
    for touchpoint in TOUCHPOINTS:
        handler = ingress.handler(touchpoint)
        for path in full_paths(touchpoint, bases):
            add_route(router, touchpoint.method, path, handler)
