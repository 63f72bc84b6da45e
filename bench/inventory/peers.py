"""The processes around the stock that is measured: a channel to receive it, two roles to pass, a load to move it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.delivery.peers import ReceiverProcess, receiving
from bench.inventory.job import Oracle, StockWork, different
from bench.processes import Started, VoidRunError, run_module, running
from sluice.demo_channels import demo_channels
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create

POLL_S = 0.2
"""Pause between two questions to the channel: each costs it time."""
STALL_S = 45.0
"""A channel that has received nothing for so long, and still differs from the oracle, always will."""


class Channel(ReceiverProcess):
    """The channel that receives stock (bench.inventory.receiver)."""

    def count_anew(self) -> None:
        self.ask("_anew")

    def gone(self) -> dict[str, float]:
        """SKU -> when the channel first received that it is out of stock, epoch milliseconds."""
        gone: dict[str, float] = self.ask("_gone")
        return gone

    def wait(self, oracle: Oracle) -> float:
        """Return the seconds until the channel has received all that the oracle knows; void when it never does.

        The whole stock is compared only when nothing has arrived since the last look: a comparison takes a processor.
        """
        began, positions = time.monotonic(), -1
        moved = began
        while True:
            before, positions = positions, self.counts()["positions"]
            if positions != before:
                moved = time.monotonic()
            elif not (differing := different(self.ask("_stock"), oracle)):
                return moved - began
            elif time.monotonic() - moved > STALL_S:
                raise VoidRunError(f"void: {differing} positions at the channel are not the oracle's, and stay so")
            time.sleep(POLL_S)

    def check(self) -> None:
        backwards = self.counts()["backwards"]
        if backwards:
            raise VoidRunError(f"void: {backwards} positions went back on the wire")


@contextmanager
def channel() -> Iterator[Channel]:
    with receiving("bench.inventory.receiver", Channel) as one:
        yield one


@dataclass(frozen=True, slots=True)
class Stage:
    """The roles that run, their topics, and the environment that another role needs to know their channel."""

    settings: Settings
    more: Mapping[str, str]
    inventory: Started
    delivery: Started

    def load(self, work: StockWork, per_s: float | None = None) -> dict[str, Any]:
        """Produce the day's batches at that rate; without one, the shelf."""
        spec = {"kafka": self.settings.kafka, "prefix": self.settings.topic_prefix, "work": asdict(work)}
        return run_module("bench.inventory.load", {**spec, "per_s": per_s})


@contextmanager
def stage(kafka: str, directory: Path, name: str, url: str, requests: int, window_s: float = 1.0) -> Iterator[Stage]:
    """Run both roles, with a channel at `url` that takes so many requests in so many seconds (in `NAME.toml`)."""
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
    """Return the demo channel with a marketplace elsewhere."""
    data = demo_channels()
    data["channels"]["demo"]["marketplace"] = {"url": url, "budget": {"requests": requests, "window_s": window_s}}
    return "\n".join(_tables(data))


def _tables(data: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield lines of TOML. The demo channel's data has tables, texts, numbers and lists of texts."""
    if above:
        yield f"[{above}]"
    for name, value in data.items():
        if not isinstance(value, dict):
            yield f"{name} = {json.dumps(value)}"
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _tables(value, f"{above}.{name}" if above else name)
