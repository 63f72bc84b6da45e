"""Supervisor of processes: starts them, probes their readiness, restarts those that end, stops all in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sluice.dev.local.processes import exit_reason
from sluice.dev.local.status import Status

RESTART_FIRST_S = 0.2
"""Delay of the first restart, which comes nearly at once: most crashes happen once."""
RESTART_MAX_S = 5.0
"""Longest delay of a restart: rare enough to cost nothing, frequent enough to be back soon."""
STEADY_S = 20.0
"""A process that ran this long was healthy: its next end counts as the first."""
FAILED_STARTS_MAX = 5
"""After so many ends of a role that was never ready, everything stops and says why."""
UNUSABLE = 2
"""Exit code for an unusable configuration: another start would end the same way."""
PROBE_TIMEOUT_S = 2.0
PROBE_STARTING_S = 0.1
PROBE_READY_S = 0.5
"""Intervals of the probe: short while a role starts, longer once it is ready."""

Probe = Callable[[], Awaitable[str | None]]
"""Returns None when ready, else the reason why not."""


@dataclass(frozen=True)
class Unit:
    """One process to keep running. `start` is None when it is only probed (a Kafka elsewhere)."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]] | None
    probe: Probe
    last: bool = False
    """Whether it starts only when every other unit is ready."""


@dataclass(frozen=True)
class Stage:
    """Units that are asked to end together; after `grace_s` they are killed.

    The next stage begins after `lead_s`; with None, when these and all units before them have ended.
    """

    names: frozenset[str]
    grace_s: float
    lead_s: float | None = None


@dataclass
class _Run:
    """One process of a unit, from its start to its end."""

    process: subprocess.Popen[bytes] | None
    began: float = field(default_factory=time.monotonic)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    reason: str = "is starting"
    """The reason why it is not ready."""

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def is_over(self) -> bool:
        return self.process is not None and self.process.poll() is not None


class Supervisor:
    """Keeps `units` running until `run` is cancelled or a unit fails; calls `on_change(name, what)` for each change."""

    def __init__(
        self,
        units: Sequence[Unit],
        stages: Sequence[Stage],
        status: Status,
        on_change: Callable[[str, str], None],
    ) -> None:
        self._units = units
        self._stages = stages
        self._status = status
        self._on_change = on_change
        self._runs: dict[str, _Run] = {}
        self._stopping = False
        self._was_ready: set[str] = set()
        self._changed = asyncio.Event()
        self.failure: str | None = None

    def is_ready(self) -> bool:
        """Whether every unit is ready now, those outside the status file included."""
        return all(self._is_unit_ready(unit.name) for unit in self._units)

    def _is_unit_ready(self, name: str) -> bool:
        return name in self._runs and self._runs[name].ready

    def waiting_for(self) -> dict[str, str]:
        """Return the units that are not ready, each with the reason."""
        runs = ((unit.name, self._runs.get(unit.name)) for unit in self._units)
        return {name: run.reason if run else "is not started yet" for name, run in runs if run is None or not run.ready}

    async def wait_for(self, name: str) -> None:
        """Return when the unit is ready."""
        await self._wait_until(lambda: self._is_unit_ready(name))

    async def wait_ready(self) -> None:
        """Return when every unit is ready."""
        await self._wait_until(self.is_ready)

    async def run(self) -> None:
        """Run until cancelled, or until a unit cannot be kept running; `failure` then says which and why."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        try:
            async with asyncio.TaskGroup() as tasks:
                keepers = [tasks.create_task(self._keep(unit)) for unit in self._units]
                await self._wait_until(lambda: self.failure is not None)
                for keeper in keepers:
                    keeper.cancel()
        finally:
            self._stopping = True
            loop.remove_signal_handler(signal.SIGCHLD)

    async def stop(self) -> None:
        """End all units, stage by stage; kill those that do not end in time."""
        self._stopping = True
        for unit in self._units:
            self._status.set(unit.name, pid=self._pid(unit.name), ready=False)
        ending: set[asyncio.Task[None]] = set()
        for stage in self._stages:
            ending.add(asyncio.create_task(self._stop_stage(stage)))
            await asyncio.wait(ending, timeout=stage.lead_s)
        await asyncio.gather(*ending)

    def kill(self) -> None:
        """Kill everything at once."""
        self._stopping = True
        for run in self._runs.values():
            _signal(run, signal.SIGKILL)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def _keep(self, unit: Unit) -> None:
        failures = 0
        if unit.last:
            await self._wait_until(
                lambda: all(self._is_unit_ready(other.name) for other in self._units if not other.last)
            )
        while True:
            run = self._spawn(unit)
            await self._attend(unit, run)
            failures = 1 if time.monotonic() - run.began > STEADY_S else failures + 1
            if self._is_hopeless(unit, run, failures):
                return
            delay = min(RESTART_MAX_S, RESTART_FIRST_S * 2 ** (failures - 1))
            self._on_change(unit.name, f"ended ({_reason(run)}), starts again in {delay:.1f} s")
            await asyncio.sleep(delay)

    async def _attend(self, unit: Unit, run: _Run) -> None:
        """Return when the process has ended, by its signal or by the probe."""
        prober = asyncio.create_task(self._watch(unit, run))
        ended = asyncio.create_task(run.ended.wait())
        try:
            await asyncio.wait({prober, ended}, return_when=asyncio.FIRST_COMPLETED)
            if prober.done():
                prober.result()  # raise the exception of a probe: a fault in it must not stay unseen
        finally:
            prober.cancel()
            ended.cancel()

    def _spawn(self, unit: Unit) -> _Run:
        run = _Run(unit.start() if unit.start is not None else None)
        self._runs[unit.name] = run
        self._status.set(unit.name, pid=run.pid, ready=False)
        return run

    def _is_hopeless(self, unit: Unit, run: _Run, failures: int) -> bool:
        if unit.name in self._was_ready:
            return False
        unusable = run.process is not None and run.process.returncode == UNUSABLE
        if not unusable and failures < FAILED_STARTS_MAX:
            return False
        tries = "its configuration cannot be used" if unusable else f"{failures} starts failed"
        self.failure = f"{unit.name} cannot be started: {tries} ({_reason(run)})"
        self._changed.set()
        return True

    async def _watch(self, unit: Unit, run: _Run) -> None:
        """Probe the readiness of one process until it ends."""
        while not run.ended.is_set():
            try:
                reason = await asyncio.wait_for(unit.probe(), PROBE_TIMEOUT_S)
            except TimeoutError:
                reason = "does not answer"
            if run.is_over():
                self._note_end(unit.name, run)
                return
            self._note_answer(unit.name, run, reason)
            await asyncio.sleep(PROBE_READY_S if run.ready else PROBE_STARTING_S)

    def _note_answer(self, name: str, run: _Run, reason: str | None) -> None:
        ready = reason is None
        run.reason = reason or ""
        if ready == run.ready or self._stopping:
            return
        run.ready = ready
        self._status.set(name, pid=run.pid, ready=ready)
        if not ready:
            self._on_change(name, f"not ready: {reason}")
        elif name in self._was_ready:
            self._on_change(name, "ready again")
        if ready:
            self._was_ready.add(name)
        self._changed.set()

    def _reap(self) -> None:
        """Note at once that a child ended (SIGCHLD), not at the next probe."""
        for name, run in self._runs.items():
            if run.is_over():
                self._note_end(name, run)

    def _note_end(self, name: str, run: _Run) -> None:
        if run.ended.is_set():
            return
        run.ready = False
        self._status.set(name, pid=None, ready=False)
        run.ended.set()
        self._changed.set()

    async def _stop_stage(self, stage: Stage) -> None:
        runs = {name: run for name, run in self._runs.items() if name in stage.names and not run.is_over()}
        for run in runs.values():
            _signal(run, signal.SIGTERM)
        deadline = time.monotonic() + stage.grace_s
        while time.monotonic() < deadline and not all(run.is_over() for run in runs.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for name, run in runs.items():
            if not run.is_over() and run.process is not None:
                self._on_change(name, f"did not end within {stage.grace_s:g} s: killed")
                _signal(run, signal.SIGKILL)
                run.process.wait()
            self._status.set(name, pid=None, ready=False)

    def _pid(self, name: str) -> int | None:
        run = self._runs.get(name)
        return None if run is None or run.is_over() else run.pid


def _signal(run: _Run, number: signal.Signals) -> None:
    """Signal the whole session of the process, so that its children end, too."""
    if run.process is None or run.process.poll() is not None:
        return
    with suppress(ProcessLookupError):  # it has just ended
        os.killpg(run.process.pid, number)


def _reason(run: _Run) -> str:
    return "unknown" if run.process is None or run.process.returncode is None else exit_reason(run.process.returncode)
