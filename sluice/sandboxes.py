"""Starting a sandbox or the demo in this process."""

# ruff: noqa: PLC0415 - only the side that is asked for is imported

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from sluice.local.errors import StartError
from sluice.sandbox.server import Sandbox, serve


def run_sandbox(side: str, *, host: str, port: int, url: str, data_dir: Path | None) -> int:
    """Serves until SIGTERM. Raises StartError when it cannot listen."""
    state_file = None
    if data_dir is not None:
        data_dir.mkdir(parents=True, exist_ok=True)
        state_file = data_dir / "state.jsonl"
    try:
        _until_told(serve(_make(side, url, state_file), host, port))
    except OSError as error:
        raise StartError(
            f"the sandbox cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from error
    return 0


def _make(side: str, url: str, state_file: Path | None) -> Sandbox:
    if side == "marketplace":
        from sluice.sandbox.marketplace import MarketplaceSandbox

        return MarketplaceSandbox(state_file=state_file)
    from sluice.sandbox.increff import IncreffSandbox

    return IncreffSandbox(sluice_url=url, state_file=state_file)


def run_demo(*, url: str, increff_port: int) -> int:
    """Sends traffic until SIGTERM."""
    from sluice.demo import run

    _until_told(run(url, f"http://127.0.0.1:{increff_port}"))
    return 0


def _until_told(work: Coroutine[Any, Any, None]) -> None:
    async def run() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    uvloop.run(run())
