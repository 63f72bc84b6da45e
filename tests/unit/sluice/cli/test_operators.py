"""`sluice orders resubmit` and `sluice deliveries`: nothing is sent without --yes, and each outcome is a line."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

import sluice.cli.gateway_client
import sluice.cli.orders
import sluice.cli.steps.two_steps
from sluice.cli.gateway_client import UnknownError
from sluice.cli.main import main
from sluice.cli.steps.two_steps import HOW_TO
from sluice.errors import StartError
from tests.unit.sluice.cli.test_redrive import preview
from topics.api.management import LaneDecided
from topics.api.resubmissions import OrderResubmission, RefusedOfMany, ResubmissionDocument

Asked = list[tuple[str, str, Any]]
ONE = {
    "code": "O-1",
    "id": "e1.0",
    "touchpoint": "create-outward-order",
    "destination": "increff",
    "refusedAtMs": 1_750_000_000_000,
    "refusal": "SKU-1 is not mapped",
}
LINE = "create-outward-order e1.0: refused at 2025-06-15"


def of_order(outcome: str, **more: Any) -> dict[str, Any]:
    document = {"code": "O-1", "channel": "demo", "deliveries": [{**ONE, "outcome": outcome, **more}]}
    return OrderResubmission.model_validate(document).model_dump(mode="json")


def of_channel(state: str, **more: Any) -> dict[str, Any]:
    counts = dict.fromkeys(
        ("found", "possible", "sentBefore", "notPossible", "late", "delivered", "refusedAgain", "onTheirWay"), 0
    )
    document = {
        "id": "rsb_1",
        "state": state,
        "asked": RefusedOfMany(channel="demo"),
        "createdMs": 1,
        "more": False,
        "groups": [{"touchpoint": "create-outward-order", "refusal": "SKU-1 is not mapped", "count": 3}],
        "examples": [{**ONE, "outcome": "not possible", "message": "order O-1 is SUBMITTED"}],
        "message": "",
        **counts,
        **more,
    }
    return ResubmissionDocument.model_validate(document).model_dump(mode="json")


class Api:
    """The gateway: a preview, then an answer for each call, or what it raises; the last one stays."""

    def __init__(self, *answers: Any, shown: Any = None) -> None:
        self.shown = shown or preview()
        self.answers = list(answers)
        self.asked: Asked = []
        self.waits: list[int] = []

    def ask(self, _url: str, method: str, path: str, body: Any = None, *, wait_s: int = 0, **_more: Any) -> Any:
        self.asked.append((method, path, body))
        self.waits.append(wait_s)
        if path.partition("?")[0].endswith("/preview") and not isinstance(self.answers[0], StartError):
            return self.shown
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def run(monkeypatch: pytest.MonkeyPatch, api: Api, *arguments: str) -> tuple[int, list[str]]:
    monkeypatch.setattr(sluice.cli.gateway_client, "ask", api.ask)
    monkeypatch.setattr(sluice.cli.orders, "ask", api.ask)
    monkeypatch.setattr(sluice.cli.steps.two_steps, "ask", api.ask)
    monkeypatch.setattr(sluice.cli.gateway_client, "POLL_S", 0)
    done = CliRunner().invoke(main, arguments)
    assert "Traceback" not in done.output
    return done.exit_code, done.output.splitlines()


SENDS = ("--yes", "--reason", "mapped")
ACT = {"token": "t", "reason": "mapped"}


def test_without_yes_it_says_what_would_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(of_order("sent"))
    code, lines = run(monkeypatch, api, "orders", "resubmit", "O-1")
    assert api.asked == [("POST", "/api/orders/O-1/resubmit/preview", {})]
    assert (code, lines[2], lines[-1]) == (0, "    O-1  pack-order  e1.0  cannot pack", HOW_TO)


def test_with_yes_it_sends_and_waits_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(of_order("sent", newId="r1.0", state="delivered"))
    given = ("--channel", "demo", "--touchpoint", "create-outward-order", "--delivery", "e1.0", "--wait")
    code, lines = run(monkeypatch, api, "orders", "resubmit", "O-1", *given, *SENDS)
    asked = {"touchpoint": "create-outward-order", "deliveries": ["e1.0"]}
    assert api.asked == [
        ("POST", "/api/orders/O-1/resubmit/preview?channel=demo", asked),
        ("POST", "/api/orders/O-1/resubmit?channel=demo&wait=30", ACT),
    ]
    assert (code, api.waits, lines[-1]) == (0, [0, 30], "    sent as r1.0: delivered")
    assert lines[-2].startswith(LINE)


@pytest.mark.parametrize(
    ("state", "message", "line", "code"),
    [
        ("refused", "SKU-1 is not mapped", "    sent as r1.0: refused: SKU-1 is not mapped", 1),
        ("dead", "cannot cancel", "    sent as r1.0: dead: cannot cancel", 1),
        ("queued", "", "    sent as r1.0: queued", 1),
        (None, "", "    sent as r1.0", 1),
    ],
)
def test_with_wait_it_is_a_success_only_where_the_far_side_took_it(
    state: str | None, message: str, line: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(of_order("sent", newId="r1.0", state=state, message=message))
    sends = ("orders", "resubmit", "O-1", "--yes", "--reason", "mapped")
    ended, lines = run(monkeypatch, api, *sends, "--wait")
    assert (ended, lines[-1]) == (code, line)
    assert run(monkeypatch, api, *sends)[0] == 0, "nobody waited to see"


def test_what_is_not_possible_says_why_and_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(of_order("not possible", message="order O-1 is CANCELLED"))
    code, lines = run(monkeypatch, api, "orders", "resubmit", "O-1", "--yes", "--reason", "mapped")
    assert (code, lines[-1]) == (1, "    not possible: order O-1 is CANCELLED")
    none = Api(of_order("sent"), shown=preview(count=0, token=None))
    assert run(monkeypatch, none, "orders", "resubmit", "O-1")[0] == 1


def test_a_return_is_found_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(UnknownError("There is no order R-1"), of_order("sent"))
    code, _lines = run(monkeypatch, api, "orders", "resubmit", "R-1")
    assert code == 0
    assert [path for _, path, _ in api.asked] == [f"/api/{kind}/R-1/resubmit/preview" for kind in ("orders", "returns")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name an order or return, or a channel"),
        (("O-1", "--yes"), "--reason TEXT is needed"),
        (("O-1", "--yes", "--reason", " "), "--reason TEXT is needed"),
        (("O-1", "--yes", "--dry-run"), "give only one of them"),
        (("O-1", "--since", "2026-11-30"), "--since is for a whole channel"),
        (("O-1", "--order", "O-2"), "--order is for a whole channel"),
        (("--channel", "demo", "--delivery", "e1.0"), "--delivery is of one order"),
        (("--channel", "demo", "--refusal", ""), "--refusal is empty"),
        (("--channel", "demo", "--order", ""), "--order is empty"),
        (("--channel", "demo", "--touchpoint", ""), "--touchpoint is empty"),
        (("--channel", "demo", "--since", ""), "--since is empty"),
        (("O-1", "--delivery", ""), "--delivery is empty"),
        (("O-1", "--channel", ""), "--channel is empty"),
    ],
)
def test_what_makes_no_sense_is_said(arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(of_order("sent"))
    code, lines = run(monkeypatch, api, "orders", "resubmit", *arguments)
    assert (code, api.asked) == (2, [])
    assert says in " ".join(lines)


def test_a_whole_channel_is_shown_first(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(of_channel("done"))
    given = ("--channel", "demo", "--refusal", "not mapped", "--since", "2026-11-30", "--order", "A", "--order", "B")
    code, lines = run(monkeypatch, api, "orders", "resubmit", *given)
    body = {"channel": "demo", "refusal": "not mapped", "since": "2026-11-30", "orders": ("A", "B")}
    assert api.asked == [("POST", "/api/resubmissions/preview", body)]
    assert (code, lines[-1]) == (0, HOW_TO)


def test_a_whole_channel_is_sent_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    done = of_channel("done", possible=3, delivered=2, refusedAgain=1)
    api = Api(of_channel("sending"), of_channel("sending"), done)
    code, lines = run(monkeypatch, api, "orders", "resubmit", "--channel", "demo", *SENDS)
    assert (code, lines[-3], lines[-1]) == (0, "3 sent", "rsb_1 done: 2 delivered, 1 refused again")


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"possible": 2, "refusedAgain": 2}, 1),
        ({"possible": 2}, 1),
        ({"late": 2}, 1),
        ({"possible": 2, "delivered": 1, "refusedAgain": 1}, 0),
        ({"possible": 1, "onTheirWay": 1}, 0),
        ({"sentBefore": 2}, 0),
        ({}, 0),
    ],
)
def test_a_whole_channel_of_which_nothing_came_right_is_no_success(
    counts: dict[str, Any], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends = ("orders", "resubmit", "--channel", "demo", "--yes", "--reason", "mapped")
    assert run(monkeypatch, Api(of_channel("done", **counts)), *sends)[0] == code


@pytest.mark.parametrize(
    ("codes", "line"), [(["O-1", "O-2"], "          O-1, O-2, .."), (["O-1", "O-2", "O-3"], "          O-1, O-2, O-3")]
)
def test_each_reason_names_some_codes(codes: list[str], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group = {"touchpoint": "create-outward-order", "refusal": "no", "count": 3, "codes": codes}
    api = Api(of_channel("done", possible=3, groups=[group], examples=[]))
    _code, lines = run(monkeypatch, api, "orders", "resubmit", "--channel", "demo", *SENDS)
    assert lines[5:7] == ["       3  create-outward-order  no", line]


def test_an_interrupt_stops_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(of_channel("sending"), KeyboardInterrupt(), of_channel("stopped", possible=1, onTheirWay=1))
    code, lines = run(monkeypatch, api, "orders", "resubmit", "--channel", "demo", "--yes", "--reason", "mapped")
    assert api.asked[-1][:2] == ("DELETE", "/api/resubmissions/rsb_1")
    assert (code, lines[-1]) == (0, "rsb_1 stopped: 0 delivered, 0 refused again, 1 still on their way")


ENDS = [
    ("retry", "delivered", None, "retry e1.0: delivered", 0),
    ("skip", "skipped", None, "skip e1.0: skipped", 0),
    ("retry", "dead", "cannot cancel", "retry e1.0: dead again: cannot cancel", 1),
    ("retry", "retrying", "HTTP 503", "retry e1.0: retrying: HTTP 503", 1),
    ("retry", "refused", "no", "retry e1.0: refused: no", 1),
    ("retry", "applied", "nothing has come of it yet", "retry e1.0: applied: nothing has come of it yet", 1),
    ("skip", "stored", "not taken yet", "skip e1.0: stored: not taken yet", 1),
]


@pytest.mark.parametrize(("action", "state", "message", "line", "code"), ENDS)
def test_a_decision_says_what_came_of_it(
    action: str, state: str, message: str | None, line: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = LaneDecided(request="e1.0", action=action, eventId="e", state=state, message=message)
    api = Api(decided.model_dump(mode="json"))
    decision = ("deliveries", action, "O-1", "e1.0", *SENDS)
    ended, lines = run(monkeypatch, api, *decision, "--wait")
    assert (ended, lines[-1]) == (code, line)
    path = f"/api/orders/O-1/deliveries/e1.0/{action}"
    assert api.asked == [("POST", f"{path}/preview", None), ("POST", f"{path}?wait=30", ACT)]
    ended, lines = run(monkeypatch, api, *decision)
    assert (ended, lines[-1]) == (0, line), "without --wait only the decision itself may fail"


def test_a_refused_decision_is_an_error_in_the_gateways_words(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(StartError("http://x answered 409: retry of pack-order is not possible: it was delivered"))
    code, lines = run(monkeypatch, api, "deliveries", "retry", "O-1", "e1.0")
    assert code == 2
    assert "it was delivered" in " ".join(lines)


def test_an_unknown_delivery_is_said_of_the_order_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(UnknownError("O-1 has no delivery e9"), UnknownError("There is no return O-1"))
    code, lines = run(monkeypatch, api, "deliveries", "skip", "O-1", "e9")
    assert code == 2
    assert "O-1 has no delivery e9" in " ".join(lines)
