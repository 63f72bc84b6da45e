"""`sluice inventory`, typed where its role runs, prints its help; a second `sluice run` of a name or a port ends with a
word."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.support.kafka import Kafka
from tests.support.roles import ROOT, RoleProcess
from topics.configuration.settings import load_settings
from topics.kafka import admin

CHANNELS = (
    '[increff]\nurl = "http://127.0.0.1:9"\n[channels.demo]\nfar_side = "self"\n'
    'credentials = { username = "d", password = "p" }\nincreff_credentials = { username = "s", password = "p" }\n'
    'increff_headers = { A = "b" }\n'
)


async def _typed(directory: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command that a person types beside the role."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sluice", *arguments),
        cwd=directory,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_living_worker_is_left_alone(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    settings = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=1)
    await admin.create(settings)
    (tmp_path / "channels.toml").write_text(CHANNELS)
    living = RoleProcess("inventory", settings, tmp_path)
    await living.begin()
    try:
        environment = {
            "SLUICE_KAFKA": settings.kafka,
            "SLUICE_TOPIC_PREFIX": prefix,
            "SLUICE_PARTITIONS": "1",
            "SLUICE_STATE_DIR": str(tmp_path / "state-inventory"),
            "SLUICE_CHANNELS_FILE": str(tmp_path / "channels.toml"),
        }
        code, said = await _typed(tmp_path, environment, "inventory")
        assert code != 0
        assert "Usage: " in said
        code, said = await _typed(tmp_path, environment, "run", "inventory")
        assert code == 2
        assert "Error: a worker of the inventory role with the instance name '0' runs on this machine" in said
        assert "Traceback" not in said
        assert await living.end(signal.SIGTERM) == 0, living.log()
        assert "InstanceTakenError" not in living.log()
    finally:
        await living.end(signal.SIGKILL)


@pytest.mark.parametrize(
    ("role", "option", "more"),
    [("gateway", "--port", ["--admin-port", "0"]), ("gateway", "--admin-port", []), ("orders", "--admin-port", [])],
)
async def test_a_port_in_use_is_said_without_a_traceback(
    role: str, option: str, more: list[str], kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    await admin.create(load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=1))
    (tmp_path / "channels.toml").write_text(CHANNELS)
    environment = {
        "SLUICE_KAFKA": kafka.bootstrap,
        "SLUICE_TOPIC_PREFIX": prefix,
        "SLUICE_PARTITIONS": "1",
        "SLUICE_CHANNELS_FILE": str(tmp_path / "channels.toml"),
    }
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = await _typed(tmp_path, environment, "run", role, option, port, *more)
    assert code == 2, said
    assert f"Error: port {port} is in use by another program: end it, or choose another port with {option} or" in said
    assert "Traceback" not in said
