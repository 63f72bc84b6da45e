"""Packed positions answer as a dict of numbers would, in cells or not, whichever location named a SKU first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from topics.contract.models.plain_stock import PlainQuantity
from topics.stock.packed_positions import (
    CELLS_FOR_EACH,
    QUANTITY_MASK,
    UNKNOWN,
    WHOLE,
    PackedPositions,
    SkuNumbers,
    numbers_of,
    origin_of,
    pack,
)
from topics.stock.positions import QUANTITY_MAX

OTHERS = 5 * CELLS_FOR_EACH
"""SKUs that another location may have numbered before: enough to keep a few positions out of cells."""
SKUS = st.integers(0, OTHERS).map("SKU-{}".format)
QUANTITIES = st.sampled_from([0, 1, 7, QUANTITY_MAX])
ORIGINS = st.sampled_from([-1, 0, 5, 2**40, 2**62 - 2])
CHANGES = st.one_of(
    st.tuples(st.just("put"), SKUS, ORIGINS, QUANTITIES | QUANTITIES.map(lambda quantity: quantity | WHOLE)),
    st.tuples(st.just("put_plain"), st.dictionaries(SKUS, QUANTITIES, max_size=12), ORIGINS),
    st.tuples(st.just("pop"), SKUS),
    st.tuples(st.just("other"), st.integers(1, OTHERS)),
)


@given(st.lists(CHANGES, max_size=30), st.lists(st.tuples(SKUS, QUANTITIES), max_size=12))
def test_as_a_dict(changes: list[tuple], words: list[tuple[str, int]]) -> None:  # type: ignore[type-arg]
    numbers = SkuNumbers()
    positions, other = PackedPositions(numbers), PackedPositions(numbers)
    known: dict[str, int] = {}
    for kind, *given_ in changes:
        if kind == "put":
            sku, origin, quantity = given_
            assert positions.put(sku, origin, quantity) == known.get(sku, UNKNOWN)
            known[sku] = pack(origin, quantity)
        elif kind == "put_plain":
            quantities, origin = given_
            assert positions.put_plain(quantities, origin) == len(quantities.keys() - known.keys())
            known.update({sku: pack(origin, quantity) for sku, quantity in quantities.items()})
        elif kind == "pop":
            assert positions.pop(given_[0]) == known.pop(given_[0], UNKNOWN)
        else:
            other.put_plain({f"SKU-{number}": 1 for number in range(given_[0])}, 3)
    assert dict(positions.items()) == known
    assert len(positions) == len(known)
    assert set(positions) == known.keys()
    assert positions.newest_origin() == max(map(origin_of, known.values()), default=None)
    asked = [f"SKU-{number}" for number in range(OTHERS + 2)]
    assert [positions.get(sku) for sku in asked] == [known.get(sku) for sku in asked]
    assert [sku in positions for sku in asked] == [sku in known for sku in asked]
    told = [None if (packed := known.get(sku)) is None else packed & QUANTITY_MASK for sku in asked]
    assert positions.quantities(asked) == told
    plain = {sku: packed & QUANTITY_MASK for sku, packed in known.items() if not packed & WHOLE}
    wanted = {sku: quantity for sku, quantity in dict(words).items() if plain.get(sku) != quantity}
    found = positions.differing([PlainQuantity(sku, quantity) for sku, quantity in words])
    assert found == wanted
    # What was found is put and looked up without its numbers being looked up again; with the same result.
    assert positions.quantities(found) == positions.quantities(list(found))
    assert positions.put_plain(found, 9) == len(found.keys() - known.keys())
    known.update({sku: pack(9, quantity) for sku, quantity in wanted.items()})
    assert dict(positions.items()) == known
    assert len(positions) == len(known)


def test_a_sku_that_comes_twice_counts_with_its_last_quantity() -> None:
    positions = PackedPositions(SkuNumbers())
    positions.put_plain({"A": 1, "B": 1, "C": 1}, 5)
    words = [("A", 2), ("B", 3), ("A", 1), ("C", 4), ("C", 1), ("C", 7)]
    found = positions.differing([PlainQuantity(sku, quantity) for sku, quantity in words])
    assert found == {"B": 3, "C": 7}
    assert positions.quantities(found) == [1, 1]
    assert positions.put_plain(found, 6) == 0
    assert dict(positions.items()) == {"A": pack(5, 1), "B": pack(6, 3), "C": pack(6, 7)}


def test_few_of_many_skus_take_no_more_than_their_share_of_cells() -> None:
    numbers = SkuNumbers()
    all_of_them, few = PackedPositions(numbers), PackedPositions(numbers)
    all_of_them.put_plain({f"SKU-{number}": 1 for number in range(10_000)}, 3)
    few.put_plain({f"SKU-{number * 1_000}": 1 for number in range(10)}, 3)
    assert few.cells == 0
    assert 10_000 <= all_of_them.cells <= 12_000
    few.put_plain({f"SKU-{number}": 1 for number in range(2_000)}, 4)
    assert (len(few), few.cells <= CELLS_FOR_EACH * len(few)) == (2_008, True)


def test_numbers_go_with_the_last_location_of_their_channel() -> None:
    first, second = numbers_of("ch-a"), numbers_of("ch-a")
    assert first is second
    assert numbers_of("ch-b") is not first
    first.add("A")
    del first, second
    assert numbers_of("ch-a").names == []
