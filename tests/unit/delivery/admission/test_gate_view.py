"""A Retry-After that any worker was given closes the destination here, and only ever later."""

from __future__ import annotations

import pytest

from streams.delivery.admission.gate_view import FollowedGates, GateRegistry
from streams.delivery.admission.permits import PermitRecord, permits_key
from streams.delivery.admission.retry_after_gate import GATE_MS_MAX
from streams.delivery.attempts.response_headers import RETRY_AFTER_MAX_S
from streams.delivery.clock import SystemClock
from streams.runtime.following import Followed
from topics.configuration.settings import Settings
from topics.records.unreadable import UnreadableError


def tell(gates: FollowedGates, destination: str, shard: int, gate_ms: int | None) -> None:
    value = None if gate_ms is None else PermitRecord(gate_ms=gate_ms).encode()
    gates.on_record(permits_key(destination, shard), value)


def test_another_shards_quiet_is_the_destinations() -> None:
    gates = FollowedGates(Settings(), SystemClock())
    tell(gates, "channel:demo", 3, 5_000)
    assert gates.gate_of("channel:demo").opens_ms == 5_000
    assert gates.gate_of("channel:other").opens_ms == 0
    for later in (4_000, 0, None):
        tell(gates, "channel:demo", 1, later)
    assert gates.gate_of("channel:demo").opens_ms == 5_000


def test_what_this_process_was_told_counts_at_once() -> None:
    gates = GateRegistry()
    gates.gate_of("channel:demo").close_until(7_000)
    assert gates.gate_of("channel:demo").opens_ms == 7_000


def test_a_role_follows_them_from_its_start() -> None:
    """Or another shard's Retry-After would not be known after a restart."""
    assert isinstance(FollowedGates(Settings(), SystemClock()), Followed)
    assert not isinstance(GateRegistry(), Followed)


def test_a_gate_that_no_far_side_can_have_closed_holds_nobody_up() -> None:
    """It would not open for years, at every start."""
    clock = SystemClock()
    gates = FollowedGates(Settings(), clock)
    longest_ms = clock.now_ms() + round(RETRY_AFTER_MAX_S * 1000)
    tell(gates, "channel:demo", 0, longest_ms)
    with pytest.raises(UnreadableError):
        tell(gates, "channel:demo", 0, clock.now_ms() + 2 * GATE_MS_MAX)
    assert gates.gate_of("channel:demo").opens_ms == longest_ms
