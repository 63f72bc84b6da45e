"""A Retry-After that any worker was given closes the destination here, and only ever later."""

from __future__ import annotations

from streams.delivery.admission.gate_view import FollowedGates, GateRegistry
from streams.delivery.admission.permits import PermitRecord, permits_key
from streams.runtime.following import Followed
from topics.configuration.settings import Settings


def tell(gates: FollowedGates, destination: str, shard: int, gate_ms: int | None) -> None:
    value = None if gate_ms is None else PermitRecord(gate_ms=gate_ms).encode()
    gates.on_record(permits_key(destination, shard), value)


def test_another_shards_quiet_is_the_destinations() -> None:
    gates = FollowedGates(Settings())
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
    assert isinstance(FollowedGates(Settings()), Followed)
    assert not isinstance(GateRegistry(), Followed)
