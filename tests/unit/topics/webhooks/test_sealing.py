"""A stored secret opens only here, only for its owner, and shows itself nowhere."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import load_settings
from topics.webhooks.sealing import SealError, SecretBox, secret_box

OLD, NEW = b"o" * 32, b"n" * 32
SECRET, OWNER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "sub_0123456789abcdef"


def text(*keys: bytes) -> str:
    return ", ".join(base64.b64encode(key).decode() for key in keys)


def test_what_was_sealed_opens_and_looks_different_each_time() -> None:
    box = SecretBox([OLD])
    first, second = box.seal(SECRET, OWNER), box.seal(SECRET, OWNER)
    assert first != second
    assert box.open(first, OWNER) == box.open(second, OWNER) == SECRET


def test_while_the_key_is_changed_the_first_seals_and_all_open() -> None:
    before = SecretBox([OLD]).seal(SECRET, OWNER)
    both = SecretBox([NEW, OLD])
    assert both.open(before, OWNER) == SECRET
    assert SecretBox([NEW]).open(both.seal(SECRET, OWNER), OWNER) == SECRET


def test_a_secret_is_renewed_under_the_first_key_when_it_opens() -> None:
    both, before = SecretBox([NEW, OLD]), SecretBox([OLD]).seal(SECRET, OWNER)
    renewed = both.renewed(before, OWNER)
    assert SecretBox([NEW]).open(renewed, OWNER) == SECRET
    assert both.renewed(renewed, OWNER) == renewed
    assert SecretBox([NEW]).renewed(before, OWNER) == before
    assert SecretBox([]).renewed("", OWNER) == ""
    with pytest.raises(SealError, match="another's"):
        both.renewed(before, "sub_another")


def test_without_its_key_the_error_names_the_key_and_what_to_do() -> None:
    sealed = SecretBox([OLD]).seal(SECRET, OWNER)
    name = sealed.split(":")[1]
    with pytest.raises(SealError, match=f"sealed under key {name}: add that key to SLUICE_SECRET_KEY, which has "):
        SecretBox([NEW]).open(sealed, OWNER)
    with pytest.raises(SealError, match="which is not set"):
        SecretBox([]).open(sealed, OWNER)
    with pytest.raises(SealError, match="SLUICE_SECRET_KEY is not set"):
        SecretBox([]).seal(SECRET, OWNER)


@pytest.mark.parametrize(
    "bend",
    [
        lambda sealed: sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:],
        lambda sealed: sealed[:18],
        lambda sealed: sealed[: sealed.rindex(":") + 1] + "AAAA",
        lambda sealed: sealed[: sealed.rindex(":") + 1] + "A",
    ],
)
def test_what_was_changed_does_not_open(bend: Callable[[str], str]) -> None:
    box = SecretBox([OLD])
    with pytest.raises(SealError, match="it was changed, or is another's"):
        box.open(bend(box.seal(SECRET, OWNER)), OWNER)


def test_what_was_sealed_for_another_does_not_open() -> None:
    box = SecretBox([OLD])
    with pytest.raises(SealError, match="it was changed, or is another's"):
        box.open(box.seal(SECRET, "sub_another"), OWNER)


@pytest.mark.parametrize("stored", ["", SECRET, "sealed:", "sealed:xyz:AAAA", "ENV:NAME"])
def test_what_is_not_sealed_is_refused_and_not_shown(stored: str) -> None:
    with pytest.raises(SealError, match="neither sealed nor a reference") as caught:
        SecretBox([OLD]).open(stored, OWNER)
    assert SECRET not in str(caught.value)


def test_a_reference_is_read_from_the_environment_when_it_is_needed() -> None:
    environment = {"EMPTY": ""}
    box = SecretBox([], environment)
    with pytest.raises(SealError, match="names the environment variable HOOK, which is not set"):
        box.open("env:HOOK", OWNER)
    with pytest.raises(SealError, match="EMPTY, which is empty"):
        box.open("env:EMPTY", OWNER)
    environment["HOOK"] = SECRET
    assert box.open("env:HOOK", OWNER) == SECRET


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (",", "expected 1 to 8 keys with commas between, not 0"),
        ("not base64!", "key 1 is not base64"),
        (text(OLD) + ",c2hvcnQ=", "key 2 is 5 bytes, expected 32 as base64; `openssl rand -base64 32` makes one"),
        (text(*[OLD] * 9), "expected 1 to 8 keys"),
    ],
)
def test_a_key_that_is_none_is_refused_at_the_start(given: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SLUICE_SECRET_KEY: {says}") as caught:
        load_settings(secret_key=given)
    assert given not in str(caught.value) or given == ","


def test_the_settings_and_the_box_show_no_key() -> None:
    settings = load_settings(secret_key=text(NEW, OLD))
    box = secret_box(settings)
    assert box.open(SecretBox([OLD]).seal(SECRET, OWNER), OWNER) == SECRET
    for shown in (repr(settings), str(settings), repr(box), settings.model_dump_json()):
        assert base64.b64encode(NEW).decode() not in shown
        assert repr(NEW) not in shown
