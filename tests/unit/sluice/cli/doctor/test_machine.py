"""Configuration, credentials, disk and far sides, as the machine of a role sees them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sluice.cli.doctor.findings import CHECKS, Level
from sluice.cli.doctor.machine import FREE_BYTES_MIN, configured, look_at_destinations, look_at_disk
from sluice.demo_channels import demo_channels
from sluice.dev.local.ports import free_ports
from tests.unit.sluice.cli.doctor.test_ports import http, server
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import load_settings

ROOT = Path(__file__).resolve().parents[5]


class Usage(NamedTuple):
    total: int
    free: int


CHANNELS = """
[increff]
url = "https://increff.example.com"

[channels.shop]
credentials = { username = "shop", password = "env:DOCTOR_TEST_SHOP" }
increff_credentials = { username = "sluice", password = "secret", domain = "shop" }
increff_headers = { X-Api-Key = "file:nowhere.key" }
marketplace_headers = { X-Channel-Key = "key" }
marketplace = { url = "https://shop.example.com" }
"""


def found(**overrides: Any) -> dict[str, list[Any]]:
    _, _, findings = configured(overrides, demo_channels())
    return {check: [one for one in findings if one.check == check] for check in CHECKS}


def test_the_demo_has_all_that_it_names() -> None:
    assert {one.level for findings in found().values() for one in findings} == {Level.OK}


def test_secrets_that_are_missing_are_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLUICE_API_TOKEN", raising=False)
    (tmp_path / "channels.toml").write_text(CHANNELS)
    findings = found(channels_file=tmp_path / "channels.toml")["credential"]
    said = " ".join(one.what for one in findings)
    assert "DOCTOR_TEST_SHOP" in said
    assert "nowhere.key" in said
    assert {one.about for one in findings} >= {"SLUICE_API_TOKEN", "SLUICE_SECRET_KEY"}
    assert all(one.do for one in findings)


def test_settings_that_are_wrong_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_PARTITIONS", "many")
    (wrong,) = found()["configuration"]
    assert (wrong.level, "SLUICE_PARTITIONS" in wrong.what) == (Level.PROBLEM, True)


@pytest.mark.parametrize(
    ("total", "free", "level"),
    [
        (100 * FREE_BYTES_MIN, FREE_BYTES_MIN - 1, Level.PROBLEM),
        (100 * FREE_BYTES_MIN, 5 * FREE_BYTES_MIN, Level.WARNING),
        (100 * FREE_BYTES_MIN, 50 * FREE_BYTES_MIN, Level.OK),
    ],
)
def test_a_disk_that_is_nearly_full(tmp_path: Path, total: int, free: int, level: Level) -> None:
    settings = load_settings(state_dir=tmp_path / "not" / "made" / "yet")
    (finding,) = look_at_disk(settings, lambda _path: Usage(total, free))
    assert (finding.check, finding.level) == ("disk", level)
    assert bool(finding.do) is (level is not Level.OK)


def test_the_real_disk_is_looked_at(tmp_path: Path) -> None:
    (finding,) = look_at_disk(load_settings(state_dir=tmp_path))
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    assert (finding.level is Level.PROBLEM) is (free < FREE_BYTES_MIN)


async def test_far_sides_are_reached_or_named() -> None:
    (closed,) = free_ports(1)
    with server(http) as port:
        data = demo_channels(port, closed)
        data["channels"]["other"] = {
            **data["channels"]["demo"],
            "credentials": {"username": "other", "password": "secret"},
            "marketplace": {"url": "https://shop.invalid/base"},
            "increff_headers": {"X-Api-Key": "another"},
            "reply_topics": [],
        }
        findings = {one.about: one for one in await look_at_destinations(parse_channels(data, where="test"))}
    assert findings[f"increff at 127.0.0.1:{port}"].level is Level.OK
    refused = findings[f"channel:demo at 127.0.0.1:{closed}"]
    unknown = findings["channel:other at shop.invalid:443"]
    assert (refused.level, unknown.level) == (Level.PROBLEM, Level.PROBLEM)
    assert "not known" in unknown.what
    assert all("channels.toml" in one.do for one in (refused, unknown))


def test_each_check_is_documented() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert [name for name in CHECKS if f"| `{name}` |" not in page] == []
