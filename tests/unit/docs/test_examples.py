"""An example that is called wrongly, or finds no Kafka, says so in one line: exit code 2, never a traceback. One that
runs until Ctrl-C ends quietly."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.dev.local.ports import free_ports

EXAMPLES = Path(__file__).parents[3] / "examples"
CALLS = {
    "producer": ["demo", "KAFKA", "A-1"],
    "kafka_channel": ["demo", "KAFKA", "FILE"],
    "analytics": ["KAFKA", "FILE"],
    "stock_analytics": ["KAFKA", "FILE"],
}


def said(name: str, arguments: list[str]) -> list[str]:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


def given(name: str, kafka: str, directory: Path) -> list[str]:
    places = {"KAFKA": kafka, "FILE": str(directory / "file")}
    return [places.get(argument, argument) for argument in CALLS[name]]


def test_every_example_is_called_here() -> None:
    assert {*CALLS, "subscriber"} == {path.stem for path in EXAMPLES.glob("*.py")}


def test_a_subscriber_without_a_secret_or_with_a_strange_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUBSCRIBER_SECRET", raising=False)
    (line,) = said("subscriber", [])
    assert line.startswith("usage: SUBSCRIBER_SECRET=whsec_")
    monkeypatch.setenv("SUBSCRIBER_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert said("subscriber", ["here"]) == [line]


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments(name: str, tmp_path: Path) -> None:
    for arguments in ([], given(name, "nowhere", tmp_path)):
        (line,) = said(name, arguments)
        assert line.startswith(f"usage: python examples/{name}.py ")
        assert "HOST:PORT" in line


@pytest.mark.parametrize("name", CALLS)
def test_no_kafka_there(name: str, tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    assert said(name, given(name, f"127.0.0.1:{nobody}", tmp_path)) == [f"Kafka at 127.0.0.1:{nobody} does not answer"]


@pytest.mark.parametrize("name", ["kafka_channel", "analytics", "stock_analytics"])
def test_a_database_that_cannot_be_opened(name: str, tmp_path: Path) -> None:
    (line,) = said(name, given(name, "127.0.0.1:1", tmp_path / "missing"))
    assert line.startswith(str(tmp_path / "missing" / "file"))


def heed_ctrl_c() -> None:
    """A shell has its background jobs ignore SIGINT, and what they start ignores it, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_a_channel_quietly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kafka = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, str(EXAMPLES / "kafka_channel.py"), *given("kafka_channel", kafka, tmp_path)]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_ctrl_c,  # noqa: PLW1509 - no thread runs
        ) as running:
            connection, _ = silent.accept()
            assert connection.recv(1)  # it has asked, and waits for the answer
            running.send_signal(signal.SIGINT)
            said = running.communicate()
            connection.close()
    assert (running.returncode, *said) == (0, "", "")
