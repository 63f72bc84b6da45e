"""`sluice up` starts everything, says how it truly is, restarts what dies, ends completely and keeps its data."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.e2e.stack import Stack
from tests.support.eventually import eventually, eventually_sync
from topics.configuration.settings import PARTITIONS

ROLES = {"gateway", "orders", "delivery", "inventory", "journal", "kafka", "sandbox-increff", "sandbox-marketplace"}
STATE = "sluice.orders.state.v1"
"""A topic nobody cleans up or reads from its middle: what a test puts there stays."""


def readable_by_others(data_dir: Path) -> set[str]:
    """Files and directories that others may do anything with; Kafka deletes some of its files all the time."""
    found = set()
    for path in (data_dir, *data_dir.rglob("*")):
        with suppress(FileNotFoundError):
            if not path.is_symlink() and path.stat().st_mode & 0o077:
                found.add(str(path))
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    everything_as_it_is_by_default = {"SLUICE_PARTITIONS": str(PARTITIONS)}
    started = Stack(tmp_path_factory.mktemp("up") / "data", everything_as_it_is_by_default)
    before = os.umask(0o022)
    (started.data_dir / "logs").mkdir(parents=True)
    (started.data_dir / "logs" / "orders.log").write_text("of a former run, for everybody\n")
    started.start()
    os.umask(before)
    yield started
    started.close()


def pids(stack: Stack) -> dict[str, int]:
    return {name: role["pid"] for name, role in stack.status()["roles"].items()}


def is_running(pid: int) -> bool:
    """Whether the process runs; one that ended and was not fetched by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def bootstrap(stack: Stack) -> str:
    return f"127.0.0.1:{stack.kafka_port}"


async def end_offset(stack: Stack) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap(stack))
    await consumer.start()
    try:
        partition = TopicPartition(STATE, 0)
        ends: dict[TopicPartition, int] = await consumer.end_offsets([partition])
        return ends[partition]
    finally:
        await consumer.stop()


def test_what_it_writes_is_its_users_only(stack: Stack) -> None:
    assert readable_by_others(stack.data_dir) == set()


async def test_the_status_names_every_role(stack: Stack) -> None:
    status: dict[str, Any] = stack.status()
    assert status["ready"] is True
    assert set(status["roles"]) == ROLES
    assert all(role["ready"] is True for role in status["roles"].values())
    assert all(is_running(pid) for pid in pids(stack).values())
    assert "Sluice is ready" in stack.tail()


@pytest.mark.parametrize("role", ["gateway", "orders", "delivery", "inventory", "journal", "sandbox-increff"])
async def test_a_killed_role_is_restarted(role: str, stack: Stack) -> None:
    before = pids(stack)
    stack.kill(role)
    await eventually(lambda: not stack.status()["ready"], what="the status says that it is not ready", every_s=0.001)
    await stack.restarted(role, before[role])
    await eventually(lambda: stack.status()["ready"], 60)
    assert {name for name, pid in pids(stack).items() if before[name] != pid} >= {role}


async def test_a_data_directory_has_one_owner(stack: Stack) -> None:
    second = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "sluice", "up", "--data-dir", str(stack.data_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 2
    assert "in use by another `sluice up`" in second.stderr
    assert stack.status()["ready"] is True


async def test_it_ends_with_a_role_that_hangs_and_keeps_its_data(stack: Stack) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap(stack), acks="all") as producer:
        await producer.send_and_wait(STATE, value=None, key=b"nobody|nothing", partition=0)
    kept = await end_offset(stack)
    before = pids(stack)
    os.kill(before["inventory"], signal.SIGSTOP)

    assert await asyncio.to_thread(stack.stop) == 0
    killed = [line for line in stack.log.read_text(encoding="utf-8").splitlines() if "did not end within" in line]
    assert "inventory" in "".join(killed)
    assert not any(is_running(pid) for pid in before.values())
    assert stack.status() == {"ready": False, "roles": {name: {"pid": None, "ready": False} for name in before}}

    await asyncio.to_thread(stack.start)
    assert await end_offset(stack) >= kept


def test_nothing_survives_a_killed_supervisor(stack: Stack) -> None:
    before = pids(stack)
    assert stack.process is not None
    stack.process.kill()
    stack.process.wait()
    eventually_sync(lambda: not any(is_running(pid) for pid in before.values()), what="every role is gone")
    eventually_sync(lambda: not stack.status()["ready"], what="the status says so")
    stack.start()
    assert stack.status()["ready"] is True
