"""/live, /ready and /metrics of a gateway: on its port or, where several gateways share that, on an admin port each."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from aiohttp import web

from gateway.http.metrics import CONTENT_TYPE, Metrics
from topics.configuration.errors import listening
from topics.configuration.settings import Settings
from topics.http_faults import QuietRunner
from topics.records.unreadable import UNREADABLE

PORT_CHOSEN_BY = "--admin-port or SLUICE_ADMIN_PORT (the address: --admin-host or SLUICE_ADMIN_HOST)"
SHUTDOWN_S = 0.5
"""Time for open requests at the end: probes ask again."""


class Probes:
    """Their handlers. `unready`: why this process cannot accept calls, None when it can."""

    def __init__(self, unready: Callable[[], str | None], metrics: Metrics) -> None:
        self.unready = unready
        self._metrics = metrics

    async def live(self, _request: web.Request) -> web.Response:
        return _json({"live": True})

    async def ready(self, _request: web.Request) -> web.Response:
        reason = self.unready()
        warnings = {"warnings": said} if (said := UNREADABLE.warnings()) else {}
        if reason is None:
            return _json({"ready": True, **warnings})
        return _json({"ready": False, "reason": reason, **warnings}, 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def metrics_elsewhere(self, _request: web.Request) -> web.Response:
        """On a shared port, counters would jump between those of one process and another."""
        said = (
            "several gateways share this port, and each has metrics of its own: ask each of them for /metrics on its "
            "admin port (SLUICE_ADMIN_PORT)"
        )
        return web.Response(status=404, text=f"{said}\n")


class AdminPort:
    """Serves the probes of one of several gateways on `settings.admin_host:admin_port`; `port` is the port in use."""

    def __init__(self, settings: Settings, probes: Probes) -> None:
        self._settings = settings
        self._probes = probes
        self._runner: QuietRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listens. Raises ConfigurationError where it cannot; then nothing of it is left."""
        app = web.Application()
        for path, handler in (
            ("/live", self._probes.live),
            ("/ready", self._probes.ready),
            ("/metrics", self._probes.metrics),
        ):
            app.router.add_get(path, handler)
        self._runner = QuietRunner(app, "admin port", handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        host, port = self._settings.admin_host, self._settings.admin_port
        with listening(host, port, PORT_CHOSEN_BY):
            self.port = await self._runner.open(host, port)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
