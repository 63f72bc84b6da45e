"""What stands around the stock that is measured: a channel to take it, the two roles it passes, a load to move it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.delivery.peers import run_peer
from bench.inventory.job import Oracle, Work, different
from bench.processes import READY_S, Started, VoidRunError, end, running
from sluice.demo_channels import demo_channels
from sluice.dev.local.ports import free_ports
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create

POLL_S = 0.2
"""Between two looks at the channel: to be looked at costs it, too."""
STALL_S = 45.0
"""The channel was told nothing for so long, and still knows something else: it never will."""
LATE_SHARE_MAX = 0.05
"""A late batch counts from when it was due, so lateness makes the figures worse; beyond this it makes them up."""


class Channel:
    """The receiving process, as the benchmark talks to it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def begin(self, latency_ms: float = 0.0) -> None:
        """Forget what was told, and answer after so long from now on."""
        self._ask(f"_begin?{latency_ms}")

    def count_anew(self) -> None:
        self._ask("_anew")

    def told(self) -> dict[str, int]:
        told: dict[str, int] = self._ask("_told")
        return told

    def gone(self) -> dict[str, float]:
        """SKU -> when the channel was first told that it is out of stock, epoch milliseconds."""
        gone: dict[str, float] = self._ask("_gone")
        return gone

    def wait(self, oracle: Oracle) -> float:
        """Seconds until the channel was told the last of what the oracle knows. Void when it stays with something else.

        All that it knows is compared only when nothing came since the last look: a comparison takes a processor."""
        began, positions = time.monotonic(), -1
        moved = began
        while True:
            before, positions = positions, self.told()["positions"]
            if positions != before:
                moved = time.monotonic()
            elif not (differing := different(self._ask("_stock"), oracle)):
                return moved - began
            elif time.monotonic() - moved > STALL_S:
                raise VoidRunError(f"void: {differing} positions at the channel are not the oracle's, and stay so")
            time.sleep(POLL_S)

    def check(self) -> None:
        backwards = self.told()["backwards"]
        if backwards:
            raise VoidRunError(f"void: {backwards} positions went back on the wire")

    def _ask(self, what: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=10) as answer:
            return json.load(answer)


@contextmanager
def channel() -> Iterator[Channel]:
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-m", "bench.inventory.receiver", str(port)])  # noqa: S603 - our own
    try:
        one = Channel(process, port)
        _wait_ready(one)
        yield one
    finally:
        end(process)


def _wait_ready(one: Channel) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and one.process.poll() is None:
        try:
            one.told()
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)  # not yet: it starts
        else:
            return
    raise VoidRunError("the channel did not start")


@dataclass(frozen=True, slots=True)
class Stage:
    """The roles that run, their topics, and what of the environment another role needs to know their channel."""

    settings: Settings
    more: Mapping[str, str]
    inventory: Started
    delivery: Started

    def load(self, work: Work, per_s: float | None = None) -> dict[str, Any]:
        """The day's batches at that rate; without one, the shelf."""
        spec = {"kafka": self.settings.kafka, "prefix": self.settings.topic_prefix, "work": asdict(work)}
        return run_peer("bench.inventory.load", {**spec, "per_s": per_s})


@contextmanager
def stage(kafka: str, directory: Path, name: str, url: str, requests: int, window_s: float = 1.0) -> Iterator[Stage]:
    """Both roles, and a channel at `url` that takes so many requests in so many seconds. It is in `NAME.toml`."""
    file = directory / f"{name}.toml"
    file.write_text(channels_toml(url, requests, window_s), encoding="utf-8")
    settings = load_settings(kafka=kafka, topic_prefix=f"bench-{name}")
    asyncio.run(create(settings, load_channels(file)))
    more = {"SLUICE_CHANNELS_FILE": str(file)}
    with ExitStack() as stack:
        inventory, delivery = (
            stack.enter_context(running(role, settings, directory, more=more)) for role in ("inventory", "delivery")
        )
        yield Stage(settings, more, inventory, delivery)


def channels_toml(url: str, requests: int, window_s: float = 1.0) -> str:
    """The demo channel, with a marketplace elsewhere."""
    data = demo_channels()
    data["channels"]["demo"]["marketplace"] = {"url": url, "budget": {"requests": requests, "window_s": window_s}}
    return "\n".join(_tables(data))


def _tables(data: dict[str, Any], above: str = "") -> Iterator[str]:
    """As TOML; of the demo channel's data, which has tables, texts, numbers and lists of texts."""
    if above:
        yield f"[{above}]"
    for name, value in data.items():
        if not isinstance(value, dict):
            yield f"{name} = {json.dumps(value)}"
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _tables(value, f"{above}.{name}" if above else name)


def void_because(load: dict[str, Any]) -> str | None:
    """Why a load measured nothing; None when it did."""
    late, offered = load["late"], load["offered"]
    return f"the load itself was late for {late} of {offered} batches" if late > LATE_SHARE_MAX * offered else None
