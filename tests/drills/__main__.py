"""`python -m tests.drills [HEALTHY_S]`: healthy traffic raises no alert; each fault raises its own, in time, and what
its page says ends it. Half an hour; CommandsRejected ends only a quarter of an hour after its last record."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from monitoring.catalogue import ALERTS
from tests.drills.drills import ROUNDS, Drill
from tests.drills.prometheus import Prometheus, prometheus
from tests.e2e.stack import Stack

HEALTHY_S = 600.0
TARGETS = 5
LOOK_S = 2.0
START_S = 60.0


def say(text: str) -> None:
    print(text, flush=True)


async def _waited(prometheus_: Prometheus, alert: str, *, fires: bool, within_s: float) -> float | None:
    """Seconds until the alert fires, or does not any more; None: not in time."""
    began = time.monotonic()
    while (alert in await asyncio.to_thread(prometheus_.firing)) != fires:
        if time.monotonic() - began > within_s:
            return None
        await asyncio.sleep(LOOK_S)
    return time.monotonic() - began


async def _healthy(at: Prometheus, seconds: float) -> list[str]:
    began, faults = time.monotonic(), []
    while time.monotonic() - began < START_S and at.targets_up() < TARGETS:  # noqa: ASYNC110 - a server's state
        await asyncio.sleep(LOOK_S)
    say(f"{at.targets_up()} targets answer; healthy traffic for {seconds:.0f} s")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        firing = await asyncio.to_thread(at.firing)
        faults += [f"healthy traffic: {name} fired: {labels}" for name, labels in firing.items()]
        if faults:
            break
        await asyncio.sleep(LOOK_S)
    return faults


async def _round(stack: Stack, at: Prometheus, drills: Sequence[Drill]) -> list[str]:
    faults: list[str] = []
    for drill in drills:
        await drill.fault(stack)
    found = await asyncio.gather(*(_waited(at, drill.alert, fires=True, within_s=drill.within_s) for drill in drills))
    for drill, seconds in zip(drills, found, strict=True):
        say(f"{drill.alert}: {'did not fire' if seconds is None else f'fired after {seconds:.0f} s'}")
        if seconds is None:
            faults.append(f"{drill.alert} did not fire within {drill.within_s:.0f} s")
    for drill in drills:
        await drill.end(stack)
    over = await asyncio.gather(*(_waited(at, drill.alert, fires=False, within_s=drill.over_s) for drill in drills))
    for drill, seconds in zip(drills, over, strict=True):
        say(f"{drill.alert}: {'goes on' if seconds is None else f'over after {seconds:.0f} s'}")
        if seconds is None:
            faults.append(f"{drill.alert} is not over after {drill.over_s:.0f} s")
    return faults


async def _all(stack: Stack, at: Prometheus, healthy_s: float) -> list[str]:
    faults = await _healthy(at, healthy_s)
    for drills in ROUNDS:
        faults += await _round(stack, at, drills)
    return faults


def main(arguments: Sequence[str]) -> int:
    unknown = {drill.alert for drills in ROUNDS for drill in drills} - {alert.name for alert in ALERTS}
    assert not unknown, unknown
    healthy_s = float(arguments[0]) if arguments else HEALTHY_S
    with tempfile.TemporaryDirectory(prefix="sluice-drills-") as scratch:
        stack = Stack(Path(scratch) / "data")
        try:
            stack.start("--demo")
            with prometheus(stack.data_dir, Path(scratch)) as at:
                faults = asyncio.run(_all(stack, at, healthy_s))
        finally:
            stack.close()
    for fault in faults:
        say(f"FAULT: {fault}")
    say("all drills went as their pages say" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
