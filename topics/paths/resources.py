"""Resources of aiohttp's router that match by PathPattern.

aiohttp's own take no brace in a part that varies. They match a path whose escapes are mostly resolved, in which a text
that is no UTF-8 cannot be told from one that is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from yarl import URL

from topics.paths.patterns import PathError, PathPattern

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_RESOLVE = web.UrlDispatcher.resolve
Found = tuple[web.UrlMappingMatchInfo | None, set[str]]


PARTS_MAX = 32
"""Parts of a path that is looked up. No pattern has nearly so many, and aiohttp copies a path once for each part: 16
KiB of slashes would hold the event loop for a twentieth of a second."""


class PatternRouter(web.UrlDispatcher):
    """A router whose last resource takes what no other takes, all paths of too many parts, and what is no path."""

    def resolve(self, request: web.Request) -> Coroutine[Any, Any, web.UrlMappingMatchInfo]:
        path = request.rel_url.raw_path
        is_usual = path.startswith("/") and path.count("/") <= PARTS_MAX
        return _RESOLVE(self, request) if is_usual else self._unusual(request)

    async def _unusual(self, request: web.Request) -> web.UrlMappingMatchInfo:
        found, _methods = await self._resources[-1].resolve(request)
        return found if found is not None else await _RESOLVE(self, request)


def application() -> web.Application:
    """An application with a PatternRouter. aiohttp's parameter for routers is deprecated, without a successor."""
    app = web.Application()
    app._router = PatternRouter()
    return app


class PatternResource(web.Resource):
    """The calls at one pattern. A method that it has no route for is left to other patterns: no word hides a code."""

    def __init__(self, pattern: PathPattern) -> None:
        super().__init__()
        self.pattern = pattern

    @property
    def canonical(self) -> str:
        """The path by which aiohttp finds this resource, up to its first brace."""
        return self.pattern.template

    async def resolve(self, request: web.Request) -> Found:
        try:
            values = self.pattern.match(request.rel_url.raw_path)
        except PathError:
            return None, set()
        return (None, set()) if values is None else self.taken(request.method, values)

    def taken(self, method: str, values: dict[str, str]) -> Found:
        """The route of a method at a path with these values; without one, the methods that there are."""
        route = self._routes.get(method)
        return web.UrlMappingMatchInfo(values, route) if route is not None else None, self._allowed_methods

    # What aiohttp asks of every resource.

    def _match(self, path: str) -> dict[str, str] | None:
        return self.pattern.match(path)

    def raw_match(self, path: str) -> bool:
        return self.pattern.text == path

    def url_for(self, **parts: str) -> URL:
        return URL.build(path=self.pattern.fill(parts), encoded=True)

    def add_prefix(self, prefix: str) -> None:
        self.pattern = PathPattern(prefix + self.pattern.text)

    def freeze(self) -> None:
        """Does nothing: there is nothing to make ready."""

    def get_info(self) -> Any:
        return {"path": self.pattern.text}


def add_route(router: web.UrlDispatcher, method: str, path: str, handler: Handler) -> None:
    """Adds the route of a method at a pattern of paths."""
    resources = (known for known in router.resources() if isinstance(known, PatternResource))
    resource = next((known for known in resources if known.pattern.text == path), None)
    if resource is None:
        resource = PatternResource(PathPattern(path))
        router.register_resource(resource)
    resource.add_route(method, handler, expect_handler=expected)


async def expected(request: web.Request) -> None:
    """Lets a client go on that waits with its body. Other expectations have no meaning, so they are ignored."""
    if request.version >= HttpVersion11 and request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # aiohttp takes what is written before an answer for the answer's beginning
