"""An outage is one line when it begins and one when it ends; what the client says of each try is none."""

from __future__ import annotations

import ast
import logging
from pathlib import Path
from typing import Any

import aiokafka
import mode
import pytest

from topics.logs.brokers import Brokers
from topics.logs.catalogue import KAFKA_AWAY, KAFKA_BACK
from topics.logs.client_chatter import GAP_S, LASTS_S, PASSING, QUIET_S, ClientChatter

TRY = "Failed fetch messages from %s: %s"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def brokers(told: list[Any], clock: Clock | None = None) -> Brokers:
    def write(event: Any, **fields: Any) -> None:
        told.append((event, fields))

    return Brokers(write, clock or Clock())


def test_a_thousand_failures_are_one_outage() -> None:
    told: list[Any] = []
    clock = Clock()
    known = brokers(told, clock)
    known.answered(1, "h:1")
    for _ in range(1_000):
        known.failed(1, "h:1", "no connection")
    clock.now += 20.04
    for _ in range(3):
        known.answered(1, "h:1")
    assert told == [
        (KAFKA_AWAY, {"broker": "1", "server": "h:1", "error": "no connection"}),
        (KAFKA_BACK, {"broker": "1", "server": "h:1", "lasted_s": 20.0}),
    ]


def test_each_broker_has_its_own_outage() -> None:
    told: list[Any] = []
    known = brokers(told)
    known.failed(1, "h:1", "no connection")
    known.failed(2, "h:2", "no connection")
    known.answered(2, "h:2")
    known.answered(3, "h:3")
    assert [(event.name, fields["broker"]) for event, fields in told] == [
        ("kafka-away", "1"),
        ("kafka-away", "2"),
        ("kafka-back", "2"),
    ]
    assert list(known.away) == [1]


def said(text: str, at: float, name: str = "aiokafka.consumer.fetcher") -> logging.LogRecord:
    record = logging.LogRecord(name, logging.ERROR, "", 0, text, (1, "x"), None)
    record.created = at
    return record


def test_what_is_tried_again_is_left_out_until_it_lasts() -> None:
    chatter = ClientChatter(brokers([]))
    at = [chatter.filter(said(TRY, 1_000.0 + second)) for second in range(int(LASTS_S + 2 * QUIET_S))]
    assert [second for second, passes in enumerate(at) if passes] == [int(LASTS_S), int(LASTS_S + QUIET_S)]


def test_what_began_anew_has_not_lasted() -> None:
    chatter = ClientChatter(brokers([]))
    assert not any(chatter.filter(said(TRY, 1_000.0 + second)) for second in range(int(LASTS_S)))
    again = 1_000.0 + LASTS_S + GAP_S
    assert not any(chatter.filter(said(TRY, again + second)) for second in range(int(LASTS_S)))


def test_an_outage_has_its_own_line() -> None:
    known = brokers([])
    known.failed(1, "h:1", "no connection")
    chatter = ClientChatter(known)
    assert not any(chatter.filter(said(TRY, 1_000.0 + second)) for second in range(600))


@pytest.mark.parametrize(
    ("text", "name"),
    [("Unexpected error in fetcher routine", "aiokafka.consumer.fetcher"), (TRY, "streams.runtime.worker")],
)
def test_anything_else_passes(text: str, name: str) -> None:
    assert ClientChatter(brokers([])).filter(said(text, 1_000.0, name))


def texts_of(package: Any) -> set[str]:
    found: set[str] = set()
    for path in Path(package.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


def test_the_libraries_say_it_in_these_words() -> None:
    assert set(PASSING) - texts_of(aiokafka) - texts_of(mode) == set()
