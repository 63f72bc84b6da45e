"""Processes of the benchmarks: roles as users start them, modules of `bench`, and what the system says of a process."""

from __future__ import annotations

import base64
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from sluice.demo_channels import demo_channels
from sluice.dev.local.broker import private_broker
from sluice.dev.local.ports import free_ports
from sluice.errors import StartError
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings
from topics.kafka.catalogue import BY_NAME

ROOT = Path(__file__).parents[1]
SECRET_KEY = base64.b64encode(b"key of the benchmarks, no secret").decode()
"""SLUICE_SECRET_KEY of all roles: as in a deployment, the gateway signs and the orders role does not validate again."""
ALLOCATOR = {"gateway": {"PYTHONMALLOC": "malloc"}}
"""The allocator of a role, if it is not Python's own; as in a deployment (see docs/overload.md)."""
READY_S = 120.0
LATE_SHARE_MAX = 0.05
"""A late request counts from when it was due, so lateness makes the figures worse; beyond this it makes them up."""
_POLL_S = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")
_END_S = 10.0


def quiet_client() -> None:
    """Keep the Kafka client from logging each retry against a topic that was just made."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def sayer(*, as_json: bool) -> Callable[[str], None]:
    """Return how a benchmark reports its progress: --json prints one object and nothing else."""
    return _quiet if as_json else print


def _quiet(_: str) -> None:
    pass


class CpuTimes:
    """CPU seconds of all processes of a benchmark, by the part that they play: a role, `broker`, a load, a receiver."""

    def __init__(self) -> None:
        self._running: dict[int, str] = {}
        self._seen: dict[int, float] = {}
        self._ended: defaultdict[str, float] = defaultdict(float)

    def add(self, part: str, pid: int) -> None:
        """Count a process from its start on."""
        self._running[pid] = part

    def end(self, pid: int) -> None:
        """Keep what a process has used; called before the system forgets it."""
        part = self._running.get(pid)
        if part is not None:
            used = self._look(pid)
            del self._running[pid]
            self._seen.pop(pid, None)
            self._ended[part] += used

    def now(self) -> dict[str, float]:
        """Return the seconds of each part so far, of processes that have ended, too."""
        found = defaultdict(float, self._ended)
        for pid, part in self._running.items():
            found[part] += self._look(pid)
        return dict(found)

    def _look(self, pid: int) -> float:
        """Return the seconds of a process; if it was killed and is forgotten, those of the last look."""
        with suppress(FileNotFoundError, ProcessLookupError):
            self._seen[pid] = cpu_s(pid)
        return self._seen.get(pid, 0.0)


_TIMES = CpuTimes()
CPU_LEAST_US = 0.005
"""Less than this for a unit is nothing: a server that waits for its turn has its timers."""


def watch_cpu(part: str, pid: int) -> None:
    """Have a process counted under this part by `cpu_now`."""
    _TIMES.add(part, pid)


def cpu_now() -> dict[str, float]:
    """Return the CPU seconds so far of each part of this benchmark."""
    return _TIMES.now()


def cpu_each(
    unit: str, units: float, before: Mapping[str, float], after: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return the CPU of each part for each unit of work between two moments; the second one is now unless given.

    Each benchmark reports it so: `{"unit": "post", "us": {"broker": 180.2, ...}}`. A part that did nothing is left out.
    """
    ends = cpu_now() if after is None else after
    used = {part: 1e6 * (ends[part] - before.get(part, 0.0)) / units for part in sorted(ends)} if units else {}
    return {"unit": unit, "us": {part: round(us, 2) for part, us in used.items() if us >= CPU_LEAST_US}}


def cpu_median(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the median of several turns of one side, part by part."""
    parts = sorted({part for run in runs for part in run["us"]})
    middle = {part: median(run["us"].get(part, 0.0) for run in runs) for part in parts}
    return {"unit": runs[0]["unit"], "us": {part: round(us, 2) for part, us in middle.items()}}


def cpu_text(found: Mapping[str, Any], of: str = "") -> str:
    """Return the line of the table for a `cpu_each`. `of`: which side, or when."""
    most_first = sorted(found["us"].items(), key=lambda one: -one[1])
    parts = ", ".join(f"{part} {us:,.1f}" if us >= 10 else f"{part} {us:.2f}" for part, us in most_first)
    return f"CPU us for each {found['unit']}{f' ({of})' if of else ''}: {parts}"


class VoidRunError(StartError):
    """A run did not measure what it claims; its figures say nothing."""


@contextmanager
def scratch_kafka() -> Iterator[tuple[str, Path]]:
    """Run a Kafka of the benchmark's own; yield its address and a scratch directory."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as scratch, private_broker(Path(scratch)) as broker:
        pid = broker.pid or 0
        watch_cpu("broker", pid)
        try:
            yield broker.bootstrap, Path(scratch)
        finally:
            _TIMES.end(pid)


@dataclass(frozen=True, slots=True)
class Started:
    """A role that runs. `admin_port` serves /ready, /metrics and a gateway's /api; `port` is a gateway's for
    marketplaces."""

    process: subprocess.Popen[bytes]
    port: int
    admin_port: int
    log: Path

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            if _is_ready(self.admin_port):
                return
            time.sleep(_POLL_S)
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise VoidRunError(f"{self.process.args!r} was not ready within {timeout_s:.0f} s:\n{tail}")

    def end(self) -> None:
        end(self.process)


def start_role(
    name: str, settings: Settings, directory: Path, instance: str = "0", more: Mapping[str, str] | None = None
) -> Started:
    """Start `sluice run NAME` on these settings; its log is a file in `directory`. `more` joins its environment."""
    port, admin_port = free_ports(2)
    log = directory / f"{settings.topic_prefix}-{name}-{instance}.log"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SLUICE_KAFKA": settings.kafka,
        "SLUICE_SECRET_KEY": SECRET_KEY,
        "SLUICE_TOPIC_PREFIX": settings.topic_prefix,
        "SLUICE_PARTITIONS": str(settings.partitions),
        "SLUICE_ADMIN_PORT": str(admin_port),
        "SLUICE_GATEWAY_PORT": str(port),
        "SLUICE_INSTANCE": instance,
        "SLUICE_LOG_LEVEL": "warning",
        "SLUICE_API_OPEN": "true",
        **ALLOCATOR.get(name, {}),
        **(more or {}),
    }
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "sluice", "run", name], cwd=directory, env=environment, stdout=out, stderr=out
        )
    watch_cpu(name, process.pid)
    return Started(process, port, admin_port, log)


def start_module(name: str, *arguments: str, part: str = "", **popen: Any) -> subprocess.Popen[bytes]:
    """Start a module of the benchmarks as a process, which finds the benchmarks wherever it runs. `part`: what its CPU
    is counted under, if that is not the module's name."""
    environment = {**(popen.pop("env", None) or os.environ), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", name, *arguments]
    process = subprocess.Popen(command, env=environment, **popen)  # noqa: S603 - our own module
    watch_cpu(part or name.rpartition(".")[2], process.pid)
    return process


def run_module(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Run a module of the benchmarks as a process; return the JSON object that it prints at its end."""
    return module_result(start_module(name, json.dumps(spec), stdout=subprocess.PIPE, stderr=subprocess.PIPE))


def module_result(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the JSON object that a module prints at its end. Its CPU is counted to the end."""
    with ThreadPoolExecutor(2) as reading:
        out, err = reading.map(lambda pipe: pipe.read() if pipe is not None else b"", (process.stdout, process.stderr))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    _TIMES.end(process.pid)
    if process.wait():
        raise VoidRunError(f"{process.args!r} failed: {err.decode()[-500:]}")
    found: dict[str, Any] = json.loads(out)
    return found


def late_load(load: Mapping[str, Any], what: str = "requests") -> str | None:
    """Return why a steady load measured nothing: it was late itself. None when it was in time."""
    late, offered = load["late"], load["offered"]
    return f"the load itself was late for {late} of {offered} {what}" if late > LATE_SHARE_MAX * offered else None


@contextmanager
def running(
    name: str, settings: Settings, directory: Path, instance: str = "0", more: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """Run a role: yield it once it is ready, end it afterwards."""
    started = start_role(name, settings, directory, instance, more)
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()


def end(process: subprocess.Popen[bytes]) -> None:
    _TIMES.end(process.pid)
    process.terminate()
    try:
        process.wait(timeout=_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False  # not yet: it starts, or recovers


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int, *, peak: bool = False) -> float:
    """Return the resident memory of a process, now or at its highest."""
    name = "VmHWM" if peak else "VmRSS"
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def metric(role: Started, name: str) -> float:
    """Return one value of a role's /metrics. `name` is without the prefix and the role."""
    with urllib.request.urlopen(f"http://127.0.0.1:{role.admin_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    wanted, _, label = name.partition("{")
    for line in text.splitlines():
        described, _, value = line.rpartition(" ")
        if wanted in described and label.rstrip("}") in described and not line.startswith("#"):
            return float(value)
    raise VoidRunError(f"{role.process.args!r} has no metric {name}")


def machine() -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


def demo() -> Channels:
    """Return the channels that a role has when it is given none."""
    return parse_channels(demo_channels(), where="benchmark")


def places(settings: Settings, topic: str) -> list[TopicPartition]:
    """Return all partitions of a topic of the catalogue."""
    entry = BY_NAME[topic]
    name = entry.full_name(settings.topic_prefix)
    return [TopicPartition(name, partition) for partition in range(entry.partitions or settings.partitions)]


async def held(consumer: Any, partitions: Sequence[TopicPartition]) -> int:
    """Return how many records these partitions hold."""
    return sum((await consumer.end_offsets(list(partitions))).values())


async def records_of(kafka: str, partitions: Sequence[TopicPartition]) -> list[Any]:
    """Return every record of these partitions, each partition in its order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        remaining = await held(consumer, partitions)
        consumer.assign(list(partitions))
        found: list[Any] = []
        while remaining > len(found):
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                found.extend(records)
        return found
    finally:
        await consumer.stop()
