"""A position map answers as a dict of keys and values would, whatever a SKU or a value looks like."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from topics.records.keys import position_key
from topics.stock.packed_positions import origin_of, pack
from topics.stock.position_map import PositionMap, encode_plain, parts_of
from topics.stock.positions import QUANTITY_MAX, encode_position

SKUS = st.sampled_from(["A", "B", "ü", "a|b", "50%", "50%25", "%7C", '"', "\x00", "~", ""])
QUANTITIES = st.sampled_from([0, 1, 7, QUANTITY_MAX])
KEYS = st.builds(position_key, st.sampled_from(["demo", "a|b"]), st.sampled_from(["L1", "~ALL", "x%"]), SKUS)


def item(sku: str, quantity: int, expiry: str | None) -> bytes:
    return encode_position({"channelSkuCode": sku, "quantity": quantity, "minExpiry": expiry})


@st.composite
def changes(draw: st.DrawFn) -> tuple[bytes, bytes | None, int]:
    key = draw(KEYS)
    parts = parts_of(key)
    assert parts is not None
    value = draw(
        st.none()
        | st.builds(item, st.just(parts[1]) | SKUS, QUANTITIES, st.sampled_from([None, "2027-01-01"]))
        | st.just(b'{"quantity":7, "channelSkuCode":"A"}')
        | st.just(b'{"channelSkuCode":"A","consolidatedQuantity":4,"listingId":1}')
        | st.binary(max_size=8)
    )
    return key, value, draw(st.sampled_from([-1, 0, 5, 2**40]))


@given(
    st.lists(changes(), max_size=40), st.sampled_from([b"", b"demo", b"demo|", b"demo|L1", b"demo|L1|", b"demo|L1|A"])
)
def test_as_a_dict(log: list[tuple[bytes, bytes | None, int]], prefix: bytes) -> None:
    known: dict[bytes, tuple[bytes, int]] = {}
    positions = PositionMap()
    for key, value, origin in log:
        if value is None:
            assert positions.delete(key) == (known.pop(key, None) is not None)
        else:
            assert positions.put(key, value, origin)
            known[key] = (value, origin)
    assert dict(positions.items()) == {key: value for key, (value, _) in known.items()}
    assert len(positions) == len(known)
    assert positions.newest_origin() == max((origin for _, origin in known.values()), default=None)
    begin = {key: value for key, (value, _) in known.items() if key.startswith(prefix)}
    assert dict(positions.items(prefix)) == begin
    for key, _, _ in log:
        assert (positions.get(key), positions.origin(key)) == known.get(key, (None, None))


@given(
    st.binary(max_size=12)
    | st.sampled_from([b"~flight|demo|L1", b"demo|L1", b"a|b|%", b"a|b|%7c", b"a|b|\xff", b"a|b|c|d"])
)
def test_what_is_no_positions_key_is_known_by_its_parts(key: bytes) -> None:
    parts = parts_of(key)
    if parts is not None:
        stock, sku = parts
        assert PositionMap().at(stock).key(sku) == key


@given(st.text(max_size=6, alphabet=st.characters(exclude_categories=["Cs"])), QUANTITIES)
@example('"\\\x07\x1f\x7f', 0)
def test_a_plain_position_is_written_as_every_position_is(sku: str, quantity: int) -> None:
    assert encode_plain(sku, quantity) == encode_position({"quantity": quantity, "channelSkuCode": sku})


@given(st.integers(-1, 2**40), QUANTITIES)
def test_an_offset_and_a_quantity_fit_one_number(origin: int, quantity: int) -> None:
    positions = PositionMap().at("demo|L1")
    positions.put("A", encode_plain("A", quantity), origin)
    assert positions.quantity("A") == quantity
    packed = positions.packed.get("A")
    assert packed == pack(origin, quantity)
    assert origin_of(packed) == origin
    assert not positions.whole
