"""Requests that no route takes as they were sent: a path in another spelling is taken, all others are refused."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from aiohttp import web

from gateway.http.answers import Refused, bad_data, is_api, problem, shape_of
from gateway.http.call import Call
from gateway.http.responder import Responder
from topics.paths.bases import API_BASE, CHANNELS_BASE, METRICS_PATH
from topics.paths.patterns import PathError, PathPattern, plain
from topics.paths.resources import PARTS_MAX, Found, PatternResource, expected

PATH_CHARS_MAX = 8 << 10
"""A longer path is not looked at: two codes of the largest length have 6 KiB if every byte is encoded."""
_TARGET_CHARS = 200
"""Characters of an unknown path that its refusal quotes."""
_METHOD_CHARS = 20
"""Characters of a method that are quoted and logged: the longest that is registered, UPDATEREDIRECTREF, has 17."""
_CHANNELS = f"{CHANNELS_BASE}/"
_LEFT_OUT = "…"
_ALL = "GET /openapi.json lists all paths"
_ELSEWHERE = "the gateway takes /api and /metrics on its admin port (SLUICE_ADMIN_PORT), not on this one"
_READING = ("GET", "HEAD")
"""Methods that change nothing, so more than was meant may be answered."""


class Unmatched(PatternResource):
    """The resource of a router that is asked last. `bases`: the paths below which marketplaces find their calls; none
    on the admin port.

    Base URLs that end in a slash lead to a second one before the path, and some clients end each path with one. Between
    two parts of a path a second slash stands for an empty code, so that is no spelling of anything. Nor is one at the
    end of an action behind which a code may stand: `/pause/C/` lacks the location, and must not pause all of them.
    """

    def __init__(
        self,
        router: web.UrlDispatcher,
        bases: tuple[str, ...],
        responder: Responder,
        address: Callable[[web.Request], str],
    ) -> None:
        """`address`: says that of a request's caller."""
        super().__init__(PathPattern("/"))
        self._bases = bases
        self._address = address
        self._router = router
        self._responder = responder
        self._parts: set[str] = set()
        """The parts of all paths that do not vary: made when they are first needed, when all routes are there."""
        self._under = [f"{base}/" for base in bases]
        channel = re.escape(_CHANNELS) + "[^/]+"
        known = [*map(re.escape, (*bases, API_BASE)), channel, ""]
        self._doubled = re.compile(f"/*({'|'.join(known)})/+")
        self._refusing = self.add_route("*", self._refuse, expect_handler=expected)

    async def resolve(self, request: web.Request) -> Found:
        """Finds the route of a path that is spelt in another way, and otherwise why there is none."""
        given = self._doubled.sub(r"\1/", request.rel_url.raw_path, count=1)
        path = given.rstrip("/")
        methods: set[str] = set()
        fault = ""
        is_known = len(path) <= PATH_CHARS_MAX and path.count("/") <= PARTS_MAX
        path = plain(path) if is_known else path
        for resource in self._router.resources() if is_known else ():
            if not isinstance(resource, PatternResource) or resource is self:
                continue
            try:
                values = resource.pattern.match(path)
            except PathError as error:
                fault = str(error)
                continue
            if values is not None:
                found, allowed = resource.taken(request.method, values)
                if found is not None:
                    lacking = self._lacking(request.method, path) if given.endswith("/") else ""
                    if not lacking:
                        return found, allowed
                    return self._refused(path, f"[the path ends where {lacking} is to stand]"), methods
                methods |= allowed
        return self._refused(path, allow=", ".join(sorted(methods)), fault=fault), methods

    def _lacking(self, method: str, path: str) -> str:
        """The name of the part that would make a path that of another action."""
        if method in _READING:
            return ""
        longer = f"{path}/-"
        for resource in self._router.resources():
            if isinstance(resource, PatternResource) and resource is not self:
                values = resource.pattern.match(longer)
                if values and resource.taken(method, values)[0] is not None:
                    return next(reversed(values))
        return ""

    def _refused(self, path: str, detail: str = "", *, allow: str = "", fault: str = "") -> web.UrlMappingMatchInfo:
        why = {"path": path, "detail": detail, "allow": allow, "fault": fault}
        return web.UrlMappingMatchInfo(why, self._refusing)

    async def _refuse(self, request: web.Request) -> web.Response:
        why = request.match_info
        method, path = request.method[:_METHOD_CHARS], request.path[:_TARGET_CHARS]
        target = f"{method} {path} {why['detail']}".rstrip()
        operators = not self._bases
        code = "UNKNOWN" if operators else "PATH_UNKNOWN"
        refused = Refused(404, code, "There is no such path", f"{target}; {self._known(why['path'])}")
        if why["allow"]:
            message = "This path does not have this method"
            refused = Refused(405, "METHOD_NOT_ALLOWED", message, target, headers=(("Allow", why["allow"]),))
        elif why["fault"]:
            refused = bad_data(why["fault"])
        label = "api-unknown" if operators else "unknown"
        known = self._known_parts(path)
        call = Call(label, time.perf_counter(), address=self._address(request), method=method, target=known)
        call.code, call.reason = refused.code, why["fault"] or refused.message
        shape = problem if operators else shape_of(why["path"])
        return self._responder.respond(call, shape(refused))

    def _known_parts(self, path: str) -> str:
        """The path for the log: parts that stand in no pattern are left out, because they may be anything."""
        if not self._parts:
            patterns = [each.pattern for each in self._router.resources() if isinstance(each, PatternResource)]
            words = [word for each in patterns for said in each.words.values() for word in said]
            self._parts = {
                part for text in (*self._bases, *(each.text for each in patterns)) for part in text.split("/")
            }
            self._parts |= {"*", *words}
        return "/".join(part if part in self._parts else _LEFT_OUT for part in path.split("/"))

    def _known(self, path: str) -> str:
        """Tells the caller of an unknown path where the known ones are."""
        if self._bases and (is_api(path) or path == METRICS_PATH):
            return _ELSEWHERE
        if not self._bases or "" in self._bases or path.startswith((_CHANNELS, *self._under)):
            return _ALL
        return f"paths of marketplaces begin with {' or '.join(self._bases)}; {_ALL}"
