"""Roles as processes of their own, as anybody would start them, and what the system says of a process."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from sluice.demo_channels import demo_channels
from sluice.dev.local.ports import free_ports
from sluice.errors import StartError
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings
from topics.kafka.catalogue import BY_NAME

ROOT = Path(__file__).parents[1]
READY_S = 120.0
_POLL_S = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")
_END_S = 10.0


def quiet_client() -> None:
    """The client reports each retry against a topic that was just made; a benchmark says what it measured."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def sayer(*, as_json: bool) -> Callable[[str], None]:
    """How a benchmark tells what it does: --json prints one object and nothing else."""
    return _quiet if as_json else print


def _quiet(_: str) -> None:
    pass


class VoidRunError(StartError):
    """What was measured is not what was claimed."""


@dataclass(frozen=True, slots=True)
class Started:
    """A role that runs. `port` is where it answers /ready and /metrics; a gateway answers everything there."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            if _is_ready(self.port):
                return
            time.sleep(_POLL_S)
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise VoidRunError(f"{self.process.args!r} was not ready within {timeout_s:.0f} s:\n{tail}")

    def end(self) -> None:
        end(self.process)


def start_role(
    name: str, settings: Settings, directory: Path, instance: str = "0", more: Mapping[str, str] | None = None
) -> Started:
    """`sluice NAME` on these settings; its log is a file in `directory`. `more`: of its environment."""
    (port,) = free_ports(1)
    log = directory / f"{settings.topic_prefix}-{name}-{instance}.log"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SLUICE_KAFKA": settings.kafka,
        "SLUICE_TOPIC_PREFIX": settings.topic_prefix,
        "SLUICE_PARTITIONS": str(settings.partitions),
        "SLUICE_ADMIN_PORT": str(port),
        "SLUICE_GATEWAY_PORT": str(port),
        "SLUICE_INSTANCE": instance,
        "SLUICE_LOG_LEVEL": "warning",
        **(more or {}),
    }
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "sluice", name], cwd=directory, env=environment, stdout=out, stderr=out
        )
    return Started(process, port, log)


@contextmanager
def running(
    name: str, settings: Settings, directory: Path, instance: str = "0", more: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """A role that is ready, and gone at the end."""
    started = start_role(name, settings, directory, instance, more)
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()


def end(process: subprocess.Popen[bytes]) -> None:
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
    """CPU seconds of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int, *, peak: bool = False) -> float:
    """Resident memory of a process, now or at its highest."""
    name = "VmHWM" if peak else "VmRSS"
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def metric(role: Started, name: str) -> float:
    """One value of a role's /metrics; its name without the prefix and role."""
    with urllib.request.urlopen(f"http://127.0.0.1:{role.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    wanted, _, label = name.partition("{")
    for line in text.splitlines():
        described, _, told = line.rpartition(" ")
        if wanted in described and label.rstrip("}") in described and not line.startswith("#"):
            return float(told)
    raise VoidRunError(f"{role.process.args!r} has no metric {name}")


def machine() -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


def demo() -> Channels:
    """The channels that a role has when it is given none."""
    return parse_channels(demo_channels(), where="benchmark")


def places(settings: Settings, topic: str) -> list[TopicPartition]:
    """All partitions of a topic of the catalogue."""
    entry = BY_NAME[topic]
    name = entry.full_name(settings.topic_prefix)
    return [TopicPartition(name, partition) for partition in range(entry.partitions or settings.partitions)]


async def held(consumer: Any, partitions: Sequence[TopicPartition]) -> int:
    """Records that these partitions hold."""
    return sum((await consumer.end_offsets(list(partitions))).values())


async def records_of(kafka: str, partitions: Sequence[TopicPartition]) -> list[Any]:
    """Every record of these partitions, each partition in its order."""
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
