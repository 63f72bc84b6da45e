"""No channel's name can collide with the keys that roles keep beside positions, nor with a path."""

from __future__ import annotations

import pytest

from tests.fakes.inventory import channels
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.errors import ConfigurationError
from topics.records.keys import position_key
from topics.stock.positions import is_position


def named(name: str) -> Channels:
    data = channels().model_dump()
    demo = channels().channels["demo"].model_dump(exclude={"name"})
    demo["credentials"]["password"] = demo["increff_credentials"]["password"] = "secret"
    demo["increff_headers"] = {"X-Api-Key": "key"}
    return parse_channels({"increff": {"url": data["increff"]["url"]}, "channels": {name: demo}}, where="channels.toml")


@pytest.mark.parametrize("name", ["demo", "Shop-1", "eu.shop_2"])
def test_a_plain_name_is_taken_and_makes_positions(name: str) -> None:
    assert named(name).channels[name].name == name
    assert is_position(position_key(name, "~ALL", "~sku"))


@pytest.mark.parametrize("name", ["~origin", "", "a b", "a/b", "-a", "x" * 65])
def test_another_name_is_an_error_that_says_why(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a channel"):
        named(name)
