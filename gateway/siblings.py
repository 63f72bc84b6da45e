"""Gateway processes that share a port of one machine: each holds a name while it lives, and answers under it what the
others ask.

The name is a socket in Linux' abstract namespace. It belongs to the same network namespace as the port, one process at
a time can hold it, and the kernel frees it with the process. Only processes of the same user are answered and believed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings
from topics.records.json_text import JsonTextError, read, write

log = logging.getLogger(__name__)

ANSWER_S = 1.0
"""How long a sibling may take for its answer, which it has in memory. One that takes longer is busy or stopped."""
QUESTION_BYTES_MAX = 64 << 10
BACKLOG = 32
NAME_CHARS_MAX = 100
"""Linux takes 107 bytes; only the name of a host is ever as long."""
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group at the other end of a local socket."""

Question = Mapping[str, Any]
Answerer = Callable[[Question], Any]
"""Answers at once, from memory. None: this process knows nothing of it."""


class Heard(NamedTuple):
    """Answers of siblings. `silent`: the numbers of those that run and did not answer in time."""

    answers: list[Any]
    silent: list[int]


_COUNT = "count"
"""The question after how many gateways share the port."""


class Siblings:
    """The other gateway processes of the port; none unless `settings.gateways` says so."""

    def __init__(self, settings: Settings) -> None:
        self._host = settings.gateway_host
        self._port = settings.gateway_port
        self._count = settings.gateways
        self._number = settings.gateway_number
        self._answerers: dict[str, Answerer] = {_COUNT: self._compare}
        self._held: socket.socket | None = None
        self._server: asyncio.AbstractServer | None = None

    @property
    def are_expected(self) -> bool:
        return self._count > 1

    def answer(self, kind: str, answerer: Answerer) -> None:
        """Has questions of a kind answered by this function."""
        self._answerers[kind] = answerer

    async def start(self) -> None:
        """Takes this process's name. Raises ConfigurationError where another process has it."""
        if not self.are_expected:
            return
        if sys.platform != "linux":
            raise ConfigurationError("SLUICE_GATEWAYS: several gateways share a port only on Linux; must be 1 here")
        self._held = held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(self._name(self._number))
        except OSError as error:
            held.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise ConfigurationError(
                f"gateway {self._number} of the {self._count} on port {self._port} runs already: end it, or give each "
                f"process a number of its own, from 0 to {self._count - 1}, with --number or SLUICE_GATEWAY_NUMBER"
            ) from error
        self._server = await asyncio.start_unix_server(self._serve, sock=held, backlog=BACKLOG)
        for one in (await self.ask(_COUNT, self._place())).answers:
            self._compare(one)

    def _place(self) -> Question:
        return {"number": self._number, "count": self._count}

    def _compare(self, other: Question) -> Question:
        """Warns where another process of the port was given another count. Answers with this one's."""
        if other["count"] != self._count:
            log.warning(
                "gateway %d of the %d on port %d meets gateway %s, which was started as one of %s: they do not all ask "
                "each other for jobs; start all with the same --gateways or SLUICE_GATEWAYS",
                self._number,
                self._count,
                self._port,
                other["number"],
                other["count"],
            )
        return self._place()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._held is not None:
            self._held.close()

    async def ask(self, kind: str, question: Question) -> Heard:
        """Asks all siblings at once."""
        others = [number for number in range(self._count) if number != self._number]
        found = await asyncio.gather(*(self._ask(number, kind, question) for number in others))
        return Heard(
            [answer for answers in found if answers is not None for answer in answers],
            [number for number, answers in zip(others, found, strict=True) if answers is None],
        )

    async def _ask(self, number: int, kind: str, question: Question) -> list[Any] | None:
        """The sibling's answer in a list, which is empty if it does not run or has none; None: it does not answer."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._answer_of(number, write({"kind": kind, "question": dict(question)}))
        except ConnectionRefusedError:
            return []  # nobody has this name now
        except (OSError, TimeoutError, JsonTextError) as error:
            log.warning("gateway %d on port %d does not answer: %r", number, self._port, error)
            return None

    async def _answer_of(self, number: int, question: bytes) -> list[Any]:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, self._name(number))
            _check_user(connection)
            reader, writer = await asyncio.open_unix_connection(sock=connection)
        except BaseException:
            connection.close()
            raise
        try:
            writer.write(question)
            writer.write_eof()
            answer = read(await reader.read(-1))
            return [] if answer is None else [answer]
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                _check_user(writer.get_extra_info("socket"))
                asked = read(await self._question(reader))
                answerer = self._answerers.get(asked["kind"])
                writer.write(write(None if answerer is None else answerer(asked["question"])))
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("a question of another process was not answered: %r", error)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    @staticmethod
    async def _question(reader: asyncio.StreamReader) -> bytes:
        asked = b""
        while len(asked) <= QUESTION_BYTES_MAX and (piece := await reader.read(QUESTION_BYTES_MAX)):
            asked += piece
        return asked

    def _name(self, number: int) -> str:
        return f"\0sluice-gateway-{number}-{self._port}-{self._host}"[:NAME_CHARS_MAX]


def _check_user(connection: socket.socket) -> None:
    """Raises PermissionError for a process of another user."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    if user != os.geteuid():
        raise PermissionError(f"it is a process of user {user}")
