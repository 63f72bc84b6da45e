"""A far side that says nothing is left is left alone until more is; what cannot be read is not listened to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.attempts.response_headers import RETRY_AFTER_MAX_S, spent_until_ms
from streams.delivery.ports import Answer, Call
from tests.fakes.delivery import START_MS, Played, channels_for, request_for
from topics.records.keys import INCREFF

NOW_MS = 1_700_000_000_000
NOW_S = NOW_MS // 1000
FIELDS = ("RateLimit", "RateLimit-Policy", "RateLimit-Remaining", "X-RateLimit-Remaining", "X-RateLimit-Reset")

TABLE: dict[str, tuple[dict[str, str], float | None]] = {
    # fields, then: seconds of quiet, None: none
    "none": ({"Content-Type": "application/json"}, None),
    "something left": ({"RateLimit": '"default";r=50;t=30'}, None),
    "nothing left": ({"RateLimit": '"default";r=0;t=30'}, 30),
    "the name's case": ({"ratelimit": '"default";r=0;t=30'}, 30),
    "a token for a name": ({"RateLimit": "default;r=0;t=30"}, 30),
    "one of two spent": ({"RateLimit": '"minute";r=50;t=30, "hour";r=0;t=900'}, 900),
    "both spent": ({"RateLimit": '"minute";r=0;t=30, "hour";r=0;t=900'}, 900),
    "no time, but a window": (
        {"RateLimit": '"default";r=0', "RateLimit-Policy": '"other";q=5;w=9,"default";q=100;w=60'},
        60,
    ),
    "no time at all": ({"RateLimit": '"default";r=0', "RateLimit-Policy": '"default";q=100'}, None),
    "no count": ({"RateLimit": '"default";t=30'}, None),
    "a quota of bytes": (
        {"RateLimit": '"bytes";r=0;t=30', "RateLimit-Policy": '"bytes";q=65535;w=60;qu="content-bytes"'},
        None,
    ),
    "a quota of requests by name": (
        {"RateLimit": '"default";r=0;t=30', "RateLimit-Policy": '"default";q=5;w=60;qu="requests"'},
        30,
    ),
    "a policy alone": ({"RateLimit-Policy": '"default";q=100;w=60'}, None),
    "draft 07": ({"RateLimit": "limit=100, remaining=0, reset=5"}, 5),
    "draft 07 with something left": ({"RateLimit": "limit=100, remaining=1, reset=5"}, None),
    "draft 06": ({"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "0", "RateLimit-Reset": "5"}, 5),
    "as many send it, in seconds": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, 7),
    "as many send it, since 1970": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW_S + 40)}, 40),
    "since 1970, in milliseconds": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW_MS + 1_500)}, 1.5),
    "with another hyphen": ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(NOW_S + 40)}, 40),
    "a fraction left": ({"X-RateLimit-Remaining": "0.4", "X-RateLimit-Reset": "0.25"}, 0.25),
    "a reset that is over": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW_S - 40)}, 0),
    "no reset": ({"X-RateLimit-Remaining": "0"}, None),
    "no number": ({"X-RateLimit-Remaining": "none", "X-RateLimit-Reset": "soon"}, None),
    "a negative count": ({"RateLimit": '"default";r=-1;t=30'}, 30),
    "a huge time": ({"RateLimit": '"default";r=0;t=999999999'}, RETRY_AFTER_MAX_S),
    "no structured field": ({"RateLimit": '"default;;r==0'}, None),
    "an inner list": ({"RateLimit": '("a" "b");r=0;t=9'}, None),
    "a time of another type": ({"RateLimit": '"default";r=0;t="soon"'}, None),
    "a flag for a count": ({"RateLimit": '"default";r=?0;t=9'}, None),
    "both kinds of field": (
        {"RateLimit": '"default";r=5;t=9', "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"},
        3,
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_a_far_side_says_about_its_limits(name: str) -> None:
    fields, quiet_s = TABLE[name]
    expected = None if quiet_s is None else NOW_MS + round(quiet_s * 1000)
    assert spent_until_ms(fields, NOW_MS) == expected


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=40)))
def test_no_field_does_harm(fields: dict[str, str]) -> None:
    until_ms = spent_until_ms(fields, NOW_MS)
    assert until_ms is None or NOW_MS <= until_ms <= NOW_MS + RETRY_AFTER_MAX_S * 1000


async def test_a_success_that_was_the_last_one_closes_the_gate_also_over_a_restart() -> None:
    worker = await Played(channels_for(increff={"budget": None})).start()

    def far(_call: Call, before: int) -> Answer:
        return Answer(status=200, headers={"RateLimit": f'"default";r={max(0, 2 - before)};t=20'})

    worker.sender.far = far
    for n in range(4):
        worker.give(request_for("create-outward-order", f"o{n}", f"o{n}"))
        await worker.clock.run_for(100)
    assert worker.final() == {"o0": "delivered", "o1": "delivered", "o2": "delivered"}
    again = await worker.restart()
    again.sender.far = lambda _call, _before: Answer(status=200)
    await again.clock.run_for(START_MS + 20_199 - again.clock.now_ms())
    assert "o3" not in again.final()
    await again.clock.run_for(100)
    assert again.final()["o3"] == "delivered"


async def test_what_a_far_side_offers_does_not_loosen_the_budget() -> None:
    worker = await Played(channels_for(increff={"budget": {"requests": 2, "window_s": 10}})).start()
    worker.sender.far = lambda _call, _before: Answer(status=200, headers={"RateLimit": '"default";r=5000;t=1'})
    worker.give(*(request_for("create-outward-order", f"o{n}", f"o{n}") for n in range(5)))
    await worker.clock.run_for(9_000)
    assert len([a for a in worker.sender.arrivals if a.call.destination == INCREFF]) == 2
