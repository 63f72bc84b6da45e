"""Whatever bytes lie on a followed topic, its view goes on: they are counted and named, and the others are applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from gateway.views.positions import StockView
from gateway.views.stock_operations import StockOperationsView
from streams.delivery.admission.gate_view import FollowedGates
from streams.delivery.admission.permits import PERMITS, PermitRecord, permits_key
from streams.delivery.clock import SystemClock
from tests.support.subscriptions import A, subscription
from topics.configuration.settings import Settings
from topics.kafka.catalogue import BY_NAME
from topics.kafka.compacted_view import WholeView
from topics.records.keys import position_key
from topics.records.unreadable import UNREADABLE
from topics.stock.controls import Control, Scope
from topics.stock.positions import encode_position
from topics.stock.snapshots import snapshots_key
from topics.stock.status import RefusedSku, refused_key
from topics.subscriptions.index import SubscriptionView
from topics.subscriptions.model import Status

SETTINGS = Settings(kafka="nowhere:9")
OURS = (("sluice-made-by", b"3/7"),)
DEEP = b"[" * 900 + b"]" * 900

KEYS: tuple[bytes | None, ...] = (
    b"\xff\xfe", b"", b"|", b"||||", b"a|b|c|d", b"~", b"~snapshot|\xff|b", b"~snapshot|a|b|x|y", b"sub|x",
    b"sub|1|backlog", b"sub|" + b"9" * 5_000, b"%7C|%", b"x" * 5_000, None,
)  # fmt: skip
VALUES: tuple[bytes | None, ...] = (
    b"1", b"null", b"true", b'"x"', b"[]", b"[[]]", b"{}", b"{", b"\xff\xfe", b"", b"\x00", b"1e999", b"9" * 5_000,
    DEEP, b'{"quantity": "7"}', b'{"quantity": -1}', b'{"quantity": 4294967296}', b'{"quantity": 1e400}',
    b'{"quantity": true}',
    b'{"deleted_ms": "x"}', b'{"deleted_ms": null, "id": 7}', b'{"paused": "perhaps"}', b'{"limits": 1, "gate_ms": 2}',
    b'{"limits": {"a": {"ended": [[1, -5]], "open": -1}}, "gate_ms": "x"}', b'{"gate_ms": 1e300}', b'{"revision": {}}',
    b'{"runs": 1}', None,
)  # fmt: skip
HEADERS: tuple[Any, ...] = (
    (), OURS, (("sluice-made-by", None),), (("sluice-made-by", b"x"),), (("sluice-made-by", b"9" * 5_000 + b"/1"),),
    (("sluice-made-by", b"-3/1"),), (("sluice-made-by", b"1/2/3"),), (("", b""),), (("sluice-made-by", b"\xff"),),
)  # fmt: skip


@dataclass
class Read:
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Any = OURS


@dataclass
class Followed:
    """A view, one record of its topic that it can read, and whether that record counts now."""

    view: WholeView
    topic: str
    key: bytes
    value: bytes
    knows: Callable[[], bool]

    def handle(self, *records: Read) -> None:
        place = TopicPartition(BY_NAME[self.topic].full_name("sluice"), 0)
        self.view._handle({place: list(records)})


def _subscriptions() -> Followed:
    view = SubscriptionView(SETTINGS)
    value = subscription().encode()
    return Followed(view._views[0], "subscriptions", A.encode(), value, lambda: view.get(A) is not None)


def _statuses() -> Followed:
    view = SubscriptionView(SETTINGS)
    view.apply(A.encode(), subscription().encode())
    value = Status(revision=1, disabled_ms=1, reason="gone").encode()
    return Followed(view._views[1], "subscriptions.status", A.encode(), value, lambda: view.disabled(A) is not None)


def _positions() -> Followed:
    view = StockView(SETTINGS)
    value = encode_position({"channelSkuCode": "A", "quantity": 5})
    key = position_key("demo", "L", "A")
    return Followed(view._views[0], "inventory.positions", key, value, lambda: view.quantity("demo", "L", "A") == 5)


def _controls() -> Followed:
    view = StockOperationsView(SETTINGS)
    value = Control(paused=True).encode()
    key = Scope("demo", "L").key
    return Followed(
        view._views[0], "inventory.controls", key, value, lambda: view.controls.of(Scope("demo", "L")).paused
    )


def _stock_status() -> Followed:
    view = StockOperationsView(SETTINGS)
    value = RefusedSku(reason="refused", since_ms=1, failures=1).encode()
    key = refused_key("demo", "L", "A")
    return Followed(
        view._views[1], "inventory.status", key, value, lambda: view.status.refused_by_location("demo") == {"L": 1}
    )


def _gates() -> Followed:
    view = FollowedGates(SETTINGS, SystemClock())
    value = PermitRecord(gate_ms=77).encode()
    key = permits_key("increff", 0)
    return Followed(view._views[0], PERMITS, key, value, lambda: view.gate_of("increff").opens_ms == 77)


VIEWS = [_subscriptions, _statuses, _positions, _controls, _stock_status, _gates]


@pytest.mark.parametrize("made", VIEWS)
@pytest.mark.parametrize("value", [value for value in VALUES if value is not None])
def test_a_value_that_cannot_be_read_stops_nothing(made: Callable[[], Followed], value: bytes) -> None:
    followed = made()
    others = [Read(number, key, value) for number, key in enumerate([b"other|L|B", b"other", b"sub|1", followed.key])]
    followed.handle(*others, Read(9, followed.key, followed.value))
    assert followed.knows()
    assert followed.view._next[0] == 10


@pytest.mark.parametrize("made", VIEWS)
@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_cannot_be_read_stops_nothing(made: Callable[[], Followed], key: bytes | None) -> None:
    followed = made()
    values = (followed.value, b"1", b"{}", None)
    followed.handle(
        *(Read(number, key, value) for number, value in enumerate(values)), Read(9, followed.key, followed.value)
    )
    assert followed.knows()


@pytest.mark.parametrize("made", VIEWS)
@pytest.mark.parametrize("headers", HEADERS)
def test_headers_that_cannot_be_read_stop_nothing(made: Callable[[], Followed], headers: Any) -> None:
    followed = made()
    followed.handle(Read(1, b"other", b"1", headers), Read(2, followed.key, followed.value))
    assert followed.knows()


@pytest.mark.parametrize("made", VIEWS)
def test_a_record_that_cannot_be_read_is_counted_and_named_until_its_key_can(made: Callable[[], Followed]) -> None:
    followed = made()
    followed.handle(Read(1, b"\xff\xfe", b"1"), Read(41, followed.key, b"1"), Read(42, followed.key, b"1"))
    assert UNREADABLE.counted(followed.topic) == 3
    (warning,) = UNREADABLE.warnings()
    assert warning.startswith(f"{followed.topic}: 2 records cannot be read, the last found in partition 0 offset 42")
    followed.handle(Read(43, followed.key, followed.value), Read(44, b"\xff\xfe", None))
    assert followed.knows()
    assert UNREADABLE.warnings() == []


@pytest.mark.parametrize("made", [_positions, _stock_status, _gates])
def test_behind_a_claim_a_record_without_our_header_counts_nowhere_and_is_named(made: Callable[[], Followed]) -> None:
    followed = made()
    followed.handle(Read(0, b"~owner", b"{}"), *(Read(n, followed.key, followed.value, h) for n, h in (
        (1, ()), (2, ()), (3, (("sluice-made-by", None),)), (4, (("sluice-made-by", b"x/y"),)),
    )))  # fmt: skip
    assert not followed.knows()
    assert UNREADABLE.counted(followed.topic) == 4


@pytest.mark.parametrize("made", VIEWS)
def test_whatever_comes_the_view_goes_on(made: Callable[[], Followed]) -> None:
    """Seeded; the last record is always applied."""
    random = Random(20_261_130)
    followed = made()
    good = orjson_members(followed.value)
    for offset in range(1_000):
        headers = random.choice(HEADERS) if offset % 5 == 0 else OURS
        key = random.choice([b"sub", b"sub|1", b"other|M|B", random.choice(KEYS), random.randbytes(9)])
        value = random.choice([random.choice(VALUES), random.randbytes(40), mutated(good, random), followed.value])
        followed.handle(Read(offset, key, value, headers))
    followed.handle(Read(1_000, followed.key, followed.value))
    assert followed.knows()
    assert UNREADABLE.counted(followed.topic) > 150


def orjson_members(value: bytes) -> dict[str, Any]:
    members: dict[str, Any] = orjson.loads(value)
    return members


def mutated(members: dict[str, Any], random: Random) -> bytes:
    """Valid JSON of a wrong type, a member missing, or one that a newer version adds."""
    name = random.choice([*members, "ofANewerVersion"])
    wrong: list[Any] = [None, True, -1, 2**63, 1.5, "", "x", [], {}, [1, "a"], {"a": 1}, "v9"]
    changed = {**members, name: random.choice(wrong)}
    if random.random() < 0.3:
        changed.pop(name)
    return orjson.dumps(changed)


def test_a_newer_versions_members_are_passed_over() -> None:
    for made in VIEWS:
        followed = made()
        newer = orjson.dumps({**orjson_members(followed.value), "ofANewerVersion": {"a": [1]}})
        followed.handle(Read(0, followed.key, newer))
        assert followed.knows(), followed.topic
    assert UNREADABLE.warnings() == []


def test_a_subscription_that_cannot_be_read_gets_nothing_sent_and_its_facts_are_still_requested() -> None:
    view = SubscriptionView(SETTINGS)
    fact = {"channel": "demo", "locationCode": "L"}
    followed = Followed(view._views[0], "subscriptions", A.encode(), subscription().encode(), lambda: True)
    followed.handle(Read(0, followed.key, followed.value))
    assert [one.id for one in view.matching("order-created", fact)] == [A]
    followed.handle(Read(1, followed.key, b'{"id": "of a newer version"}'))
    assert (view.get(A), view.is_active(A), view.unreadable) == (None, False, {A})
    assert [one.id for one in view.matching("order-created", fact)] == [A], "they wait, and are not lost"
    followed.handle(Read(2, followed.key, subscription(enabled=False, revision=2).encode()))
    assert view.matching("order-created", fact) == ()


def test_a_position_that_cannot_be_read_leaves_the_one_before() -> None:
    view = StockView(SETTINGS)
    key = position_key("demo", "L", "A")
    place = {TopicPartition("t", 0): [Read(0, key, encode_position({"channelSkuCode": "A", "quantity": 5}))]}
    view._views[0]._handle(place)
    view._views[0]._handle({TopicPartition("t", 0): [Read(1, key, b'{"channelSkuCode":"A","quantity":"7"}')]})
    assert view.quantity("demo", "L", "A") == 5
    view._views[0]._handle({TopicPartition("t", 0): [Read(2, snapshots_key("demo", "L"), b"1")]})
    assert view.snapshots.all("demo", "L") == []
    assert UNREADABLE.counted("inventory.positions") == 2
