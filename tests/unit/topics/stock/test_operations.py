"""What operators asked of stock, and how it fares, as gateway and delivery read it from their topics."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from topics.stock.controls import Ask, Control, ControlIndex, Scope, scope_of
from topics.stock.status import LocationStatus, RefusedSku, StatusIndex, refused_key, status_key


@pytest.mark.parametrize("scope", [Scope("demo"), Scope("demo", "L|1"), Scope("demo", "~ALL")])
def test_a_key_says_whose_control_it_is(scope: Scope) -> None:
    assert scope_of(scope.key) == scope


def test_a_pause_of_the_channel_is_one_of_each_location_and_the_last_ask_counts() -> None:
    index, told = ControlIndex(), list[Scope]()
    index.listeners.append(told.append)
    assert not index.is_paused("demo", "L1")
    assert index.resync_of("demo", "L1") is None
    early, late = Ask(id="a", at_ms=1), Ask(id="b", at_ms=2)
    index.apply(Scope("demo").key, Control(paused=True, resync=late).encode())
    index.apply(Scope("demo", "L1").key, Control(resync=early, reconcile=early).encode())
    assert index.is_paused("demo", "L1")
    assert index.is_paused("demo", "L2")
    assert not index.is_paused("other", "L1")
    assert index.resync_of("demo", "L1") == late
    assert index.reconcile_of("demo", "L1") == early
    assert index.reconcile_of("demo", "L2") is None
    index.apply(Scope("demo").key, None)
    assert not index.is_paused("demo", "L1")
    assert index.resync_of("demo", "L1") == early
    assert told == [Scope("demo"), Scope("demo", "L1"), Scope("demo")]


def test_a_control_that_cannot_be_read_holds_its_stock_back_and_no_other() -> None:
    index = ControlIndex()
    with pytest.raises(ValidationError):
        index.apply(Scope("demo", "L1").key, b'{"paused": "perhaps"}')
    assert index.is_paused("demo", "L1")
    assert not index.is_paused("demo", "L2")
    index.apply(Scope("demo", "L1").key, Control().encode())
    assert not index.is_paused("demo", "L1")


def test_a_status_comes_and_goes_and_one_that_cannot_be_read_says_nothing() -> None:
    status = LocationStatus(
        dirty=1, oldest_ms=5, sent_per_s=0.5, changes=4, sent=2, refused=1, paused=False, since_ms=1, at_ms=9
    )
    why = RefusedSku(reason="failure-list", status=200, since_ms=3, failures=5)
    index = StatusIndex()
    index.apply(status_key("demo", "L1"), status.encode())
    index.apply(refused_key("demo", "L2", "b"), why.encode())
    index.apply(refused_key("demo", "L1", "a"), why.encode())
    assert index.locations("demo") == {"L1": status}
    index.apply(refused_key("demo", "L2", "a"), why.encode())
    assert index.refused_by_location("demo") == {"L1": 1, "L2": 2}
    assert index.refused("demo", None, ("", ""), 2) == [("L1", "a", why), ("L2", "a", why)]
    assert index.refused("demo", None, ("L2", "a"), 2) == [("L2", "b", why)]
    assert index.refused("demo", "L2", ("", ""), 1) == [("L2", "a", why)]
    assert index.refused("other", "L2", ("", ""), 1) == []
    with pytest.raises(ValidationError):
        index.apply(status_key("demo", "L1"), b"{}")
    index.apply(refused_key("demo", "L1", "a"), None)
    assert index.locations("demo") == {}
    assert index.refused_by_location("demo") == {"L2": 2}
