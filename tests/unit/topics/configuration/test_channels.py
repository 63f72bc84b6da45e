"""What cannot be used is refused when it is read, and the error names the file, the key and what was expected."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.demo_channels import demo_channels
from topics.configuration.channels import FarSide
from topics.configuration.channels_file import load_channels, parse_channels
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import load_settings
from topics.contract.touchpoints import BY_NAME
from topics.kafka.channel_topics import far_side_topics

Break = Callable[[dict[str, Any]], None]


def _demo(data: dict[str, Any]) -> dict[str, Any]:
    demo: dict[str, Any] = data["channels"]["demo"]
    return demo


def _on_kafka(data: dict[str, Any], username: str) -> dict[str, Any]:
    channel = copy.deepcopy(_demo(data))
    channel["credentials"]["username"] = username
    return {**channel, "far_side": "kafka"}


BROKEN: dict[str, tuple[Break, list[str]]] = {
    "no channel": (lambda data: data["channels"].clear(), ["channels: there is no [channels.NAME] table"]),
    "no Increff": (lambda data: data.pop("increff"), ["increff: is missing: a table [increff]"]),
    "not a URL": (
        lambda data: data["increff"].update(url="increff.example"),
        ["increff.url: expected http://HOST or https://HOST, not 'increff.example'"],
    ),
    "a misspelt key": (
        lambda data: _demo(data).update(credentails={}),
        ["channels.demo.credentails: is not a setting; known here: credentials, increff_credentials,"],
    ),
    "a missing password": (
        lambda data: _demo(data)["credentials"].pop("password"),
        ["channels.demo.credentials.password: is missing: header authPassword"],
    ),
    "no static header": (
        lambda data: _demo(data)["increff_headers"].clear(),
        ["channels.demo.increff_headers: is empty"],
    ),
    "an unknown kind of location": (
        lambda data: _demo(data)["locations"].update(DXB="Shop"),
        ["channels.demo.locations.DXB", "'Warehouse' or 'Store'"],
    ),
    "an unknown touchpoint off": (
        lambda data: _demo(data).update(off=["pack"]),
        ["channels.demo.off", "pack is not a touchpoint", "pack-order"],
    ),
    "a mandatory touchpoint off": (
        lambda data: _demo(data).update(off=["create-outward-order"]),
        ["channels.demo.off", "create-outward-order is mandatory"],
    ),
    "a budget of nothing": (
        lambda data: data["increff"].update(budget={"requests": 0, "window_s": 60}),
        ["increff.budget.requests", "greater than 0"],
    ),
    "a budget that is no table": (
        lambda data: data["increff"].update(budget=200),
        ["increff.budget: expected a table whose shape is one of sliding-window, token-bucket, fixed-window, quota"],
    ),
    "a shape that nobody documents": (
        lambda data: data["increff"].update(budget=[{"shape": "funnel"}]),
        ["increff.budget.0: expected a table whose shape is one of sliding-window, token-bucket, "],
    ),
    "a limit that is not whole": (
        lambda data: data["increff"].update(budget=[{"requests": 1, "window_s": 1}, {"shape": "token-bucket"}]),
        ["increff.budget.1.rate_per_s: is missing: tokens that come back each second"],
    ),
    "a misspelt member of a limit": (
        lambda data: data["increff"].update(budget={"shape": "quota", "requests": 5, "per": "day", "every": 1}),
        ["increff.budget.every: is not a setting; known here: shape, requests, per, aligned"],
    ),
    "a step that the bucket cannot hold": (
        lambda data: data["increff"].update(budget={"shape": "token-bucket", "rate_per_s": 1, "burst": 2, "step": 3}),
        ["increff.budget: step 3 is more than the bucket holds: burst is 2"],
    ),
    "a call that no bucket can pay": (
        lambda data: data["increff"].update(
            budget={
                "shape": "cost-bucket",
                "capacity": 5,
                "restore_per_s": 1,
                "costs": {"create-outward-order": 6},
            }
        ),
        ["increff.budget: a call of 6 points could never go: capacity is 5"],
    ),
    "a cost of an unknown touchpoint": (
        lambda data: data["increff"].update(
            budget={"shape": "cost-bucket", "capacity": 5, "restore_per_s": 1, "costs": {"create": 1}}
        ),
        ["increff.budget: costs: create is not a touchpoint; known: acknowledgement, "],
    ),
    "a call that costs nothing": (
        lambda data: data["increff"].update(
            budget={"shape": "cost-bucket", "capacity": 5, "restore_per_s": 1, "costs": {"get-invoice": 0}}
        ),
        ["increff.budget: costs: get-invoice costs 0, and a call takes one point at least"],
    ),
    "clocks too far apart for the window": (
        lambda data: data["increff"].update(
            budget={"shape": "fixed-window", "requests": 5, "window_s": 2, "aligned": "clock"}
        ),
        ["increff.budget: clocks that are 1 s apart cannot share windows of 2 s", 'aligned = "any"'],
    ),
    "an offset from nothing": (
        lambda data: data["increff"].update(budget={"shape": "quota", "requests": 5, "per": "hour", "offset_s": 60}),
        ['increff.budget: offset_s and clock_error_s are for aligned = "clock"'],
    ),
    "two limits of one window": (
        lambda data: data["increff"].update(
            budget=[{"requests": 5, "window_s": 3600}, {"shape": "quota", "requests": 50, "per": "hour"}]
        ),
        ["increff: budget: 2 limits with the same window/3600s"],
    ),
    "a budget that cannot be shared": (
        lambda data: data["increff"].update(shards=8, budget={"requests": 7, "window_s": 60}),
        ["increff: budget: requests 7 cannot be shared by 8 shards: 8 at least, or fewer shards"],
    ),
    "pauses said twice": (
        lambda data: data["increff"].update(retry_pauses_s=[5, 300], retry_first_s=1),
        ["increff: retry_pauses_s says every pause: retry_first_s would be ignored"],
    ),
    "a pause of nothing": (
        lambda data: data["increff"].update(retry_pauses_s=[5, 0]),
        ["increff.retry_pauses_s.1", "greater than 0"],
    ),
    "a method of a call without a body": (
        lambda data: data["increff"].update(far_methods={"get-invoice": "POST"}),
        ["increff.far_methods", "get-invoice has no body"],
    ),
    "a path of an unknown touchpoint": (
        lambda data: _demo(data)["marketplace"].update(far_paths={"packing": "/pack"}),
        ["channels.demo.marketplace.far_paths", "packing is not a touchpoint"],
    ),
    "no URL for what goes over HTTP": (
        lambda data: _demo(data).update(marketplace={}, far_side="self", far_sides={"pack-order": "http"}),
        ["channels.demo: marketplace.url is missing: pack-order would go there over HTTP", "`kafka` or `self`"],
    ),
    "an empty URL": (
        lambda data: _demo(data)["marketplace"].update(url=""),
        ["channels.demo.marketplace.url: expected http://HOST or https://HOST, not ''"],
    ),
    "an unknown far side": (
        lambda data: _demo(data).update(far_side="ftp"),
        ["channels.demo.far_side: ", "'http', 'kafka' or 'self'"],
    ),
    "a far side for what goes to Increff": (
        lambda data: _demo(data).update(far_sides={"create-outward-order": "kafka"}),
        ["channels.demo.far_sides: create-outward-order is not sent to the marketplace; what is: acknowledg"],
    ),
    "a far side for what Sluice answers": (
        lambda data: _demo(data).update(far_sides={"get-credential": "self"}),
        ["channels.demo.far_sides: get-credential is not sent to the marketplace"],
    ),
    "topics that Kafka cannot tell apart": (
        lambda data: data.update(channels={"a.b": _on_kafka(data, "x"), "a_b": _on_kafka(data, "y")}),
        ["channels a.b and a_b would have the same topics"],
    ),
    "one username twice": (
        lambda data: data["channels"].update(other=copy.deepcopy(_demo(data))),
        ["demo and other share the username demo"],
    ),
    "an empty password": (
        lambda data: _demo(data)["credentials"].update(password=""),
        ["channels.demo.credentials.password: is empty"],
    ),
    "an empty header of Increff's": (
        lambda data: _demo(data)["increff_headers"].update({"X-Api-Key": ""}),
        ["channels.demo.increff_headers.X-Api-Key: is empty"],
    ),
    "an empty header of the marketplace's": (
        lambda data: _demo(data)["marketplace_headers"].update({"X-Channel-Key": ""}),
        ["channels.demo.marketplace_headers.X-Channel-Key: is empty"],
    ),
    "an empty bootstrap header": (
        lambda data: _demo(data)["get_credential"]["bootstrap_headers"].update({"X-Bootstrap-Key": ""}),
        ["channels.demo.get_credential.bootstrap_headers.X-Bootstrap-Key: is empty"],
    ),
    "an unknown key in a channel that is named like a table": (
        lambda data: data["channels"].update(increff={**_demo(data), "ofF": []}),
        ["channels.increff.ofF: is not a setting; known here: credentials, "],
    ),
    "a variable that is empty": (
        lambda data: _demo(data)["credentials"].update(password="env:SLUICE_TEST_EMPTY"),
        ["env:SLUICE_TEST_EMPTY names the environment variable SLUICE_TEST_EMPTY, which is empty"],
    ),
    "several variables that are not there": (
        lambda data: _demo(data).update(
            credentials={"username": "demo", "password": "env:SLUICE_TEST_NOT_SET"},
            increff_headers={"X-Api-Key": "env:SLUICE_TEST_EMPTY"},
        ),
        ["SLUICE_TEST_NOT_SET, which is not set", "SLUICE_TEST_EMPTY, which is empty"],
    ),
    "a variable that is not set": (
        lambda data: _demo(data)["credentials"].update(password="env:SLUICE_TEST_NOT_SET"),
        ["env:SLUICE_TEST_NOT_SET", "not set"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_used_is_named(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLUICE_TEST_NOT_SET", raising=False)
    monkeypatch.setenv("SLUICE_TEST_EMPTY", "")
    spoil, told = BROKEN[case]
    data = demo_channels()
    spoil(data)
    with pytest.raises(ConfigurationError) as refused:
        parse_channels(data, where="channels.toml")
    assert str(refused.value).startswith("channels.toml: ")
    for part in told:
        assert part in str(refused.value)


def test_the_built_in_channel_can_be_used() -> None:
    channels = parse_channels(demo_channels(1, 2), where="built-in channels")
    demo = channels.channels["demo"]
    assert demo.credentials.username == "demo"
    assert demo.name == "demo"
    assert (channels.increff.url, demo.marketplace.url) == ("http://127.0.0.1:1/assure-magic2", "http://127.0.0.1:2")
    assert demo.get_credential is not None


def test_a_channel_without_http_needs_no_url() -> None:
    data = demo_channels()
    _demo(data).update(marketplace={"timeout_s": 5}, far_side="kafka", far_sides={"get-invoice": "self"}, stock={})
    demo = parse_channels(data, where="channels.toml").channels["demo"]
    assert demo.far_side_of(BY_NAME["pack-order"]) is FarSide.KAFKA
    assert demo.far_side_of(BY_NAME["get-invoice"]) is FarSide.SELF
    assert [far_side for far_side in FarSide if demo.uses(far_side)] == [FarSide.KAFKA, FarSide.SELF]
    assert [topic.name for topic in far_side_topics(demo)] == ["channel.demo.requests", "channel.demo.answers"]


def test_what_is_switched_off_goes_nowhere() -> None:
    data = demo_channels()
    _demo(data).update(
        marketplace={}, far_side="self", far_sides={"get-invoice": "http"}, off=["get-invoice"], stock={}
    )
    demo = parse_channels(data, where="channels.toml").channels["demo"]
    assert not demo.uses(FarSide.HTTP)
    assert far_side_topics(demo) == ()


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TEST_SECRET", "from outside")
    data = demo_channels()
    _demo(data)["credentials"]["password"] = "env:SLUICE_TEST_SECRET"
    demo = parse_channels(data, where="channels.toml").channels["demo"]
    assert demo.credentials.password.get_secret_value() == "from outside"
    assert "from outside" not in repr(demo)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"increff = ", "not valid TOML"),
        (b"[increff]\n", "increff.url"),
        (b"# caf\xe9\n", "is not UTF-8, as TOML has to be: byte 5 cannot be read"),
    ],
)
def test_an_error_names_the_file(text: bytes | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "channels.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ConfigurationError) as refused:
        load_channels(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("SLUICE_GATEWAY_PORT", "http", "must be a whole number, not 'http'"),
        ("SLUICE_PARTITIONS", "0", "must be at least 1, not '0'"),
        ("SLUICE_TOPIC_PREFIX", "a/b", "must match the pattern"),
        ("SLUICE_RELAY_DEADLINE_S", "50", "less than 45"),
        ("SLUICE_API_TOKEN", "", "is empty"),
        ("SLUICE_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_variable_is_named(variable: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert f"environment: {variable}: " in str(refused.value)
    assert told in str(refused.value)
