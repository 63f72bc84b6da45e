"""The HTTP server of the gateway: aiohttp's, with connections of our own."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.web_server import Server

from gateway.connections.connection import Connection
from gateway.connections.limits import Limits
from gateway.connections.refusal import Admission
from gateway.connections.registry import Registry
from gateway.http.metrics import Metrics
from topics.configuration.errors import listening
from topics.http_faults import FaultLog, QuietServer

BACKLOG = 4096
"""Connections that wait to be accepted. When many clients come at once, more than this meet a delay of a second."""
ACCEPTS = 16
"""Connections accepted at one turn of the loop, where uvloop accepts one: on a loop with much to do, thousands that
come at once would wait for seconds before anybody reads their first request."""
RECEIVE_S = 0.5
"""While the gateway stops, a request may take so long to come to its end; a stream may go on while it moves."""
POLL_S = 0.02
"""How often a stopping server looks whether its last connection is gone."""
PORT_CHOSEN_BY = "--port or SLUICE_GATEWAY_PORT (the address: --host or SLUICE_GATEWAY_HOST)"
FIELD_BYTES_MAX = 16 << 10
"""Most bytes of one header or request line. Those of the contract are short; proxies add some."""


class ConnectionRunner(web.AppRunner):
    """Runs an application whose callers have a Connection each. `registry`: its connections. `named`: in the log."""

    def __init__(
        self,
        app: web.Application,
        limits: Limits,
        *,
        admission: Admission | None = None,
        metrics: Metrics | None = None,
        named: str = "gateway",
        **options: Any,
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            max_line_size=FIELD_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.linger_s,
            **options,
        )
        self.registry = Registry(limits, FaultLog(named), admission)
        if metrics is not None:
            metrics.connections = lambda: len(self.registry.open)
            metrics.connections_ended = self.registry.ended
            metrics.malformed = self.registry.faults.counts

    async def _make_server(self) -> Server:
        self.registry.start()
        return QuietServer(await super()._make_server(), partial(Connection, registry=self.registry))

    async def finish(self, stop_s: float, release: Callable[[], None], answer_s: float) -> None:
        """Stops. What is in hand may go on for `stop_s`; then `release` is called, which lets it answer within
        `answer_s`. Idle connections are closed at once, and requests that do not come to their end are refused.
        """
        registry = self.registry
        for site in list(self.sites):
            await site.stop()
        await asyncio.sleep(0)
        registry.stopping = True
        loop = asyncio.get_running_loop()
        end = loop.time() + stop_s
        for connection in list(registry.open):
            connection.stop()
        receive = loop.time() + min(RECEIVE_S, stop_s)
        released = False
        while registry.open:
            await asyncio.sleep(POLL_S)
            now = loop.time()
            if now >= receive:
                receive = now + RECEIVE_S
                for connection in list(registry.open):
                    connection.stop_waiting()
            if now >= end:
                if released:
                    break
                released, end = True, now + answer_s
                release()
        registry.stop()
        await self.cleanup()

    async def listen(self, host: str, port: int, *, shared: bool = False, chosen_by: str = PORT_CHOSEN_BY) -> int:
        """Accepts connections. The loop is given several descriptors of each listening socket, and takes a connection
        from each of them at every turn. `shared`: the kernel divides connections among all processes that listen on
        the port so. Returns the port in use. Raises ConfigurationError where it cannot listen."""
        loop = asyncio.get_running_loop()
        with listening(host, port, chosen_by):
            bound = await loop.create_server(
                asyncio.Protocol, host, port, start_serving=False, reuse_port=shared or None
            )
        try:
            for one in bound.sockets:
                for _ in range(ACCEPTS):
                    again = socket.socket(fileno=os.dup(one.fileno()))
                    await web.SockSite(self, again, backlog=BACKLOG).start()
            return int(self.addresses[0][1])
        finally:
            bound.close()
