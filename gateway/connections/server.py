"""The HTTP server of the gateway: aiohttp's, with connections of our own."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from aiohttp.web_server import Server

from gateway.connections.connection import Connection
from gateway.connections.limits import Limits
from gateway.connections.refusal import Admission
from gateway.connections.registry import Registry

BACKLOG = 4096
"""Connections that wait to be accepted. When many clients come at once, more than this meet a delay of a second."""
FIELD_BYTES_MAX = 16 << 10
"""Most bytes of one header or request line. Those of the contract are short; proxies add some."""


class ConnectionServer(Server):
    """Makes a Connection for each connection that is accepted."""

    def __init__(self, inner: Server, registry: Registry) -> None:
        super().__init__(
            inner.request_handler, request_factory=inner.request_factory, loop=inner._loop, **inner._kwargs
        )
        self._registry = registry

    def __call__(self) -> Connection:
        return Connection(self, self._registry, loop=self._loop, **self._kwargs)


class ConnectionRunner(web.AppRunner):
    """Runs an application on a ConnectionServer."""

    def __init__(self, app: web.Application, limits: Limits, admission: Admission | None, **options: Any) -> None:
        super().__init__(app, access_log=None, max_line_size=FIELD_BYTES_MAX, max_field_size=FIELD_BYTES_MAX, **options)
        self._registry = Registry(limits, admission)

    async def _make_server(self) -> Server:
        return ConnectionServer(await super()._make_server(), self._registry)
