"""What aiohttp's own router does, and why Sluice has another."""

from __future__ import annotations

import inspect

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from topics.paths import resources
from topics.paths.resources import PARTS_MAX, add_route, application


async def answer(_request: web.Request) -> web.Response:
    return web.Response()


async def found(router: web.UrlDispatcher, path: str) -> dict[str, str] | None:
    match = await router.resolve(make_mocked_request("PUT", path))
    return None if match.http_exception is not None else dict(match)


@pytest.mark.parametrize(("part", "code"), [("{a}", "{a}"), ("%7Ba%7D", "{a}"), ("%25FF", "%FF"), ("a%2Fb", "a/b")])
async def test_a_code_with_a_brace_is_found_only_here(part: str, code: str) -> None:
    stock, ours = web.Application().router, application().router
    stock.add_put("/orders/{code}", answer)
    add_route(ours, "PUT", "/orders/{code}", answer)
    assert await found(ours, f"/orders/{part}") == {"code": code}
    assert await found(stock, f"/orders/{part}") == (None if "{" in code else {"code": code})


async def test_a_text_that_is_no_utf_8_is_a_code_only_there() -> None:
    stock, ours = web.Application().router, application().router
    stock.add_put("/orders/{code}", answer)
    add_route(ours, "PUT", "/orders/{code}", answer)
    assert await found(stock, "/orders/%FF") == {"code": "%FF"}, "as is the code %FF"
    assert await found(ours, "/orders/%FF") is None


async def test_a_path_of_many_parts_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "rpartition" in inspect.getsource(web.UrlDispatcher.resolve), "it copies a path for each part"
    router = application().router
    add_route(router, "PUT", "/{any}" + "/a" * PARTS_MAX, answer)
    monkeypatch.setattr(resources, "_RESOLVE", None)
    assert await found(router, "/b" + "/a" * PARTS_MAX) == {"any": "b"}
