"""Runs a sandbox or the demo in this process, until a signal ends it."""

# ruff: noqa: PLC0415 - only the side that is asked for is imported

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from sluice.dev.sandbox.server import Sandbox, serve
from sluice.errors import StartError
from topics.configuration.private_files import UMASK, make_private


@dataclass(frozen=True, slots=True)
class IncreffOptions:
    """Options of the sandbox of Increff. `auto`: its warehouse works on its own."""

    url: str
    auto: bool
    limit_per_minute: int


def run_sandbox(side: str, *, host: str, port: int, data_dir: Path | None, increff: IncreffOptions) -> int:
    """Serve a sandbox until SIGTERM or SIGINT. Raises StartError when it cannot listen."""
    state_file = None
    if data_dir is not None:
        os.umask(UMASK)
        make_private(data_dir)
        state_file = data_dir / "state.jsonl"
    try:
        _until_signalled(serve(_make(side, state_file, increff), host, port))
    except OSError as error:
        raise StartError(
            f"the sandbox cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from error
    return 0


def _make(side: str, state_file: Path | None, increff: IncreffOptions) -> Sandbox:
    if side == "marketplace":
        from sluice.dev.sandbox.marketplace import MarketplaceSandbox

        return MarketplaceSandbox(state_file=state_file)
    from sluice.dev.sandbox.increff.sandbox import IncreffSandbox
    from sluice.dev.sandbox.increff.sluice_client import SluiceClient
    from sluice.dev.sandbox.increff.warehouse import WarehouseSettings

    return IncreffSandbox(
        SluiceClient(increff.url),
        limit_per_minute=increff.limit_per_minute,
        warehouse=WarehouseSettings(auto=increff.auto),
        state_file=state_file,
    )


def run_demo(*, url: str, admin_url: str, increff_port: int) -> int:
    """Send demo traffic until SIGTERM or SIGINT."""
    from sluice.dev.demo import run

    _until_signalled(run(url, admin_url, f"http://127.0.0.1:{increff_port}"))
    return 0


def _until_signalled(work: Coroutine[Any, Any, None]) -> None:
    async def run() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    uvloop.run(run())
