"""Starting a sandbox in this process: what `sluice sandbox increff|marketplace` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sluice.sandbox import increff as increff_side
from sluice.sandbox import marketplace as marketplace_side
from sluice.sandbox import sluice_client
from sluice.sandbox.increff import IncreffSandbox
from sluice.sandbox.marketplace import MarketplaceSandbox
from sluice.sandbox.rate_limit import REQUESTS_PER_WINDOW
from sluice.sandbox.server import serve
from sluice.sandbox.sluice_client import SluiceClient
from sluice.sandbox.warehouse import STEP_DELAY_S, WarehouseSettings


async def run_increff(
    host: str = "127.0.0.1",
    port: int = 8091,
    *,
    sluice_url: str = "http://127.0.0.1:8080",
    channel: str = "demo",
    credentials: Mapping[str, str] = increff_side.DEMO_CREDENTIALS,
    sluice_headers: Mapping[str, str] = sluice_client.DEMO_HEADERS,
    bootstrap_headers: Mapping[str, str] = sluice_client.DEMO_BOOTSTRAP,
    limit_per_minute: int = REQUESTS_PER_WINDOW,
    auto: bool = False,
    step_delay_s: float = STEP_DELAY_S,
    state_file: Path | None = None,
) -> None:
    """Serves until cancelled. `credentials`: the header triple it wants; `sluice_headers`: what it sends to Sluice."""
    client = SluiceClient(sluice_url, channel, headers=sluice_headers, bootstrap_headers=bootstrap_headers)
    sandbox = IncreffSandbox(
        client,
        credentials=credentials,
        limit_per_minute=limit_per_minute,
        warehouse=WarehouseSettings(auto=auto, step_delay_s=step_delay_s),
        state_file=state_file,
    )
    await serve(sandbox, host, port)


async def run_marketplace(
    host: str = "127.0.0.1",
    port: int = 8092,
    *,
    headers: Mapping[str, str] = marketplace_side.DEMO_HEADERS,
    bootstrap_headers: Mapping[str, str] = marketplace_side.DEMO_BOOTSTRAP,
    state_file: Path | None = None,
) -> None:
    """Serves until cancelled. `headers`: the static pairs it wants from Sluice."""
    sandbox = MarketplaceSandbox(headers=headers, bootstrap_headers=bootstrap_headers, state_file=state_file)
    await serve(sandbox, host, port)
