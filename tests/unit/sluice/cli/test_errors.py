"""The command line answers a mistake with a line that says what to do: exit code 2, never a traceback."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from sluice.cli.main import main
from sluice.dev.local.ports import free_ports

MISTAKES: dict[str, tuple[list[str], str]] = {
    "both Kafkas": (["up", "--kafka", "127.0.0.1:1", "--kafka-port", "9092"], "give only one of them"),
    "a demo without sandboxes": (["up", "--demo", "--channels", "channels.toml"], "give only one of them"),
    "no channels file": (["up", "--channels", "/nowhere/channels.toml"], "/nowhere/channels.toml: cannot be read"),
    "a role without its channels": (["run", "gateway", "--channels", "/nowhere/channels.toml"], "cannot be read"),
    "not an address": (["up", "--kafka", "foo"], "--kafka foo: expected HOST:PORT"),
    "not a port": (["up", "--port", "eighty"], "'eighty' is not a valid integer"),
    "an unknown benchmark": (["bench", "nothing"], "no benchmark nothing; there are: "),
    "an unknown side": (["sandbox", "warehouse"], "warehouse"),
    "not a URL": (["order", "A-1", "--url", "ftp://127.0.0.1"], "expected http://HOST:PORT"),
    "a prefix Kafka refuses": (["topics", "create", "--topic-prefix", "a/b"], "SLUICE_TOPIC_PREFIX"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_explained(case: str) -> None:
    arguments, told = MISTAKES[case]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert told in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("role", "name", "value"),
    [
        ("gateway", "SLUICE_GATEWAY_PORT", "99999"),
        ("gateway", "SLUICE_GATEWAY_PORT", "65536"),
        ("gateway", "SLUICE_GATEWAY_PORT", "0"),
        ("gateway", "SLUICE_GATEWAY_PORT", "-1"),
        ("orders", "SLUICE_ADMIN_PORT", "65536"),
        ("inventory", "SLUICE_ADMIN_PORT", "-1"),
    ],
)
def test_a_number_that_is_no_port_is_refused_before_kafka_is_waited_for(role: str, name: str, value: str) -> None:
    result = CliRunner().invoke(main, ["run", role], env={name: value, "SLUICE_KAFKA": "127.0.0.1:1"})
    assert result.exit_code == 2, result.output
    assert f"environment: {name}: " in result.output


def test_no_sluice_there() -> None:
    (nobody,) = free_ports(1)
    result = CliRunner().invoke(main, ["order", "A-1", "--url", f"http://127.0.0.1:{nobody}"])
    assert result.exit_code == 2
    assert f"no Sluice answers at http://127.0.0.1:{nobody}" in result.output
    assert "sluice up" in result.output


def test_no_kafka_there() -> None:
    (nobody,) = free_ports(1)
    result = CliRunner().invoke(main, ["topics", "check", "--kafka", f"127.0.0.1:{nobody}"])
    assert result.exit_code == 2
    assert f"Kafka at 127.0.0.1:{nobody}" in result.output


def test_a_file_of_tokens_that_cannot_be_read_is_named_before_kafka_is_waited_for() -> None:
    environment = {"SLUICE_API_TOKENS_FILE": "/nowhere/tokens", "SLUICE_KAFKA": "127.0.0.1:1"}
    result = CliRunner().invoke(main, ["run", "gateway"], env=environment)
    assert result.exit_code == 2, result.output
    assert "/nowhere/tokens: cannot be read: No such file" in result.output
