"""PHP writes an object without members as an empty list. It is taken as empty, and sent on as it came."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from topics.contract.leniency import read_call
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS

Path = tuple[str | int, ...]


def objects_in(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all objects that are members, not entries of lists."""
    if isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, dict):
                yield (*path, name)
            yield from objects_in(member, (*path, name))
    if isinstance(value, list):
        for n, item in enumerate(value):
            yield from objects_in(item, (*path, n))


EVERY = [(one.name, path) for one in TOUCHPOINTS for path in objects_in(sample(one.name).members)]


def test_the_samples_have_such_members() -> None:
    names = {path[-1] for _, path in EVERY}
    assert names >= {
        "shippingAddress",
        "giftOptions",
        "orderCustomAttributes",
        "dimensions",
        "invoice",
        "pickupAddress",
    }


@pytest.mark.parametrize(("name", "path"), EVERY)
def test_an_empty_list_is_an_object_without_members(name: str, path: Path) -> None:
    members = deepcopy(sample(name).members)
    place: Any = members
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = []
    call = read_call(BY_NAME[name], members)
    assert call.own == members
    read: Any = call.read
    for part in path:
        read = read[part]
    # Members that Sluice does not judge stay as they are: see `NotJudged`.
    assert read in ({}, None, [])
