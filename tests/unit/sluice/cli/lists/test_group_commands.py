"""The commands below groups of dead letters choose the group, and no more."""

from __future__ import annotations

import shlex
from typing import Any

from sluice.cli.orders import orders
from sluice.cli.redrive import redrive
from sluice.cli.render.lists import render_letter_groups


def group(kind: str, reason: str) -> dict[str, Any]:
    example = {"channel": "demo", "code": "O-1"}
    times = {"firstMs": 1, "lastMs": 2}
    of = {"kind": kind, "destination": "increff", "touchpoint": "create-outward-order", "reason": reason}
    return {"count": 3, **of, **times, "example": example}


def test_each_is_parsed_with_what_the_group_is_chosen_by() -> None:
    document = {"groups": [group("dead", "503"), group("refused", "SKU-1 is not mapped")], "more": False}
    again, anew = (shlex.split(line.split(": ", 1)[1]) for line in render_letter_groups(document).splitlines()[-2:])
    found = redrive.make_context("redrive", again[2:]).params
    assert (again[:2], found["destination"], found["failure"]) == (["sluice", "redrive"], "increff", "503")
    assert found["reason"] is None, "why it is done is the operator's to say"
    found = orders.commands["resubmit"].make_context("resubmit", anew[3:]).params
    assert (anew[:3], found["channel"]) == (["sluice", "orders", "resubmit"], "demo")
    assert (found["touchpoint"], found["refusal"]) == ("create-outward-order", "SKU-1 is not mapped")
