"""Client that calls Sluice as Increff does: static headers, refreshed by Get Credential, 45 seconds for an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from topics import http_sessions
from topics.contract.touchpoints import BY_NAME
from topics.paths.bases import INCREFF_BASE
from topics.paths.patterns import filled
from topics.records.json_text import JsonTextError, read, write

TIMEOUT_S = 45.0
"""After this, Increff regards a call as timed out (contract 0.3)."""
DEMO_HEADERS = {"X-Api-Key": "demo-increff"}
DEMO_BOOTSTRAP = {"X-Bootstrap-Key": "demo-bootstrap"}


@dataclass(frozen=True, slots=True)
class SluiceAnswer:
    """An answer of Sluice. Status 504: none in time; 0: no connection, or it ended without an answer."""

    status: int
    body: Any = None
    error: str | None = None

    @property
    def taken(self) -> bool:
        """Whether the call succeeded: a 200 may carry `hasError: true` (contract 0.3)."""
        failed = isinstance(self.body, dict) and self.body.get("hasError") is True
        return 200 <= self.status < 300 and not failed

    def show(self) -> dict[str, Any]:
        return {"status": self.status, "body": self.body, **({"error": self.error} if self.error else {})}


class SluiceClient:
    """Client of one channel of Sluice."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        channel: str = "demo",
        *,
        headers: Mapping[str, str] = DEMO_HEADERS,
        bootstrap_headers: Mapping[str, str] = DEMO_BOOTSTRAP,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._base = url.rstrip("/") + filled(INCREFF_BASE, {"channel": channel})
        self._headers = dict(headers)
        self._bootstrap_headers = dict(bootstrap_headers)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def call(self, touchpoint: str, members: dict[str, Any]) -> SluiceAnswer:
        answer = await self._call(touchpoint, members, self._headers)
        if answer.status == 401 and self._bootstrap_headers:
            fresh = await self._call("get-credential", {}, self._bootstrap_headers)
            if fresh.status == 200 and isinstance(fresh.body, dict):
                self._headers = {str(name): str(value) for name, value in fresh.body.items()}
                answer = await self._call(touchpoint, members, self._headers)
        return answer

    async def _call(self, name: str, members: dict[str, Any], headers: Mapping[str, str]) -> SluiceAnswer:
        touchpoint = BY_NAME[name]
        body = touchpoint.carried_body(members)
        query = {key: _text(value) for key, value in members.items()} if touchpoint.query else None
        if self._session is None:
            self._session = http_sessions.session(timeout=self._timeout, connector=aiohttp.TCPConnector(limit=0))
        try:
            async with self._session.request(
                touchpoint.method,
                self._base + touchpoint.path,
                data=None if body is None else write(body),
                params=query,
                headers={"Content-Type": "application/json", **headers},
            ) as response:
                return SluiceAnswer(response.status, _read(await response.read()))
        except TimeoutError:
            return SluiceAnswer(504, error=f"no answer within {self._timeout.total:g} s")
        except aiohttp.ClientError as error:
            return SluiceAnswer(0, error=f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return read(raw)
    except JsonTextError:
        return raw.decode(errors="replace")
