"""What a role answers to "are you ready?" is understood, and no answer is understood, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sluice.dev.local.kafka_wire import first_alive
from sluice.dev.local.ports import free_ports
from sluice.dev.local.probe import ask_ready
from sluice.dev.local.terminal import Follower


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that reads a request's head and says this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"ready": true}', None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b'HTTP/1.1 503 Unready\r\n\r\n{"ready": false, "reason": "recovers 3 tables"}', "recovers 3 tables"),
        (b"HTTP/1.1 500 Oops\r\n\r\n<html>", "answered 500"),
        (b"", "answered nothing"),
    ],
)
async def test_answers(answer: bytes, told: str | None) -> None:
    async with answering(answer) as port:
        assert await ask_ready(port, "/ready") == told


async def test_nobody_there_is_starting() -> None:
    (nobody,) = free_ports(1)
    assert await ask_ready(nobody, "/ready") == "is starting"


async def test_what_is_not_kafka_does_not_serve() -> None:
    (nobody,) = free_ports(1)
    assert await asyncio.to_thread(first_alive, f"127.0.0.1:{nobody},nonsense") is None

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.to_thread(first_alive, f"127.0.0.1:{port}") is None


def test_only_new_whole_lines_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "demo.log"
    log.write_text("of an earlier run\n", encoding="utf-8")
    follower = Follower(log, "demo")
    with log.open("a", encoding="utf-8") as out:
        out.write("placed\nhanded ")
    follower.show()
    with log.open("a", encoding="utf-8") as out:
        out.write("over\n")
    follower.show()
    shown = [line.split("demo", 1)[1].strip() for line in capsys.readouterr().out.splitlines()]
    assert shown == ["placed", "handed over"]
