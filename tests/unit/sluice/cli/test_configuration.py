"""All faults of a configuration are said at once; a misspelt variable is warned about, with the name it is like."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

import sluice.roles
from sluice.cli.configuration import unknown_variables
from sluice.cli.main import main

SHOP = """
[increff]
url = "ftp://increff"

[channels.shop]
credentials = { username = "shop", password = "env:SHOP_PASSWORD" }
increff_credentials = { username = "sluice", password = "file:nowhere" }
increff_headers = { X-Api-Key = "key" }
colour = "red"
marketplace = { url = "https://shop.example.com" }
off = ["pack-order"]

[channels.other]
credentials = { username = "same", password = "p" }
increff_credentials = { username = "sluice", password = "p" }
increff_headers = { X-Api-Key = "key" }
stock = { read_back = { path = "/stock" } }

[channels."~third"]
credentials = { username = "shop", password = "p" }
increff_credentials = { username = "sluice", password = "p" }
increff_headers = { X-Api-Key = "key" }
marketplace = { url = "https://shop.example.com" }
"""


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)


@pytest.mark.parametrize("name", ["SLUICE_CHANNELS_FILE", "sluice_channels_file", "Sluice_Channels_File"])
@pytest.mark.parametrize("path", ["nowhere.toml", ""])
@pytest.mark.parametrize("partitions", ["8", "many"])
def test_no_role_takes_the_demo_channel_where_a_file_is_named(name: str, path: str, partitions: str) -> None:
    """The passwords of the demo channel are public. Settings read names of variables in any case."""
    result = CliRunner().invoke(main, ["run", "gateway"], env={name: path, "SLUICE_PARTITIONS": partitions})
    assert result.exit_code == 2, result.output
    assert ("cannot be read" in result.output) is bool(path or partitions == "8")


@pytest.mark.parametrize("role", ["gateway", "orders"])
def test_all_faults_come_in_one_round(role: str, tmp_path: Path) -> None:
    file = tmp_path / "channels.toml"
    file.write_text(SHOP)
    environment = {
        "SLUICE_CHANNELS_FILE": str(file),
        "SLUICE_PARTITIONS": "many",
        "SLUICE_LOG_LEVEL": "loud",
        "SLUICE_SECRET_KEY": "short",
    }
    result = CliRunner().invoke(main, ["run", role], env=environment)
    assert result.exit_code == 2, result.output
    for fault in (
        "environment: SLUICE_PARTITIONS: ",
        "environment: SLUICE_LOG_LEVEL: ",
        "environment: SLUICE_SECRET_KEY: ",
        f"{file}: env:SHOP_PASSWORD names the environment variable SHOP_PASSWORD, which is not set",
        f"{file}: file:nowhere names the file {tmp_path}/nowhere, which cannot be read",
        f"{file}: increff.url: expected http://HOST or https://HOST, not 'ftp://increff'",
        f"{file}: channels.shop.colour: is not a setting",
        f"{file}: channels.shop.off: pack-order is mandatory in the contract",
        f"{file}: channels.other: marketplace.url is missing",
        "stock.read_back needs marketplace.url",
        f"{file}: '~third' cannot name a channel",
        "channels shop and ~third share the username shop",
    ):
        assert fault in result.output
    lines = result.output.removeprefix("Error: ").splitlines()
    assert len(lines) == len(set(lines)) == 10, result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SLUICE_PARTITIONS", "many", "must be a whole number, not 'many'"),
        ("SLUICE_GATEWAY_PORT", "99999", "must be at most 65535, not '99999'"),
        ("SLUICE_TICK_S", "0", "must be greater than 0.0, not '0'"),
        ("SLUICE_RELAY_DEADLINE_S", "45", "must be less than 45.0, not '45'"),
        ("SLUICE_API_OPEN", "perhaps", "must be true or false, not 'perhaps'"),
        ("SLUICE_LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error', not 'loud'"),
        ("SLUICE_INSTANCE", "", "may not be empty"),
    ],
)
def test_a_wrong_setting_is_said_in_plain_words_beside_a_misspelt_name(name: str, value: str, said: str) -> None:
    result = CliRunner().invoke(main, ["run", "orders"], env={name: value, "SLUICE_GATWAY_HOST": "x"})
    assert result.exit_code == 2, result.output
    assert f"environment: {name}: {said}\n" in result.output
    assert "warning: SLUICE_GATWAY_HOST is no setting of Sluice" in result.output


def test_tokens_and_channels_are_wrong_in_one_round(tmp_path: Path) -> None:
    environment = {
        "SLUICE_API_TOKENS_FILE": str(tmp_path / "tokens"),
        "SLUICE_CHANNELS_FILE": str(tmp_path / "channels"),
    }
    result = CliRunner().invoke(main, ["run", "gateway"], env=environment)
    assert result.exit_code == 2
    assert f"{tmp_path}/tokens: cannot be read" in result.output
    assert f"{tmp_path}/channels: cannot be read" in result.output


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SLUICE_KAFAK", "SLUICE_KAFKA"),
        ("SLUICE_PARTITION", "SLUICE_PARTITIONS"),
        ("SLUICE_CHANNEL_FILE", "SLUICE_CHANNELS_FILE"),
        ("SLUICE_GATEWY_PORT", "SLUICE_GATEWAY_PORT"),
        ("SLUICE_API_TOKENS_FILES", "SLUICE_API_TOKENS_FILE"),
        ("SLUICE_URI", "SLUICE_URL"),
        ("sluice_kafak", "SLUICE_KAFKA"),
        ("SLUICE_URl", "SLUICE_URL"),
        ("sluice_invariants", "SLUICE_INVARIANTS"),
    ],
)
def test_a_misspelt_variable_is_warned_about(name: str, meant: str) -> None:
    text = f"{name} is no setting of Sluice and is not read; did you mean {meant}?"
    assert unknown_variables({name: "8080"}, every=True) == [text]
    assert unknown_variables({name: "8080"}, every=False) == [text]


@pytest.mark.parametrize(
    "name",
    [
        *("SLUICE_KAFKA", "sluice_kafka", "SLUICE_URL", "SLUICE_API_TOKEN", "SLUICE_INVARIANTS", "SLUICE_TEST_KAFKA"),
        *("SLUICE_SERVICE_HOST", "SLUICE_SERVICE_PORT_HTTP", "SLUICE_GATEWAY_PORT_8080_TCP_ADDR", "KAFKA", "PATH"),
    ],
)
def test_a_variable_that_is_known_or_of_others_is_not_warned_about(name: str) -> None:
    assert unknown_variables({name: "x", "SLUICE_PORT": "tcp://10.0.0.1:8080"}, every=True) == []


def test_a_variable_that_is_like_no_setting_is_named_to_those_who_run_a_role() -> None:
    environment = {"SLUICE_SHOP_PASSWORD": "x"}
    (text,) = unknown_variables(environment, every=True)
    assert text.startswith("SLUICE_SHOP_PASSWORD is no setting of Sluice")
    assert unknown_variables(environment, every=False) == []
    assert unknown_variables(environment, {"SLUICE_SHOP_PASSWORD"}, every=True) == []


def test_commands_and_roles_warn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sluice.roles, "configure_signals", lambda _settings, _role: None)
    monkeypatch.setattr(sluice.roles, "run_streams", lambda *_: 0)
    file = tmp_path / "channels.toml"
    file.write_text(
        '[increff]\nurl = "http://i"\n[channels.shop]\nfar_side = "self"\n'
        'credentials = { username = "s", password = "env:SLUICE_KAFKAS" }\n'
        'increff_credentials = { username = "s", password = "p" }\nincreff_headers = { A = "b" }\n'
    )
    environment = {"SLUICE_KAFAK": "x", "SLUICE_CHANNELS_FILE": str(file), "SLUICE_KAFKAS": "secret", "SLUICE_ODD": "x"}
    result = CliRunner().invoke(main, ["order", "A", "--url", "http://127.0.0.1:1"], env=environment)
    assert "warning: SLUICE_KAFAK is no setting of Sluice and is not read; did you mean SLUICE_KAFKA?" in result.stderr
    assert "SLUICE_KAFKAS" not in result.stderr
    assert "SLUICE_ODD" not in result.stderr
    with caplog.at_level(logging.WARNING):
        assert CliRunner().invoke(main, ["run", "orders"], env=environment).exit_code == 0
    warned = [record.getMessage().split()[0] for record in caplog.records]
    assert warned == ["SLUICE_KAFAK", "SLUICE_ODD"]


@pytest.mark.parametrize(
    "command",
    [["order"], ["orders", "resubmit"], ["inventory", "status"], ["redrive"], ["subscriptions", "list"]],
    ids=" ".join,
)
def test_help_names_the_variables_of_a_gateway(command: list[str]) -> None:
    told = CliRunner().invoke(main, [*command, "--help"]).output
    for name in ("SLUICE_URL", "SLUICE_API_TOKEN", "--local"):
        assert name in told
