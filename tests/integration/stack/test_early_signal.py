"""A signal that comes while a role still starts ends it with exit code 0 and without a traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.dev.local.ports import free_ports
from tests.integration.stack.test_second_role import CHANNELS
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.roles import ROOT
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import load_settings
from topics.kafka import admin


async def _signalled(directory: Path, role: str, kafka: str, prefix: str, when: Callable[[str, int], bool]) -> str:
    """The log of a role that got SIGTERM as soon as `when` was true of its log and admin port. Its exit code was 0."""
    (port,) = free_ports(1)
    file, log = directory / "channels.toml", directory / "role.log"
    file.write_text(CHANNELS)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    more = {"PYTHONPATH": str(ROOT), "SLUICE_KAFKA": kafka, "SLUICE_TOPIC_PREFIX": prefix, "SLUICE_PARTITIONS": "1"}
    more |= {"SLUICE_CHANNELS_FILE": str(file), "SLUICE_ADMIN_PORT": str(port)}
    command = [sys.executable, "-m", "sluice", "run", role]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=directory, env={**clean, **more}, stdout=output, stderr=output
        )
    try:
        await eventually(lambda: when(log.read_text(), port), 60, what=log.read_text)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0, log.read_text()
        return log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _listens(_log: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("role", ["orders", "inventory", "delivery"])
async def test_before_a_worker_has_joined(role: str, kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "channels.toml").write_text(CHANNELS)
    settings = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=1)
    await admin.create(settings, load_channels(tmp_path / "channels.toml", default={}))
    log = await _signalled(tmp_path, role, kafka.bootstrap, prefix, _listens)
    assert "draining" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("role", ["gateway", "inventory"])
async def test_while_kafka_is_waited_for(role: str, tmp_path: Path) -> None:
    (nobody,) = free_ports(1)

    def has_waited(log: str, _port: int) -> bool:
        return "waiting for Kafka" in log

    log = await _signalled(tmp_path, role, f"127.0.0.1:{nobody}", "x", has_waited)
    assert "Traceback" not in log
    assert '"error"' not in log
    assert log.count("\n") == 2, log  # its form, and what it waits for
