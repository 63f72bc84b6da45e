"""A response whose body is known, and whose head is written in one step."""

from __future__ import annotations

from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.web_request import BaseRequest

_OK: Final = 200


class WholeResponse(web.Response):
    """aiohttp asks for each response whether its body is compressed, comes in chunks or has to be left out, which takes
    longer than to write it. Nearly all answers are a 200 on a connection that stays: for them the answers are known.
    """

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        body, writer = self._body, request._payload_writer
        if not (
            self._status == _OK
            and request.keep_alive
            and request.version == HttpVersion11
            and request.method != hdrs.METH_HEAD
            and isinstance(body, bytes)
            and self._keep_alive is None
            and not self._eof_sent
        ):
            return await super().prepare(request)
        headers = self._headers
        headers[hdrs.CONTENT_LENGTH] = str(len(body))
        headers[hdrs.DATE] = rfc822_formatted_time()
        headers[hdrs.SERVER] = SERVER_SOFTWARE
        self._keep_alive = self._eof_sent = True
        await writer.write_headers("HTTP/1.1 200 OK", headers)
        await writer.write_eof(body)
        return None
