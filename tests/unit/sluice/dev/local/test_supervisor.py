"""The supervisor keeps processes running: what ends is restarted and shown, what cannot start ends everything with a
reason, and a stop is complete and bounded even when a process ignores it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sluice.dev.local.processes import spawn
from sluice.dev.local.status import Status
from sluice.dev.local.supervisor import FAILED_STARTS_MAX, Stage, Supervisor, Unit
from tests.support.eventually import eventually, eventually_sync

OBEDIENT = "import signal; signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({mark!r}, 'w').close(); signal.pause()"
ALL = frozenset({"one", "two", "last"})


class Watched:
    """A supervisor over processes of a few lines, with what it said."""

    def __init__(self, directory: Path, units: list[Unit], stages: list[Stage] | None = None) -> None:
        self.path = directory / "status.json"
        self.said: list[tuple[str, str]] = []
        status = Status(self.path, [unit.name for unit in units if unit.name != "last"])
        self.supervisor = Supervisor(
            units, stages or [Stage(ALL, 5.0)], status, lambda name, what: self.said.append((name, what))
        )

    def status(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return read

    def pid(self, name: str) -> int | None:
        pid: int | None = self.status()["roles"][name]["pid"]
        return pid

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Supervisor]:
        running = asyncio.create_task(self.supervisor.run())
        try:
            yield self.supervisor
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.supervisor.stop()


async def ready() -> str | None:
    return None


def starter(directory: Path, code: str) -> Callable[[], subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        with (directory / "log").open("ab") as log:
            return spawn([sys.executable, "-c", code], log=log)

    return start


def unit(directory: Path, name: str, code: str = OBEDIENT, **more: Any) -> Unit:
    return Unit(name, starter(directory, code), **{"probe": ready, **more})


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_killed_process_is_shown_at_once_and_restarted(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [unit(tmp_path, "one"), unit(tmp_path, "two")])
    async with watched.running() as supervisor:
        await asyncio.wait_for(supervisor.wait_ready(), 30)
        assert watched.status()["ready"] is True
        first, other = watched.pid("one"), watched.pid("two")
        assert first is not None

        os.kill(first, signal.SIGKILL)

        await eventually(lambda: not watched.status()["ready"])
        await eventually(lambda: watched.status()["ready"])
        assert watched.pid("one") not in {first, None}
        assert watched.pid("two") == other
    assert any(name == "one" and "SIGKILL" in what for name, what in watched.said)


async def test_ready_needs_every_unit(tmp_path: Path) -> None:
    reason: list[str | None] = ["recovers its table"]

    async def slow() -> str | None:
        return reason[0]

    watched = Watched(tmp_path, [unit(tmp_path, "one"), unit(tmp_path, "two", probe=slow)])
    async with watched.running() as supervisor:
        await eventually(lambda: watched.status()["roles"]["one"]["ready"])
        assert watched.status()["ready"] is False
        reason[0] = None
        await asyncio.wait_for(supervisor.wait_ready(), 30)
        reason[0] = "lost Kafka"
        await eventually(lambda: not watched.status()["ready"])
    assert ("two", "not ready: lost Kafka") in watched.said


async def test_what_never_starts_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    async def never() -> str | None:
        return "is starting"

    watched = Watched(tmp_path, [unit(tmp_path, "one", "raise SystemExit(3)", probe=never)])
    await asyncio.wait_for(watched.supervisor.run(), 60)
    assert watched.supervisor.failure is not None
    assert f"{FAILED_STARTS_MAX} starts failed (exit code 3)" in watched.supervisor.failure


async def test_an_unusable_configuration_is_not_tried_again(tmp_path: Path) -> None:
    async def never() -> str | None:
        return "is starting"

    watched = Watched(tmp_path, [unit(tmp_path, "one", "raise SystemExit(2)", probe=never), unit(tmp_path, "two")])
    await asyncio.wait_for(watched.supervisor.run(), 30)
    await watched.supervisor.stop()
    assert watched.supervisor.failure == "one cannot be started: its configuration cannot be used (exit code 2)"
    assert watched.pid("two") is None
    assert not watched.said


async def test_a_stop_goes_stage_by_stage_and_kills_what_does_not_end(tmp_path: Path) -> None:
    mark = tmp_path / "ignores"
    stages = [Stage(frozenset({"one"}), 0.2), Stage(frozenset({"two"}), 5.0)]
    units = [unit(tmp_path, "one", STUBBORN.format(mark=str(mark))), unit(tmp_path, "two")]
    watched = Watched(tmp_path, units, stages)
    async with watched.running() as supervisor:
        await asyncio.wait_for(supervisor.wait_ready(), 30)
        await eventually(mark.exists)
        pids = [pid for pid in (watched.pid("one"), watched.pid("two")) if pid is not None]
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)
    assert watched.said == [("one", "did not end within 0.2 s: killed")]
    assert watched.status() == {
        "ready": False,
        "roles": {"one": {"pid": None, "ready": False}, "two": {"pid": None, "ready": False}},
    }


async def test_a_stage_with_a_lead_does_not_hold_up_the_next(tmp_path: Path) -> None:
    mark = tmp_path / "ignores"
    stages = [Stage(frozenset({"one"}), grace_s=1.0, lead_s=0.05), Stage(frozenset({"two"}), 5.0)]
    units = [unit(tmp_path, "one", STUBBORN.format(mark=str(mark))), unit(tmp_path, "two")]
    watched = Watched(tmp_path, units, stages)
    async with watched.running() as supervisor:
        await asyncio.wait_for(supervisor.wait_ready(), 30)
        await eventually(mark.exists)
        stopping = asyncio.create_task(supervisor.stop())
        await eventually(lambda: watched.pid("two") is None)
        assert watched.pid("one") is not None
        await stopping
    assert watched.pid("one") is None


async def test_the_last_unit_waits_for_the_others_and_stays_out_of_the_status(tmp_path: Path) -> None:
    started = tmp_path / "started"
    reason: list[str | None] = ["is starting"]

    async def slow() -> str | None:
        return reason[0]

    last = unit(tmp_path, "last", f"open({str(started)!r}, 'w').close(); {OBEDIENT}", last=True)
    watched = Watched(tmp_path, [unit(tmp_path, "one", probe=slow), last])
    async with watched.running() as supervisor:
        await eventually(lambda: watched.pid("one"))
        assert not started.exists()
        reason[0] = None
        await asyncio.wait_for(supervisor.wait_ready(), 30)
        await eventually(started.exists)
    assert list(watched.status()["roles"]) == ["one"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux' own")
def test_children_do_not_survive_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    parent.wait()
    eventually_sync(lambda: not is_alive(child) or _is_zombie(child), what="the child is gone")


_PARENT = f"""
import pathlib, sys, signal
from sluice.dev.local.processes import spawn
with pathlib.Path(sys.argv[1]).open("ab") as log:
    print(spawn([sys.executable, "-c", {OBEDIENT!r}], log=log).pid, flush=True)
signal.pause()
"""


def _is_zombie(pid: int) -> bool:
    """Dead, but not yet fetched by whoever inherits it (in a container often nobody)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
