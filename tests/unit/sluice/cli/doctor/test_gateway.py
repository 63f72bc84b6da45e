"""The gateway and the journal, by what a gateway answers over a real socket."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from sluice.cli.doctor.findings import Level, Observation
from sluice.cli.doctor.gateway import JOURNAL_AGE_MS, look
from sluice.dev.local.ports import free_ports
from topics.api.journal.status import StatusDocument

WELL: dict[str, Any] = {
    "nowMs": 1_796_000_000_000,
    "gatewayUnready": None,
    "kafka": {"isReachable": True, "message": None},
    "journal": {"isReachable": True, "message": None, "ageMs": 800, "recordMs": 1, "lagRecords": 3},
    "roles": [],
    "undelivered": None,
    "destinations": None,
    "unlisted": 0,
}


@contextmanager
def gateway(ahead_s: float = 0.0, **changes: Any) -> Iterator[str]:
    document = {**WELL, **changes}
    StatusDocument.model_validate(document)  # it is what a gateway answers

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(document if self.path == "/api/status" else {}).encode()
            self.send_response_only(200)
            self.send_header("Date", email.utils.formatdate(time.time() + ahead_s, usegmt=True))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
            return

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}"
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join(5)


def found(ahead_s: float = 0.0, **changes: Any) -> dict[str, Observation]:
    with gateway(ahead_s, **changes) as url:
        return {one.check: one for one in look(url)}


def test_all_is_well() -> None:
    findings = found()
    assert set(findings) == {"clock", "gateway", "journal"}
    assert {one.level for one in findings.values()} == {Level.OK}


@pytest.mark.parametrize("ahead_s", [3_600.0, -3_600.0])
def test_a_clock_that_is_wrong(ahead_s: float) -> None:
    clock = found(ahead_s)["clock"]
    assert (clock.level, "NTP" in clock.do) == (Level.PROBLEM, True)
    assert ("ahead of" if ahead_s > 0 else "behind") in clock.what


def test_a_journal_that_is_behind() -> None:
    journal = {**WELL["journal"], "ageMs": JOURNAL_AGE_MS + 1, "lagRecords": 70_000}
    finding = found(journal=journal)["journal"]
    assert (finding.level, "70000 records" in finding.what, "sluice run journal" in finding.do) == (
        *(Level.PROBLEM, True),
        True,
    )


def test_a_journal_that_cannot_be_read() -> None:
    journal = {**dict.fromkeys(WELL["journal"]), "isReachable": False, "message": "look at SLUICE_JOURNAL_URL"}
    finding = found(journal=journal)["journal"]
    assert (finding.level, finding.what) == (Level.PROBLEM, "look at SLUICE_JOURNAL_URL")


def test_a_gateway_that_takes_no_calls_and_one_that_is_not_there() -> None:
    finding = found(gatewayUnready="Kafka is away")["gateway"]
    assert (finding.level, "Kafka is away" in finding.what) == (Level.PROBLEM, True)
    (port,) = free_ports(1)
    gone = {one.check: one for one in look(f"http://127.0.0.1:{port}")}
    assert (gone["gateway"].level, gone["journal"].level) == (Level.PROBLEM, Level.UNKNOWN)
    assert "--url" in gone["gateway"].do
