"""A connection that answers its requests in its own task.

aiohttp makes a task for each request of a connection, and waits for it: 3 us, and one more turn of the event loop. That
gives each request context variables of its own, which no handler of the gateway uses.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage
from aiohttp.http_writer import StreamWriter
from aiohttp.web_protocol import PayloadAccessError

from topics.http_faults import QuietHandler

_ANSWERED: Final = PayloadAccessError()
"""Raised to a handler that reads a body after its answer."""


class OneTaskHandler(QuietHandler):
    """Takes only whole messages: what cannot be parsed has been answered before."""

    __slots__ = ()

    async def start(self) -> None:
        """Answers requests, one after another, until the connection ends."""
        while not self._force_close:
            if not self._messages:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            message: Any
            message, payload = self._messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
            if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
                self._resume_reading_if_drained()
            if not await self._stays(message, payload) or self._close or self._force_close:
                break
            self._next_keepalive_close_time = closes = self._loop.time() + self._keepalive_timeout
            if self._keepalive_handle is None:
                self._keepalive_handle = self._loop.call_at(closes, self._process_keepalive)
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _stays(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Answers one request. Returns whether the connection may have another."""
        manager, handler, make, task = self._manager, self._request_handler, self._request_factory, self._task_handler
        if manager is None or handler is None or make is None or task is None:
            return False  # the connection is lost
        manager.requests_count += 1
        request = make(message, payload, self, StreamWriter(self, self._loop), task)
        try:
            response, is_lost = await self._handle_request(request, None, handler)
            if is_lost:
                return False
            self._keepalive = bool(response.keep_alive)
            if not payload.is_eof():
                await self._read_away(payload)
            payload.set_exception(_ANSWERED)
        except ConnectionError:
            return False
        except Exception as error:  # noqa: BLE001 - the connection ends, and the log says why
            self.log_exception("a request failed", exc_info=error)
            self.force_close()
        except BaseException:
            self.force_close()
            raise
        finally:
            request._task = None  # type: ignore[assignment]  # as aiohttp does: no cycle keeps the request
        return self._keepalive

    async def _read_away(self, payload: StreamReader) -> None:
        """Reads what a handler left of a body, for a while. If more comes, the connection ends."""
        if not self._force_close and self._lingering_time:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lingering_time):
                    while not payload.is_eof():
                        await payload.readany()
        if not payload.is_eof() and not self._force_close:
            self.close()
