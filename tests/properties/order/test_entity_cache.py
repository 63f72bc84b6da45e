"""Entities kept decoded change nothing: a role that keeps them decides as one that decodes each time.

Property: over any log the same effects leave and the same bytes are the state; and a kept entity is used only while the
table still has the bytes it was encoded to.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from streams.order.model.entities import decode_entity
from streams.order.records.entity_cache import Recent
from tests.properties.order.test_role import EXAMPLES, STEPS, undisturbed
from tests.support.orders import CHANNEL, create_body
from tests.support.orders_log import Logs
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key

KEY = order_key(CHANNEL, "A")


class Forgetful(Recent):
    def take(self, key: bytes, raw: bytes) -> None:
        super().take(key, raw)


@settings(max_examples=EXAMPLES, deadline=None)
@given(STEPS)
def test_a_role_that_keeps_entities_decides_as_one_that_does_not(
    steps: list[tuple[tuple[str, dict[str, Any]], OutcomeKind]],
) -> None:
    keeping = undisturbed(steps)
    decoding = Logs(channels=keeping.channels)
    decoding.role._recent = Forgetful()
    decoding.records = [list(records) for records in keeping.records]
    decoding.run()
    assert raw_states(decoding) == raw_states(keeping)
    assert sorted(map(repr, decoding.effects)) == sorted(map(repr, keeping.effects))


def raw_states(logs: Logs) -> dict[bytes, bytes]:
    return {key: raw for state in logs.states for key, raw in state.all[0].items()}


def one_state() -> bytes:
    logs = Logs()
    logs.call("create-outward-order", create_body("A"), "e1")
    logs.run()
    return raw_states(logs)[KEY]


def test_only_the_very_bytes_give_the_entity_and_only_once() -> None:
    raw = one_state()
    recent, entity = Recent(), decode_entity(raw)
    recent.keep(KEY, raw, entity)
    assert recent.take(KEY, raw) is entity
    assert recent.take(KEY, raw) is None, "who took it may be changing it"
    recent.keep(KEY, raw, entity)
    assert recent.take(KEY, raw + b" ") is None
    assert recent.take(KEY, raw) is None, "what was not the table's is forgotten"


def test_the_bytes_kept_are_bounded_and_the_oldest_gives_way() -> None:
    raw = one_state()
    recent = Recent(bytes_max=2 * len(raw))
    for key in (b"1", b"2", b"2", b"3"):
        recent.keep(key, raw, decode_entity(raw))
    assert [key for key in (b"1", b"2", b"3") if recent.take(key, raw) is not None] == [b"2", b"3"]
    recent.keep(b"1", raw, decode_entity(raw))
    recent.clear()
    assert recent.take(b"1", raw) is None
