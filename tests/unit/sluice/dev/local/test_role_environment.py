"""`sluice up` gives its roles a key that outlives it, and lets subscribers of this machine in only beside sandboxes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sluice.dev.local.role_environment import role_environment
from sluice.errors import StartError
from topics.configuration.settings import load_settings


def test_the_key_is_made_once_and_is_its_owners_only(tmp_path: Path) -> None:
    data_dir = tmp_path / "new"
    first = role_environment(data_dir, has_sandboxes=True, given={"PATH": "/bin", "SLUICE_SECRET_KEY": ""})
    assert role_environment(data_dir, has_sandboxes=True, given={"PATH": "/bin"}) == first
    assert load_settings(secret_key=first["SLUICE_SECRET_KEY"]).secret_keys
    assert stat.S_IMODE((data_dir / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in data_dir.iterdir()] == ["secret.key"]
    assert (
        role_environment(tmp_path / "other", has_sandboxes=True, given={})["SLUICE_SECRET_KEY"]
        != (first["SLUICE_SECRET_KEY"])
    )


def test_what_the_user_sets_stays(tmp_path: Path) -> None:
    given = {"SLUICE_SECRET_KEY": "mine", "SLUICE_SUBSCRIBER_PORTS": "443"}
    made = role_environment(tmp_path, has_sandboxes=True, given=given)
    assert (made["SLUICE_SECRET_KEY"], made["SLUICE_SUBSCRIBER_PORTS"]) == ("mine", "443")
    assert made["SLUICE_SUBSCRIBER_HTTP"] == "true"
    assert list(tmp_path.iterdir()) == []


def test_with_channels_of_ones_own_subscribers_stay_guarded(tmp_path: Path) -> None:
    made = role_environment(tmp_path, has_sandboxes=False, given={})
    assert set(made) == {"SLUICE_SECRET_KEY", "SLUICE_JOURNAL_URL"}


def test_the_gateway_reads_the_file_that_the_journal_role_writes(tmp_path: Path) -> None:
    made = role_environment(tmp_path, has_sandboxes=True, given={})
    assert made["SLUICE_JOURNAL_URL"] == f"sqlite:///{tmp_path}/journal/journal.db"
    given = {"SLUICE_JOURNAL_URL": "postgresql://at/journal"}
    assert (
        role_environment(tmp_path, has_sandboxes=True, given=given)["SLUICE_JOURNAL_URL"] == given["SLUICE_JOURNAL_URL"]
    )


def test_api_is_open_only_beside_the_sandboxes_and_for_this_machine(tmp_path: Path) -> None:
    def opened(*, has_sandboxes: bool = True, **given: str) -> str | None:
        return role_environment(tmp_path, has_sandboxes=has_sandboxes, given=given).get("SLUICE_API_OPEN")

    assert opened() == "true"
    assert opened(SLUICE_GATEWAY_HOST="127.0.0.2", SLUICE_API_TOKEN="") == "true"
    assert opened(SLUICE_GATEWAY_HOST="::1") == "true"
    assert opened(has_sandboxes=False) is None
    for host in ("0.0.0.0", "::", "192.0.2.1", "sluice.example"):
        assert opened(SLUICE_GATEWAY_HOST=host) is None
    for name in ("SLUICE_API_TOKEN", "SLUICE_API_TOKENS", "SLUICE_API_TOKENS_FILE"):
        assert "SLUICE_API_OPEN" not in role_environment(tmp_path, has_sandboxes=True, given={name: "alice=a"})
    assert opened(SLUICE_API_OPEN="false") == "false"


def test_a_key_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("half a k")
    with pytest.raises(StartError, match=r"secret\.key: expected 1 to 8 keys|secret\.key: key 1"):
        role_environment(tmp_path, has_sandboxes=True, given={})
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot be used: "):
        role_environment(tmp_path / "file", has_sandboxes=True, given={})
