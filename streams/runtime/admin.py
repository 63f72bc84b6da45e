"""/live, /ready and /metrics of a streams role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import web

from topics.configuration.errors import ADMIN_PORT_CHOSEN_BY, listening
from topics.configuration.settings import Settings
from topics.http_faults import QuietRunner
from topics.records.unreadable import UNREADABLE

CONTENT_TYPE = "text/plain; version=0.0.4"
SHUTDOWN_S = 0.5
"""Time for open requests at the end: probes ask again."""


class Exposed(Protocol):
    """The metrics of a process."""

    def set_ready(self, *, ready: bool) -> None: ...

    def text(self) -> bytes: ...


class Admin:
    """Serves on `settings.admin_host:admin_port`, without which it takes any; `port` is the port in use."""

    def __init__(
        self,
        settings: Settings,
        metrics: Exposed,
        not_live: Callable[[], str | None],
        not_ready: Callable[[], str | None],
        warnings: Callable[[], list[str]],
        refresh: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._not_live = not_live
        self._not_ready = not_ready
        self._warnings = warnings
        self._refresh = refresh
        self._runner: QuietRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listens. Raises ConfigurationError where it cannot; then nothing of it is left."""
        app = web.Application()
        app.router.add_get("/live", self._live)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._text)
        self._runner = QuietRunner(app, "admin port", handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        host, port = self._settings.admin_host, self._settings.admin_port or 0
        with listening(host, port, ADMIN_PORT_CHOSEN_BY):
            self.port = await self._runner.open(host, port)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        return _answer("live", self._not_live())

    async def _ready(self, _: web.Request) -> web.Response:
        return _answer("ready", self._not_ready(), self._warnings() + UNREADABLE.warnings())

    async def _text(self, _: web.Request) -> web.Response:
        self._refresh()
        self._metrics.set_ready(ready=self._not_ready() is None)
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _answer(question: str, reason: str | None, warnings: Sequence[str] = ()) -> web.Response:
    """`warnings`: what an operator should look at, though it stops nothing."""
    more = {"warnings": list(warnings)} if warnings else {}
    if reason is None:
        return web.json_response({question: True, **more})
    return web.json_response({question: False, "reason": reason, **more}, status=503)
