"""Each shape lets go what its target documents, and no more; each is asked before, and told after."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import TypeAdapter

from streams.delivery import metrics  # noqa: F401 - the metrics are registered by it
from streams.delivery.admission.limiters.limits import Limits, limits_for
from streams.delivery.admission.limiters.pool import LATE_MS
from streams.runtime.invariants import InvariantError
from tests.fakes.delivery import channels_for
from topics.configuration.budgets import AnyBudget, limits_of

MIDNIGHT_MS = 1_700_006_400_000
"""A midnight of UTC."""
CREATE, UPDATE = "create-outward-order", "update-order-properties"


class Owner:
    """Sends what it can, at played moments; each request is answered at once unless it is kept in the air."""

    def __init__(self, budget: Any, shards: int = 1) -> None:
        self.limits: Limits = limits_for(limits_of(TypeAdapter(AnyBudget | None).validate_python(budget)), shards)
        self.limits.take_over({}, MIDNIGHT_MS)

    def send(self, now_ms: int, kind: str, *, wanted: int = 1_000, ends: bool = True) -> int:
        sent = 0
        while sent < wanted:
            if not self.limits.has(kind):
                counts = self.limits.plan(kind, now_ms)
                if counts is None:
                    break
                self.limits.add_reserved(counts)
            self.limits.acquire(kind)
            if ends:
                self.limits.request_ended(kind, now_ms, answered=True)
            sent += 1
        return sent


TABLE: dict[str, tuple[Any, list[tuple[float, str, int]]]] = {
    # budget, then: s after midnight, kind, how many go
    "a sliding window": (
        {"requests": 5, "window_s": 60},
        [(0, UPDATE, 5), (59.9, UPDATE, 0), (60.5, UPDATE, 5), (100, UPDATE, 0), (121, UPDATE, 5)],
    ),
    "a token bucket": (
        {"shape": "token-bucket", "rate_per_s": 2, "burst": 5},
        [(0, UPDATE, 5), (0.4, UPDATE, 0), (0.502, UPDATE, 1), (1.5, UPDATE, 1), (3, UPDATE, 3), (90, UPDATE, 5)],
    ),
    "a token bucket that is refilled four at a time": (
        {"shape": "token-bucket", "rate_per_s": 4, "burst": 6, "step": 4},
        [(0, UPDATE, 3), (0.2, UPDATE, 0), (0.3, UPDATE, 1), (60, UPDATE, 3)],
    ),
    "a fixed window somewhere": (
        {"shape": "fixed-window", "requests": 5, "window_s": 60},
        [(50, UPDATE, 5), (62, UPDATE, 0), (109, UPDATE, 0), (111, UPDATE, 5)],
    ),
    "a fixed window by the clock": (
        {"shape": "fixed-window", "requests": 5, "window_s": 60, "aligned": "clock"},
        [(50, UPDATE, 5), (60.9, UPDATE, 0), (61, UPDATE, 5), (119, UPDATE, 0), (121, UPDATE, 5)],
    ),
    "an end that another clock may count in the next window": (
        {"shape": "fixed-window", "requests": 5, "window_s": 60, "aligned": "clock"},
        [(59.5, UPDATE, 5), (61, UPDATE, 0), (119, UPDATE, 0), (121, UPDATE, 5)],
    ),
    "a fixed window by the clock of another zone": (
        {"shape": "fixed-window", "requests": 5, "window_s": 60, "aligned": "clock", "offset_s": 20},
        [(50, UPDATE, 5), (61, UPDATE, 0), (81, UPDATE, 5)],
    ),
    "a quota an hour": (
        {"shape": "quota", "requests": 3, "per": "hour"},
        [(1_800, UPDATE, 3), (3_700, UPDATE, 0), (5_401, UPDATE, 3)],
    ),
    "a quota a day of a zone seven hours behind": (
        {"shape": "quota", "requests": 3, "per": "day", "aligned": "clock", "offset_s": 25_200},
        [(0, UPDATE, 3), (25_200, UPDATE, 0), (25_201, UPDATE, 3), (111_602, UPDATE, 3)],
    ),
    "a cost bucket": (
        {"shape": "cost-bucket", "capacity": 100, "restore_per_s": 10, "cost": 5, "costs": {CREATE: 40}},
        [(0, CREATE, 2), (0, UPDATE, 4), (1, UPDATE, 1), (4, CREATE, 0), (5, CREATE, 1), (5, UPDATE, 0)],
    ),
    "two windows at once": (
        [{"requests": 2, "window_s": 1}, {"requests": 5, "window_s": 60}],
        [(0, UPDATE, 2), (1.1, UPDATE, 2), (2.2, UPDATE, 1), (3.3, UPDATE, 0), (60.6, UPDATE, 2)],
    ),
    "no limit": (None, [(0, UPDATE, 1_000), (0, CREATE, 1_000)]),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_shape_lets_go_what_its_target_documents(name: str) -> None:
    budget, rows = TABLE[name]
    owner = Owner(budget)
    for at_s, kind, goes in rows:
        assert owner.send(MIDNIGHT_MS + round(at_s * 1000), kind) == goes, (at_s, kind)


@pytest.mark.parametrize("name", [name for name in TABLE if name != "no limit"])
def test_what_is_free_is_told_to_the_moment(name: str) -> None:
    """Nothing goes before it, and something goes then: nobody waits in vain, and nobody asks all the time."""
    owner = Owner(TABLE[name][0])
    now_ms = MIDNIGHT_MS + 7_000
    for _ in range(30):
        owner.send(now_ms, UPDATE)
        free_ms = owner.limits.free_at_ms(UPDATE, now_ms)
        assert free_ms is not None
        assert free_ms > now_ms
        assert owner.limits.plan(UPDATE, free_ms - 1) is None
        assert owner.limits.plan(UPDATE, free_ms) is not None
        now_ms = free_ms


def test_the_end_of_a_request_in_the_air_is_waited_for() -> None:
    owner = Owner({"requests": 2, "window_s": 60})
    assert owner.send(MIDNIGHT_MS, UPDATE, ends=False) == 2
    assert owner.limits.free_at_ms(UPDATE, MIDNIGHT_MS + 1_000_000) is None


def test_one_without_an_answer_is_held_longer_because_it_may_still_arrive() -> None:
    owner = Owner({"requests": 1, "window_s": 1})
    owner.send(MIDNIGHT_MS, UPDATE, ends=False)
    owner.limits.request_ended(UPDATE, MIDNIGHT_MS, answered=False)
    assert owner.limits.free_at_ms(UPDATE, MIDNIGHT_MS + 10) == MIDNIGHT_MS + LATE_MS
    assert owner.limits.free_at_ms(UPDATE, MIDNIGHT_MS + LATE_MS) == MIDNIGHT_MS + LATE_MS + 1_050


def test_a_dear_call_is_not_starved_by_cheap_ones_that_came_later() -> None:
    """What is reserved for it stays until it goes."""
    budget = {"shape": "cost-bucket", "capacity": 100, "restore_per_s": 10, "cost": 5, "costs": {CREATE: 90}}
    owner = Owner(budget)
    assert owner.send(MIDNIGHT_MS, UPDATE) == 20
    free_ms = owner.limits.free_at_ms(CREATE, MIDNIGHT_MS)
    assert free_ms is not None
    assert owner.send(free_ms, CREATE) == 1


def test_shards_have_equal_parts() -> None:
    assert Owner({"requests": 7, "window_s": 60}, shards=3).send(MIDNIGHT_MS, UPDATE) == 2
    bucket = Owner({"shape": "token-bucket", "rate_per_s": 4, "burst": 8}, shards=4)
    assert [bucket.send(MIDNIGHT_MS + second * 1000, UPDATE) for second in (0, 1, 2)] == [2, 0, 1]


def test_a_permit_that_was_not_reserved_is_not_taken() -> None:
    with pytest.raises(RuntimeError, match="not reserved"):
        Owner({"requests": 1, "window_s": 1}).limits.acquire(UPDATE)


def test_the_share_that_is_used_is_told_for_each_limit() -> None:
    owner = Owner([{"requests": 10, "window_s": 1}, {"shape": "quota", "requests": 100, "per": "hour"}])
    owner.send(MIDNIGHT_MS, UPDATE, wanted=5)
    assert owner.limits.used(MIDNIGHT_MS) == [("window/1s", 0.5), ("window/3600s", 0.05)]


def test_what_the_documentation_shows_can_be_configured() -> None:
    text = Path("docs/pacing.md").read_text(encoding="utf-8")
    block, stock = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    shown = [tomllib.loads(table)["budget"] for table in re.split(r"\n\n(?=#)", block)]
    assert len(shown) == 4
    for budget in shown:
        assert channels_for(increff={"budget": budget}).increff.limits
    settings = channels_for(stock=tomllib.loads(stock)["channels"]["shop"]["stock"]).channels["demo"].stock
    assert settings.limits
    assert settings.pace("AUH-ST-04").limits
    for name in re.findall(r"`(sluice_\w+)`", text):
        assert any(metric.name == name for metric in REGISTRY.collect()), name


def test_a_permit_ends_once() -> None:
    owner = Owner({"requests": 10, "window_s": 1})
    owner.send(MIDNIGHT_MS, UPDATE, wanted=1)
    with pytest.raises(InvariantError, match="permit_ends_once"):
        owner.limits.request_ended(UPDATE, MIDNIGHT_MS, answered=True)
