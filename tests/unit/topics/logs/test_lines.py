"""A line has one shape and only the fields of its event."""

from __future__ import annotations

import logging
import re
import sys
import threading
from pathlib import Path

import orjson
import pytest

from tests.support.logs.lines import CANARY, read_lines, written
from topics.logs import lines, setup
from topics.logs.catalogue import ATTEMPT, EVENTS, FIELDS, KAFKA_BACK, MESSAGE, SET_ASIDE, SHARED
from topics.logs.lines import LEVELS, STRICT_VARIABLE, Lines, Moments, write_line

ROOT = Path(__file__).resolve().parents[4]
ROOMS = ("gateway", "streams", "sluice", "topics")


def test_the_catalogue_is_whole() -> None:
    assert len({event.name for event in EVENTS}) == len(EVENTS)
    assert {name for event in EVENTS for name in event.fields} == set(FIELDS)
    assert not FIELDS.keys() & SHARED.keys()
    assert all(event.level in LEVELS for event in EVENTS)


def test_every_event_is_written_somewhere() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if path.name != "catalogue.py"
    )
    names = {event.name.replace("-", "_").upper() for event in EVENTS} - {"REFUSED"} | {"OVERLOADED"}
    assert [name for name in names if not re.search(rf"\b{name}\b", sources)] == []


def test_a_line_is_json_with_the_shared_fields_first() -> None:
    with written() as kept:
        write_line(KAFKA_BACK, broker="1", server="h:1", lasted_s=2.5)
    (line,) = read_lines(kept)
    assert kept[0].endswith(b"\n")
    assert (line["role"], line["instance"], line["level"], line["event"]) == ("test", "0", "info", "kafka-back")
    assert (line["broker"], line["server"], line["lasted_s"]) == ("1", "h:1", 2.5)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])


def test_a_moment_has_its_milliseconds() -> None:
    moments = Moments()
    assert [moments.text(ns) for ns in (1_750_000_000_007_999_999, 1_750_000_000_999_000_000, 0)] == [
        "2025-06-15T15:06:40.007Z",
        "2025-06-15T15:06:40.999Z",
        "1970-01-01T00:00:00.000Z",
    ]


def test_a_field_that_is_not_listed_is_left_out_and_fails_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LookupError, match=r"attempt: body, phone"), written():
        write_line(ATTEMPT, status=200, phone=CANARY, body=CANARY)
    monkeypatch.delenv(STRICT_VARIABLE)
    with written() as kept:
        write_line(ATTEMPT, status=200, phone=CANARY, body=CANARY)
    (line,) = read_lines(kept)
    assert line["status"] == 200
    assert CANARY not in str(line)


def test_a_line_below_the_level_is_not_written() -> None:
    kept: list[bytes] = []
    quiet = Lines("orders", "0", level=logging.WARNING, write=kept.append)
    quiet.write(ATTEMPT, {"status": 200})
    quiet.write(SET_ASIDE, {"code": "X"})
    quiet.write(MESSAGE, {"message": "m"}, "error")
    assert [line["event"] for line in read_lines(kept)] == ["set-aside", "message"]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `configure` changes is as before afterwards."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(lines, "LINES", lines.LINES)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging.getLogger("aiokafka"), "level", logging.WARNING)


@pytest.mark.usefixtures("configured")
def test_a_text_has_the_same_shape_and_an_error_no_message(capfd: pytest.CaptureFixture[str]) -> None:
    setup.configure("delivery", "7", "info", "json")
    log = logging.getLogger("streams.some.room")
    log.info("partition %d is read", 3)
    log.debug("not this")
    try:
        raise ValueError(f"{CANARY} is no number")
    except ValueError:
        log.exception("deciding failed")
    first, second = read_lines([capfd.readouterr().err.encode()])
    assert (first["role"], first["instance"], first["level"], first["event"]) == ("delivery", "7", "info", "message")
    assert (first["logger"], first["message"]) == ("streams.some.room", "partition 3 is read")
    assert (second["level"], second["message"]) == ("error", "deciding failed")
    assert second["error"].startswith("ValueError at test_lines.py:")
    assert CANARY not in str(second)


@pytest.mark.usefixtures("configured")
def test_an_error_that_nobody_takes_has_a_line_too(capfd: pytest.CaptureFixture[str]) -> None:
    setup.configure("orders", "0", "info", "json")

    def fail() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    lines_of_errors = read_lines([capfd.readouterr().err.encode()])
    assert [line["level"] for line in lines_of_errors] == ["critical", "critical"]
    assert all("test_lines.py" in line["error"] for line in lines_of_errors)
    assert CANARY not in str(lines_of_errors)


@pytest.mark.usefixtures("configured")
def test_people_get_a_line_without_what_is_empty(capfd: pytest.CaptureFixture[str]) -> None:
    setup.configure("delivery", "7", "info", "console")
    write_line(ATTEMPT, destination="increff", status=None, error="")
    logging.getLogger("x").warning("a text")
    first, second = capfd.readouterr().err.splitlines()
    assert "attempt" in first
    assert "destination=increff" in first
    assert "status" not in first
    assert "a text" in second
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(first)
