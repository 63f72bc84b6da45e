"""The load of the overload benchmark counts what came of each request, and keeps its rate. No timings here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bench.overload.benchmark import left_by_load, load_spec
from bench.overload.load import run

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BODY = b'{"code":"OVERLOADED","message":"x"}'
NO = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\nRetry-After: 7\r\n\r\n%b" % (len(BODY), BODY)


class Server:
    """Answers 200 and 503 in turn, cut in two pieces; closes every hundredth connection's request unanswered."""

    def __init__(self) -> None:
        self.requests = 0
        self.codes: set[bytes] = set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.codes.add(body.split(b'"orderCode": "')[1].split(b'"')[0])
                self.requests += 1
                if self.requests % 100 == 0:
                    return
                answer = OK if self.requests % 2 else NO
                writer.write(answer[:20])
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(answer[20:])
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    at, started, stop = Server(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def go() -> None:
        listening = await asyncio.start_server(at.serve, "127.0.0.1", 0)
        at.port = listening.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        listening.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(go()))
    thread.start()
    started.wait(30)
    yield at
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


@pytest.mark.parametrize("per_s", [None, 500.0])
def test_every_request_is_accepted_refused_or_lost(server: Server, per_s: float | None) -> None:
    found: dict[str, Any] = run(load_spec(server.port, "first", "T", 20, 0.8, per_s))
    lost = found["lost"].get("waiting", 0)
    assert found["sent"] == server.requests == len(server.codes), "each with a code of its own"
    assert found["sent"] == found["accepted_in_all"] + found["refused"] + lost
    assert found["accepted_in_all"] > 0
    assert found["refused"] > 0
    assert found["statuses"] == {"503": found["refused"]}
    assert found["codes"] == {"OVERLOADED": found["refused"]}
    assert found["retry_after_s"] == {"7": found["refused"]}
    assert found["drained"]
    if per_s is not None:
        assert found["sent"] + found["unsent"] == found["offered"]


def test_what_the_load_takes_is_missing_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    alone = [{"cpu_share": 0.2}]
    assert left_by_load(alone, {"cpu_share": 0.15}, {"cpu_share": 0.05}) == pytest.approx(1.0)
    assert left_by_load(alone, {"cpu_share": 1.0}, {"cpu_share": 0.1}) == pytest.approx(0.5)
