"""The receiver as a process of its own, so that a busy sender never waits for it, and its log as it grows."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sluice.dev.local.ports import free_ports
from sluice.dev.torture.log import read
from tests.support.eventually import eventually
from tests.support.roles import ROOT

START_S = 30


class Log:
    """Counts what was acknowledged so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._acknowledged: set[str] = set()

    def acknowledged(self) -> int:
        """Different deliveries. Reads only what is new."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            lines = file.readlines()
        whole = [line for line in lines if line.endswith(b"\n")]
        self._read += sum(map(len, whole))
        self._acknowledged.update(entry.id for entry in read(whole) if entry.acknowledged)
        return len(self._acknowledged)


@asynccontextmanager
async def receiving(directory: Path, options: Sequence[str]) -> AsyncIterator[tuple[str, Log]]:
    """`sluice torture receive` with `options`: its URL and its log. It has ended, and the log is whole, afterwards."""
    [port] = free_ports(1)
    log = Log(directory / "received.ndjson")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sluice", "torture", "receive", str(log.path), "--port", str(port), *options), cwd=ROOT
    )

    async def listens() -> bool:
        assert process.returncode is None, "the receiver ended"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await eventually(listens, START_S, what=lambda: "the receiver does not listen")
        yield f"http://127.0.0.1:{port}/hook", log
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
