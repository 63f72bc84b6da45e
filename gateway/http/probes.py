"""/live and /ready of a gateway, on both of its ports, and /metrics, on its admin port."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from aiohttp import web

from gateway.http.metrics import CONTENT_TYPE, Metrics
from topics.records.unreadable import UNREADABLE


class Probes:
    """Their handlers. `unready`: why this process cannot accept calls, None when it can."""

    def __init__(self, unready: Callable[[], str | None], metrics: Metrics) -> None:
        self.unready = unready
        self._metrics = metrics

    def is_ready(self) -> bool:
        return self.unready() is None

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


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
