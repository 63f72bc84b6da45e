"""`sluice subscriptions` asks the gateway for what was said, and shows a person what matters: a secret once, never in
a list; why one is disabled; what was wrong, in the gateway's words."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sluice.cli.main import main
from tests.unit.sluice.cli.test_redrive import preview

ID = "sub_" + "a" * 16
ONE: dict[str, Any] = {
    "id": ID,
    "state": "active",
    "url": "http://127.0.0.1:9000/",
    "description": "ERP",
    "types": ["order-*"],
    "channels": ["demo"],
    "locations": [],
    "signature": "v1",
    "secrets": [{"created_ms": 1_700_000_000_000, "until_ms": None, "reference": None}],
    "verified_ms": 1_700_000_000_000,
    "revision": 7,
    "disabled": None,
    "failing_since_ms": None,
    "last_success_ms": None,
    "last_error": None,
    "backlog": None,
}
Asked = list[tuple[str, str, Any]]


@contextmanager
def gateway(status: int, body: Any, asked: Asked) -> Iterator[str]:
    """A gateway that gives one answer."""

    class Answer(BaseHTTPRequestHandler):
        def answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, self.path, json.loads(raw) if raw else None))
            self.send_response(status)
            self.send_header("Content-Type", "application/problem+json" if status >= 400 else "application/json")
            self.end_headers()
            if body is not None:
                self.wfile.write(json.dumps(body).encode())

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - as the base class looks for them

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
            """Silent: a test's output is its result."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run(*arguments: str, status: int = 200, body: Any = None) -> tuple[Result, Asked]:
    asked: Asked = []
    with gateway(status, body, asked) as url:
        return CliRunner().invoke(main, ["subscriptions", *arguments, "--url", url]), asked


def test_a_subscriber_is_added_with_its_filters_and_the_secret_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "whsec_own")
    made = {**ONE, "secret": "whsec_made", "public_key": None, "not_verified": None}
    result, asked = run(
        *("add", "http://127.0.0.1:9000/", "--type", "order-*", "--channel", "demo", "--set", "concurrency=8"),
        *("--secret-env", "MY_SECRET"),
        status=201,
        body=made,
    )
    wanted = {"url": "http://127.0.0.1:9000/", "types": ["order-*"], "channels": ["demo"], "concurrency": 8}
    assert asked == [("POST", "/api/subscriptions", {**wanted, "secret": "whsec_own"})]
    assert result.exit_code == 0
    assert "secret      whsec_made" in result.output
    assert f"{ID}: active" in result.output


def test_one_that_did_not_pass_is_told_how_to_go_on() -> None:
    made = {**ONE, "state": "unverified", "verified_ms": None, "not_verified": "it answered 500: expected 2xx"}
    result, _ = run("add", "http://127.0.0.1:9000/", status=201, body=made)
    assert "not verified: it answered 500: expected 2xx" in result.output
    assert f"`sluice subscriptions verify {ID}` passes" in result.output


@pytest.mark.parametrize(
    ("arguments", "method", "path", "body"),
    [
        (("show", ID), "GET", f"/{ID}", None),
        (("verify", ID), "POST", f"/{ID}/verify", None),
        (("enable", ID), "POST", f"/{ID}/enable", None),
        (("disable", ID), "POST", f"/{ID}/disable", None),
        (("rotate", ID, "--overlap-s", "60"), "POST", f"/{ID}/rotate-secret", {"overlap_s": 60}),
        (("change", ID, "--description", "x"), "PATCH", f"/{ID}", {"description": "x"}),
        (("change", ID, "--endpoint", "https://x.example/"), "PATCH", f"/{ID}", {"url": "https://x.example/"}),
    ],
    ids=str,
)
def test_each_command_is_one_call(arguments: tuple[str, ...], method: str, path: str, body: Any) -> None:
    result, asked = run(*arguments, body=ONE)
    assert result.exit_code == 0, result.output
    assert asked == [(method, "/api/subscriptions" + path, body)]


def test_a_change_may_name_the_revision_that_it_is_meant_for() -> None:
    problem = {"status": 412, "code": "CHANGED", "detail": "It is at revision 4 now, and nothing was changed"}
    result, _ = run("change", ID, "--description", "x", "--revision", "3", status=412, body=problem)
    assert result.exit_code != 0
    assert "It is at revision 4 now" in result.output


def test_a_decision_names_the_delivery_and_whose_it_is() -> None:
    decided = {"request": "msg_1", "action": "skip", "state": "applied", "message": None, "eventId": "e"}
    given = ("skip", ID, "msg_1", "--return", "R 1", "--channel", "demo", "--yes", "--reason", "gone")
    result, asked = run(*given, status=200, body={**preview(), **decided})
    assert result.output.splitlines()[-1] == "skip msg_1: applied"
    path, query = f"/api/subscriptions/{ID}/deliveries/msg_1/skip", "channel=demo&return=R+1"
    body = {"token": "t", "reason": "gone"}
    assert asked == [("POST", f"{path}/preview?{query}", None), ("POST", f"{path}?{query}", body)]


def test_removing_says_so() -> None:
    result, asked = run("remove", ID, status=204)
    assert asked == [("DELETE", f"/api/subscriptions/{ID}", None)]
    assert result.output == f"{ID} is removed\n"


def test_the_list_says_who_is_disabled_and_why() -> None:
    disabled = {"by": "sluice", "reason": "gone", "since_ms": 1_700_000_000_000}
    result, _ = run("list", body={"subscriptions": [ONE, {**ONE, "state": "disabled", "disabled": disabled}]})
    first, second = result.output.splitlines()
    assert first.split() == [ID, "active", "order-*", "http://127.0.0.1:9000/"]
    assert "disabled by sluice at 2023-11-14 22:13:20Z, its endpoint answered 410" in second


def test_the_list_says_which_cannot_be_read() -> None:
    result, _ = run("list", body={"subscriptions": [], "unreadable": ["sub_x", "\x1b[2J"]})
    assert result.output.splitlines() == [
        "sub_x  cannot be read (docs/unreadable.md)",
        "\\x1b[2J  cannot be read (docs/unreadable.md)",
    ]


def test_the_revision_that_a_change_may_name_is_shown() -> None:
    result, _ = run("show", ID, body=ONE)
    assert "  revision    7\n" in result.output


def test_what_waits_is_shown_and_what_blocks_it_as_the_commands_want_it() -> None:
    blocked = {"channel": "demo", "dead_ms": 1_700_000_000_000, "error": "status 413"}
    facts = [
        {**blocked, "delivery": "msg_1", "kind": "order", "code": "A 1"},
        {**blocked, "delivery": "msg_2", "kind": "return", "code": "R-1"},
    ]
    backlog = {"as_of_ms": 1_700_000_060_000, "orders": 40, "oldest_ms": 1_700_000_000_000, "blocked": 5}
    result, _ = run("show", ID, body={**ONE, "backlog": {**backlog, "blocked_facts": facts}})
    assert result.output.splitlines()[-5:] == [
        "  waiting     facts of 40 orders, the oldest since 2023-11-14 22:13:20Z; as of 2023-11-14 22:14:20Z",
        f"  blocked     5 of them; decide by `sluice subscriptions retry|skip {ID}` and",
        "    msg_1 --order 'A 1' --channel demo   given up 2023-11-14 22:13:20Z, status 413",
        "    msg_2 --return R-1 --channel demo   given up 2023-11-14 22:13:20Z, status 413",
        "    and 3 more, shown when these are decided",
    ]
    result, _ = run("show", ID, body={**ONE, "backlog": {**backlog, "blocked": 0, "blocked_facts": []}})
    assert "blocked" not in result.output


def test_json_is_the_document_as_it_is() -> None:
    result, _ = run("show", ID, "--json", body=ONE)
    assert json.loads(result.output) == ONE


def test_a_refusal_is_told_in_the_gateways_words() -> None:
    problem = {"status": 400, "code": "BAD_DATA", "detail": "Input validation failed: [url: is private]"}
    result, _ = run("add", "http://10.0.0.1/", status=400, body=problem)
    assert result.exit_code != 0
    assert "url: is private" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("text", ["concurrency", "concurrency=", "concurrency=many"])
def test_a_setting_that_is_no_json_is_refused_before_anything_is_asked(text: str) -> None:
    result, asked = run("add", "https://x.example/", "--set", text)
    assert result.exit_code == 2
    assert "expected NAME=JSON" in result.output
    assert asked == []
