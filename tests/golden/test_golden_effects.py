"""The golden effects: whoever changes what leaves, or what the state means, sees here what changed.

`python -m tests.golden write` records it anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.golden.differences import compare
from tests.golden.files import read_effects, read_stored
from tests.golden.recording import encoded, record
from tests.golden.told import Told, said_of_effects, said_of_stored, tell, tell_all
from topics.contract.definition import Mode
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records.facts.catalogue import FACTS
from topics.records.verdicts import Verdict

SHORT = "waiting-callers"


@pytest.fixture(scope="module")
def told() -> Told:
    return tell_all()


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    return read_effects()


def test_what_leaves_and_what_the_state_means_is_as_recorded(told: Told, recorded: list[dict[str, Any]]) -> None:
    said = said_of_effects(recorded, [json.loads(line) for line in told.lines])
    assert not said, said


def test_the_stored_bytes_are_as_recorded(told: Told) -> None:
    said = said_of_stored(read_stored(), told.stored)
    assert not said, said


def test_the_stories_reach_every_touchpoint_verdict_and_kind_of_record(recorded: list[dict[str, Any]]) -> None:
    counts = " ".join(f"{name} " for line in recorded if "story" in line for name in line["counts"])
    assert all(f"replies reply {verdict}" in counts for verdict in Verdict)
    labels = " ".join(line["event"] for line in recorded if "event" in line)
    taken = [
        one.name for one in TOUCHPOINTS if one.mode is not Mode.ANSWER and one.entity in ("order", "return", "manifest")
    ]
    assert [name for name in taken if f"{name} " not in labels] == []
    assert [name for name in FACTS if f"fact.{name} " not in counts] == []
    for kind in ("set aside BAD_DATA", "replies.demo", "orders.commands command.return-claimed"):
        assert kind in counts


def test_another_hash_seed_changes_nothing() -> None:
    code = f"from tests.golden.told import tell; print(tell({SHORT!r})[1], tell('mixed-0')[1])"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    stored = read_stored()
    assert found.stdout.split() == [stored[SHORT], stored["mixed-0"]]


def test_a_difference_is_told_in_words() -> None:
    world, _ = tell(SHORT)
    before: list[dict[str, Any]] = [json.loads(encoded(line)) for line in record(SHORT, world)]
    now: list[dict[str, Any]] = json.loads(json.dumps(before))
    event = next(line for line in now if line.get("effects") and "pack-order" in line["event"])
    number = now.index(event)
    effect = next(one for one in event["effects"] if one["topic"] == "deliveries.requests")
    effect["value"] = effect["value"].replace('"quantityToPack":1', '"quantityToPack":1.0')
    effect["headers"] = [pair for pair in effect["headers"] if pair[0] != "ce_time"]
    said = str(compare(before, now))
    assert f"story {SHORT}, event {number} ({event['event']})" in said
    assert "header ce_time is gone" in said
    assert "body.shipmentItems[0].quantityToPack: was 1, is 1.0" in said
