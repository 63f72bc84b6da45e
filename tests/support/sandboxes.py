"""Sandboxes without a Sluice between them, and samples of the contract."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sluice.dev.sandbox.increff.sandbox import DEMO_CREDENTIALS
from sluice.dev.sandbox.marketplace import DEMO_HEADERS, MarketplaceSandbox
from sluice.dev.sandbox.server import Sandbox, make_app
from topics.contract.definition import Direction, Touchpoint
from topics.contract.leniency import normalised
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS


def sample(name: str) -> dict[str, Any]:
    """The request's members of a touchpoint's sample, wherever they travel."""
    request = json.loads((files("topics.contract") / "samples" / f"{name}.json").read_text())["request"]
    return {member: value for part in ("path", "query", "body") for member, value in (request.get(part) or {}).items()}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


class FarSide:
    """A sandbox as its caller sees it."""

    def __init__(self, sandbox: Sandbox, client: TestClient[web.Request, web.Application]) -> None:
        self.sandbox = sandbox
        self.client = client
        self.headers = dict(DEMO_CREDENTIALS if sandbox.prefix else DEMO_HEADERS)

    async def call(
        self, name: str, members: dict[str, Any] | None = None, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        """Calls a touchpoint as Sluice does; without members with those of its sample."""
        touchpoint = BY_NAME[name]
        members = sample(name) if members is None else members
        path = self.sandbox.prefix + touchpoint.far_path.format(orderCode=members.get("orderCode", ""))
        query = {key: _text(value) for key, value in members.items()} if touchpoint.query else None
        body = touchpoint.carried_body(members)
        data = more.pop("data", None if body is None else orjson.dumps(body))
        return await self.ask(
            touchpoint.method,
            path,
            data=data,
            params=query,
            headers=self.headers if headers is None else headers,
            **more,
        )

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        async with self.client.request(method, path, **more) as response:
            raw = await response.read()
            body = orjson.loads(raw) if response.content_type == "application/json" and raw else raw.decode() or None
            return Answer(response.status, body, response.headers)

    async def seen(self, **filters: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask("GET", "/_sandbox/requests", params=filters)).body
        return found

    async def misbehave(self, *faults: dict[str, Any]) -> Answer:
        return await self.ask("PUT", "/_sandbox/faults", json=list(faults))


@asynccontextmanager
async def serving(sandbox: Sandbox) -> AsyncIterator[FarSide]:
    async with TestClient(TestServer(make_app(sandbox))) as client:
        yield FarSide(sandbox, client)


@asynccontextmanager
async def short_circuit(marketplace: MarketplaceSandbox) -> AsyncIterator[str]:
    """Increff's way to a marketplace without a Sluice: its URL. Not authenticated."""

    def route(touchpoint: Touchpoint) -> Any:
        async def call(request: web.Request) -> web.Response:
            members = {**request.query} if touchpoint.query else orjson.loads(await request.read())
            members = normalised(touchpoint.request, members)
            answer = marketplace.validate(touchpoint, members) or marketplace.handle(touchpoint, members)
            return answer.response()

        return call

    app = web.Application()
    for touchpoint in TOUCHPOINTS:
        if touchpoint.direction is Direction.TO_MARKETPLACE:
            app.router.add_route(touchpoint.method, f"/channels/demo{touchpoint.path}", route(touchpoint))
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
