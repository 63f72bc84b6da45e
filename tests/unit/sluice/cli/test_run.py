"""Roles start as `sluice run ROLE`. The former names start one only where a container starts them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner

import sluice.roles
from sluice.cli.main import main
from sluice.cli.run import ROLES, is_started_by_init

Started = list[tuple[str, str]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Name and instance of each role that was started."""
    found: Started = []
    monkeypatch.setattr(sluice.roles, "configure_signals", lambda _settings, _role: None)
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sluice.roles, "run_gateway", lambda settings, *_: found.append(("gateway", settings.instance)))
    monkeypatch.setattr(sluice.roles, "run_streams", lambda name, settings, *_: found.append((name, settings.instance)))
    return found


def _in_container(monkeypatch: pytest.MonkeyPatch, *, pid: int = 1, parent: int = 0, terminal: bool = False) -> None:
    monkeypatch.setattr(os, "getpid", lambda: pid)
    monkeypatch.setattr(os, "getppid", lambda: parent)
    monkeypatch.setattr(os, "isatty", lambda _number: terminal)


def _sluice(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.mark.parametrize("role", ROLES)
def test_run_starts_a_role(role: str, started: Started) -> None:
    assert _sluice("run", role, "--instance", "a")[0] == 0
    assert started == [(role, "a")]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("more", [(), ("--instance", "0"), ("--kafka", "127.0.0.1:1")], ids=" ".join)
def test_a_typed_former_name_starts_nothing(role: str, more: Sequence[str], started: Started) -> None:
    code, output = _sluice(role, *more)
    assert started == []
    assert code == 2
    if role != "orders" or more:  # without options it is a list of orders, here of a gateway that is not there
        assert f"sluice run {role}" in output


def test_a_bare_group_prints_its_help(started: Started) -> None:
    _, output = _sluice("inventory")
    assert "Usage: " in output
    assert "pause" in output
    assert started == []
    assert "Usage: " in _sluice("run")[1]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("more", [(), ("--instance", "a")], ids=" ".join)
@pytest.mark.parametrize("place", [{}, {"pid": 7, "parent": 1}], ids=["first process", "child of an init"])
def test_a_container_starts_a_role_by_its_former_name(
    role: str, more: Sequence[str], place: Any, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_INSTANCE", "a")
    _in_container(monkeypatch, **place)
    code, output = _sluice(role, *more)
    assert code == 0
    assert started == [(role, "a")]
    assert f"`sluice run {role}`" in output


def test_commands_of_a_group_are_no_former_names(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_container(monkeypatch)
    assert "Usage: " in _sluice("inventory", "--help")[1]
    assert "Usage: " in _sluice("inventory", "status", "--help")[1]
    assert started == []


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"pid": 1}, True),
        ({"pid": 1, "terminal": True}, True),  # docker run -it
        ({"pid": 7, "parent": 1}, True),  # docker run --init, systemd
        ({"pid": 7, "parent": 1, "terminal": True}, False),  # typed at the shell that is a container's first process
        ({"pid": 7, "parent": 0}, False),  # docker exec, kubectl exec
        ({"pid": 7, "parent": 5}, False),  # a shell
    ],
    ids=str,
)
def test_who_starts_a_process(place: Any, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_container(monkeypatch, **place)
    assert is_started_by_init() is expected
