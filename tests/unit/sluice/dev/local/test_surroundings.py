"""What a machine lacks is said in a line that names what to install; what is busy, by the option that changes it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.errors import InvalidReplicationFactorError, KafkaConnectionError

from sluice.demo_channels import demo_channels
from sluice.dev.local import jars
from sluice.dev.local.ports import free_ports, is_free
from sluice.dev.local.stack import UpOptions, check_surroundings, rotate
from sluice.dev.local.status import Status
from sluice.dev.local.up import make_topics, up
from sluice.errors import StartError
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import GATEWAYS_MAX, Settings
from topics.kafka import admin
from topics.kafka.catalogue import BY_NAME

ROOT = Path(__file__).resolve().parents[5]
DEMO = parse_channels(demo_channels(), where="demo")


def program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on its PATH but this directory, and an empty cache."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return programs


def options(directory: Path, **changes: object) -> UpOptions:
    port, admin_port, kafka_port, increff_port, marketplace_port = free_ports(5)
    values = {
        "data_dir": directory / "data",
        "demo": False,
        "port": port,
        "admin_port": admin_port,
        "gateways": 1,
        "kafka_port": kafka_port,
        "kafka": None,
        "increff_port": increff_port,
        "marketplace_port": marketplace_port,
        "channels": None,
    }
    return UpOptions(**{**values, **changes})  # type: ignore[arg-type]


def test_missing_java_names_its_package(bare: Path) -> None:
    with pytest.raises(StartError, match="apt install openjdk-17-jre-headless"):
        jars.find_java()


def test_old_java_is_refused(bare: Path) -> None:
    program(bare, "java", """echo 'openjdk version "11.0.20" 2023-07-18' >&2""")
    with pytest.raises(StartError, match=r"is Java 11: Kafka needs Java 17"):
        jars.find_java()


def test_ancient_java_counts_differently(bare: Path) -> None:
    program(bare, "java", """echo 'java version "1.8.0_392"' >&2""")
    with pytest.raises(StartError, match="is Java 8"):
        jars.find_java()


def test_new_java_will_do(bare: Path) -> None:
    program(bare, "java", """echo 'openjdk version "21" 2023-09-19' >&2""")
    assert jars.find_java() == str(bare / "java")


def test_missing_maven_names_its_package(bare: Path) -> None:
    with pytest.raises(StartError, match="apt install maven"):
        jars.ensure_jars()


def test_a_failed_download_leaves_no_half_filled_cache(bare: Path) -> None:
    program(bare, "java", """echo 'openjdk version "17.0.1"' >&2""")
    program(bare, "mvn", "echo 'repository not reachable'; exit 1")
    with pytest.raises(StartError, match="repository not reachable"):
        jars.ensure_jars()
    assert not jars.cache_dir().exists()
    assert list(jars.cache_dir().parent.iterdir()) == []


def test_a_busy_port_names_its_option(tmp_path: Path) -> None:
    wanted = options(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", wanted.increff_port))
        taken.listen()
        with pytest.raises(StartError, match=rf"port {wanted.increff_port} is in use by another program") as refused:
            up(wanted)
    assert "`sluice up --increff-port PORT`" in str(refused.value)
    assert "`make run UP='--increff-port PORT'`" in str(refused.value)


async def test_too_many_gateways_are_refused(tmp_path: Path) -> None:
    assert BY_NAME["replies"].partitions == GATEWAYS_MAX
    with pytest.raises(StartError, match="--gateways 17: at most 16"):
        await check_surroundings(options(tmp_path, gateways=17))


def test_make_run_hands_options_on() -> None:
    command = ["make", "--dry-run", "--no-print-directory", "run", "UP=--port 8081"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "exec .venv/bin/sluice up --demo --port 8081"


def test_one_port_for_two_is_refused(tmp_path: Path) -> None:
    wanted = options(tmp_path)
    with pytest.raises(StartError, match="--port and --kafka-port are both"):
        up(options(tmp_path, port=wanted.port, kafka_port=wanted.port))


async def test_a_kafka_that_is_not_there_is_said(tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    with pytest.raises(StartError, match=f"--kafka 127.0.0.1:{nobody}: no Kafka answers there"):
        await check_surroundings(options(tmp_path, kafka=f"127.0.0.1:{nobody}"))


def test_a_data_directory_has_one_owner(tmp_path: Path) -> None:
    wanted = options(tmp_path)
    wanted.data_dir.mkdir()
    with (wanted.data_dir / "up.lock").open("w", encoding="utf-8") as lock:
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StartError, match=rf"in use by another `sluice up` \(pid {os.getpid()}\).*--data-dir"):
            up(wanted)


def test_free_ports_are_free_and_different() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_a_large_log_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.dev.local.stack.LOG_BYTES_MAX", 10)
    log = tmp_path / "logs" / "orders.log"
    rotate(log)
    log.write_text("short", encoding="utf-8")
    rotate(log)
    assert log.read_text(encoding="utf-8") == "short"
    log.write_text("long enough to go", encoding="utf-8")
    rotate(log)
    assert not log.exists()
    assert log.with_suffix(".log.1").exists()


def test_the_status_file_is_replaced_whole(tmp_path: Path) -> None:
    status = Status(tmp_path / "status.json", ["gateway", "orders"])
    before = (tmp_path / "status.json").stat().st_ino
    status.set("gateway", pid=1, ready=True)
    assert (tmp_path / "status.json").stat().st_ino != before
    assert not status.ready
    status.set("orders", pid=2, ready=True)
    assert status.ready
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_start_that_fails_ends_nobody_elses_processes(tmp_path: Path) -> None:
    """What an earlier run left in status.json names pids that other programs have by now."""
    choices = options(tmp_path)
    choices.data_dir.mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:  # noqa: S607 - any program will do
        try:
            stale = {"ready": True, "roles": {"orders": {"pid": stranger.pid, "ready": True}}}
            choices.status.write_text(json.dumps(stale), encoding="utf-8")
            with pytest.raises(StartError, match="give each a port of its own"):
                up(options(tmp_path, increff_port=choices.port, port=choices.port))
            assert stranger.poll() is None
        finally:
            stranger.kill()
    assert json.loads(choices.status.read_text(encoding="utf-8")) == {"ready": False, "roles": {}}


async def test_topics_are_tried_again_when_the_broker_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [KafkaConnectionError("gone"), ConnectionResetError("gone"), None]

    async def create(settings: Settings, channels: Channels) -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(admin, "create", create)
    await make_topics(Settings(), DEMO)
    assert answers == []


@pytest.mark.parametrize(
    ("error", "timeout_s", "told"),
    [
        (InvalidReplicationFactorError("3 replicas, 1 broker"), 60.0, "make the topics: .*3 replicas, 1 broker"),
        (KafkaConnectionError("nobody there"), 0.0, "make the topics after 0 s: .*nobody there"),
    ],
)
async def test_topics_that_cannot_be_made_are_told_in_words(
    error: Exception, timeout_s: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create(settings: Settings, channels: Channels) -> None:
        raise error

    monkeypatch.setattr(admin, "create", create)
    with pytest.raises(StartError, match=told):
        await make_topics(Settings(), DEMO, timeout_s)


def test_a_port_is_chosen_by_one_process_at_a_time() -> None:
    """Also before anybody listens there: another process that may have this port or a later one gets a later one."""
    first = free_ports(1)[0]
    choose = (
        "import random; from sluice.dev.local import ports;"
        f"numbers = iter(range({first}, {first + 100})); random.SystemRandom.randrange = lambda *_: next(numbers);"
        "print(ports.free_ports(1)[0])"
    )
    chosen = subprocess.run([sys.executable, "-c", choose], capture_output=True, text=True, check=True).stdout
    assert first < int(chosen) < first + 100
