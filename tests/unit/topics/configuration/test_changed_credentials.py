"""Of a channels.toml that is read again only credentials count; a secret may come from a file of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.demo_channels import demo_channels
from topics.configuration.changed_credentials import NAMED_MAX, listed, needs_restart, with_credentials_of
from topics.configuration.channels import Channels
from topics.configuration.channels_file import load_channels, parse_channels
from topics.configuration.errors import ConfigurationError
from topics.configuration.hang_ups import HangUps


def channels(change: Callable[[dict[str, Any]], object] = lambda _demo: None, **more: dict[str, Any]) -> Channels:
    data = demo_channels()
    change(data["channels"]["demo"])
    data["channels"] |= more
    return parse_channels(data, where="test")


def other(username: str) -> dict[str, Any]:
    demo: dict[str, Any] = demo_channels()["channels"]["demo"]
    return {**demo, "credentials": {"username": username, "password": "p"}}


CREDENTIALS: list[Callable[[dict[str, Any]], object]] = [
    lambda demo: demo["credentials"].update(username="moved"),
    lambda demo: demo["credentials"].update(password="new"),
    lambda demo: demo["credentials"].update(password_also="new"),
    lambda demo: demo["credentials"].update(domain=None),
    lambda demo: demo["increff_credentials"].update(password="new"),
    lambda demo: demo["increff_headers"].update({"X-Api-Key": "new"}),
    lambda demo: demo.update(increff_headers_also={"X-Other": "new"}),
    lambda demo: demo["marketplace_headers"].update({"X-Channel-Key": "new"}),
    lambda demo: demo["get_credential"].update(bootstrap_headers={"X-B": "new"}),
    lambda demo: demo["get_credential"].update(bootstrap_headers_also={"X-B": "new"}),
]


@pytest.mark.parametrize("change", CREDENTIALS)
def test_credentials_are_taken_over(change: Callable[[dict[str, Any]], object]) -> None:
    known, found = channels(), channels(change)
    assert known != found
    assert needs_restart(known, found) == []
    assert with_credentials_of(known, found) == found


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda demo: demo["marketplace"].update(url="http://moved.example"), "channels.demo.marketplace.url"),
        (lambda demo: demo.update(off=["create-manifest"]), "channels.demo.off"),
        (lambda demo: demo.pop("get_credential"), "channels.demo.get_credential"),
        (
            lambda demo: demo.update(marketplace_credential={"bootstrap_headers": {"X": "y"}}),
            "channels.demo.marketplace_credential",
        ),
        (lambda demo: demo["locations"].update(NEW="Store"), "channels.demo.locations.NEW"),
    ],
)
def test_other_changes_are_named_and_wait_for_a_restart(change: Callable[[dict[str, Any]], object], named: str) -> None:
    known, found = channels(), channels(change)
    assert needs_restart(known, found) == [named]
    assert with_credentials_of(known, found) == known


def test_channels_come_and_go_with_a_restart() -> None:
    known, found = channels(gone=other("gone")), channels(come=other("come"))
    assert needs_restart(known, found) == ["channels.gone", "channels.come"]
    assert set(with_credentials_of(known, found).channels) == {"demo", "gone"}


def test_a_username_that_a_channel_that_is_gone_still_has_is_refused() -> None:
    known = channels(gone=other("taken"))
    found = channels(lambda demo: demo["credentials"].update(username="taken"))
    with pytest.raises(ConfigurationError, match="channels demo and gone would share the username taken"):
        with_credentials_of(known, found)


def test_a_long_list_of_changes_is_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(NAMED_MAX + 3)]).endswith(f", {NAMED_MAX - 1} and 3 more")


TOML = """
[increff]
url = "http://increff.example"
[channels.shop]
credentials = { username = "shop", password = "file:secrets/password" }
increff_credentials = { username = "sluice", password = "file:%s" }
increff_headers = { X-Api-Key = "file:key" }
marketplace = { url = "http://shop.example" }
"""


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    absolute = tmp_path / "absolute"
    for path, text in ((tmp_path / "secrets/password", "one\n"), (absolute, "two\r\n"), (tmp_path / "key", " th ree")):
        path.write_bytes(text.encode())
    (tmp_path / "channels.toml").write_text(TOML % absolute)
    shop = load_channels(tmp_path / "channels.toml").channels["shop"]
    assert shop.credentials.password.get_secret_value() == "one"
    assert shop.increff_credentials.password.get_secret_value() == "two"
    assert shop.increff_headers["X-Api-Key"].get_secret_value() == " th ree"


def test_all_files_that_lack_a_secret_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "channels.toml").write_text(TOML % "empty")
    with pytest.raises(ConfigurationError) as error:
        load_channels(tmp_path / "channels.toml")
    first, second, third = str(error.value).splitlines()
    assert first.endswith(f"the file {tmp_path}/secrets/password, which cannot be read: No such file or directory")
    assert second.endswith(f"file:empty names the file {tmp_path}/empty, which is empty")
    assert "file:key names the file" in third
    assert "not UTF-8" in third


def test_a_hang_up_ends_nothing_and_is_not_lost_before_the_process_listens() -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        hang_ups = HangUps()
        heard: list[str] = []
        handlers: list[Callable[[], object]] = []
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        hang_ups.listen(lambda _number, handler: handlers.append(handler), lambda: heard.append("heard"))
        assert heard == ["heard"]
        handlers[0]()
        assert heard == ["heard", "heard"]
    finally:
        signal.signal(signal.SIGHUP, before)
