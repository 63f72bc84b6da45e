"""Same meaning, same digest; another meaning, another digest: member by member, for each model that is compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from streams.order.model.canonical import FORM, call_digest, digest, former_digest, is_former_call, matches
from streams.order.model.events import OF_TOUCHPOINT
from streams.order.model.meaning import _sort, _time, meaning_of, rules_of
from streams.order.model.meaning import written as text_of
from tests.support.orders import create_body, sample
from topics.contract.models.orders import CreateOutwardOrder, UpdateOrderProperties
from topics.contract.models.returns import CancelReturnOrderItems, CreateReturnOrder, UpdateReturns
from topics.contract.touchpoints import BY_NAME
from topics.records.json_text import read
from topics.schema_base import Body, models_in

ORDER = create_body()
ITEM = ORDER["orderItems"][0]
TAX = ORDER["taxBreakupForms"][0]
RETURN = sample("create-return-order")
TIMES = {
    *("orderTime", "dispatchByTime", "startProcessingTime", "minExpiry", "deliveredAt"),
    *("returnOrderTime", "expectedDate", "invoiceTime"),
}
"""The members of the contract that are times."""


def order(**changes: Any) -> dict[str, Any]:
    """The order with other members; `...`: without it."""
    return {name: value for name, value in {**ORDER, **changes}.items() if value is not ...}


def item(**changes: Any) -> dict[str, Any]:
    """The order with its first item changed."""
    changed = {name: value for name, value in {**ITEM, **changes}.items() if value is not ...}
    return order(orderItems=[changed, ORDER["orderItems"][1]])


def address(**changes: Any) -> dict[str, Any]:
    changed = {name: value for name, value in {**ORDER["shippingAddress"], **changes}.items() if value is not ...}
    return order(shippingAddress=changed)


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{f"{name} left out": (order(**{name: ...}), order(**{name: False})) for name in ("isPriority", "gift")},
    "isSplitRequired left out": (order(isSplitRequired=...), order(isSplitRequired=False)),
    "qcStatus left out": (order(qcStatus=...), order(qcStatus="PASS")),
    "qcStatus null": (order(qcStatus=None), order(qcStatus="PASS")),
    "discount left out": (item(channelDiscountPerUnit=...), item(channelDiscountPerUnit=0)),
    "discount empty": (item(channelDiscountPerUnit=""), item(channelDiscountPerUnit=0.0)),
    "charge as text": (item(shippingChargePerUnit="0.00"), item(shippingChargePerUnit=...)),
    "no gift wrap": (item(giftOptions={"giftwrapRequired": False, "giftMessage": ""}), item(giftOptions=...)),
    "gift options empty": (item(giftOptions={}), item(giftOptions=None)),
    "another offset": (order(orderTime="2025-06-14T09:12:41+04:00"), order(orderTime="2025-06-14T05:12:41Z")),
    "without milliseconds": (order(dispatchByTime="2025-06-16T18:00:00+04:00"), ORDER),
    "a bracketed zone": (order(orderTime="2025-06-14T09:12:41+04:00[Asia/Dubai]"), ORDER),
    "Z[UTC]": (order(orderTime="2025-06-14T05:12:41.000Z[UTC]"), ORDER),
    "basic format": (order(orderTime="20250614T091241+0400"), ORDER),
    "null for absent": (order(packType=None, parentOrderCode=None), order(packType=..., parentOrderCode=...)),
    "empty text for absent": (address(line3=""), address(line3=...)),
    "empty list for absent": (order(taxBreakupForms=[]), order(taxBreakupForms=...)),
    "empty object for absent": (order(billingAddress={}), order(billingAddress=...)),
    "empty list for an empty object": (order(billingAddress=[]), order(billingAddress=...)),
    "an object of nothing": (order(billingAddress={"line1": None, "line2": ""}), order(billingAddress=...)),
    "lines in another order": (order(orderItems=ORDER["orderItems"][::-1]), ORDER),
    "tax forms in another order": (order(taxBreakupForms=ORDER["taxBreakupForms"][::-1]), ORDER),
    "taxes in another order": (
        order(taxBreakupForms=[{**TAX, "taxItemForms": [{"type": kind, "rate": 1} for kind in "AB"]}]),
        order(taxBreakupForms=[{**TAX, "taxItemForms": [{"type": kind, "rate": 1} for kind in "BA"]}]),
    ),
    "taxes of one type in another order": (
        order(taxBreakupForms=[{**TAX, "taxItemForms": [{"type": "A", "rate": rate} for rate in (1, 2)]}]),
        order(taxBreakupForms=[{**TAX, "taxItemForms": [{"type": "A", "rate": rate} for rate in (2, 1)]}]),
    ),
    "members in another order": (dict(reversed(ORDER.items())), ORDER),
    "a count as decimal": (item(quantity=2.0), item(quantity=2)),
    "a count as text": (item(quantity="2"), item(quantity=2)),
    "an amount as text": (item(sellingPricePerUnit="89.2500"), item(sellingPricePerUnit=89.25)),
    "a flag as text": (order(onHold="false"), order(onHold=False)),
    "a flag as number": (order(onHold=0), order(onHold=False)),
    "a set flag as text": (order(gift="True"), order(gift=True)),
    "a code as number": (order(parentOrderCode=4711), order(parentOrderCode="4711")),
    "a postcode as number": (address(zip=110001), address(zip="110001")),
    "unknown members": (order(mrpPerUnit=5, somethingNew={"a": 1}), ORDER),
    "channelMetadata empty": (order(orderCustomAttributes={"channelMetadata": {}}), order(orderCustomAttributes=...)),
}

DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gift": (order(gift=True), ORDER),
    "qcStatus": (order(qcStatus="FAIL"), order(qcStatus=...)),
    "onHold": (order(onHold=True), ORDER),
    "a discount": (item(channelDiscountPerUnit=1), item(channelDiscountPerUnit=...)),
    "a price of none": (item(sellingPricePerUnit=0), item(sellingPricePerUnit=...)),
    "a count": (item(quantity="3"), item(quantity=2)),
    "an instant": (order(orderTime="2025-06-14T09:12:41Z"), ORDER),
    "a millisecond": (order(orderTime="2025-06-14T09:12:41.001+04:00"), ORDER),
    "no offset": (order(orderTime="2025-06-14T09:12:41"), ORDER),
    "a text": (address(line1="Villa 15"), ORDER),
    "a space": (address(line1=" Villa 14, Street 22B"), ORDER),
    "an address": (order(billingAddress=...), ORDER),
    "a line": (order(orderItems=ORDER["orderItems"][:1]), ORDER),
    "a tax twice": (order(taxBreakupForms=[TAX, TAX]), order(taxBreakupForms=[TAX])),
    "quantities change places": (
        order(orderItems=[{**ITEM, "orderItemCode": code, "quantity": n} for code, n in (("A", 1), ("B", 2))]),
        order(orderItems=[{**ITEM, "orderItemCode": code, "quantity": n} for code, n in (("A", 2), ("B", 1))]),
    ),
    "gift wrap": (item(giftOptions={"giftwrapRequired": True}), item(giftOptions=...)),
    "channelMetadata": (
        order(orderCustomAttributes={"channelMetadata": ["a", "b"]}),
        order(orderCustomAttributes={"channelMetadata": ["b", "a"]}),
    ),
    "digits of a large number": (
        order(orderCustomAttributes={"channelMetadata": 94_001_118_992_231_974_280_490}),
        order(orderCustomAttributes={"channelMetadata": 94_001_118_992_231_974_280_491}),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_order_in_other_words_has_the_same_digest(name: str) -> None:
    one, other = SAME[name]
    assert repr(one) != repr(other)
    assert digest(CreateOutwardOrder, one) == digest(CreateOutwardOrder, other)


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_order_has_another_digest(name: str) -> None:
    one, other = DIFFERENT[name]
    assert digest(CreateOutwardOrder, one) != digest(CreateOutwardOrder, other)


def test_digits_of_a_decimal_do_not_count() -> None:
    for written, number in ((b"89.2500", 89.25), (b"10.00", 10), (b"1e1", 10)):
        said, meant = item(sellingPricePerUnit=read(written)), item(sellingPricePerUnit=number)
        assert digest(CreateOutwardOrder, said) == digest(CreateOutwardOrder, meant)
        open_said, open_meant = ({"orderCustomAttributes": {"channelMetadata": one}} for one in (read(written), number))
        assert digest(CreateOutwardOrder, open_said) == digest(CreateOutwardOrder, open_meant)


def test_a_return_in_other_words_has_the_same_digest() -> None:
    flat = {
        **RETURN,
        "orderItems": RETURN["orderItems"][::-1],
        "expectedDate": "2025-06-27T14:00:00Z",
        "regionType": "",
    }
    assert digest(CreateReturnOrder, flat) == digest(CreateReturnOrder, RETURN)
    for details in ({}, {"isCod": False}, {"isCod": "false", "codValue": 0.0, "invoiceNumber": None}):
        assert digest(CreateReturnOrder, {**RETURN, "orderDetails": details}) == digest(
            CreateReturnOrder, {name: value for name, value in RETURN.items() if name != "orderDetails"}
        )
    assert digest(CreateReturnOrder, {**RETURN, "orderDetails": {"isCod": True}}) != digest(CreateReturnOrder, RETURN)


def test_an_empty_text_of_an_update_is_a_word_of_its_own() -> None:
    """A member that an update leaves out stays as it is."""
    cleared = {"returnOrderCode": "R", "locationCode": "L", "transporter": ""}
    kept = {"returnOrderCode": "R", "locationCode": "L", "transporter": None}
    assert meaning_of(UpdateReturns, cleared) != meaning_of(UpdateReturns, kept)
    attributes = [{**kept, "returnOrderAttributes": value} for value in ({"attribute1": ""}, {}, None)]
    first, *others = [meaning_of(UpdateReturns, one) for one in attributes]
    assert first not in others
    assert others == [meaning_of(UpdateReturns, kept)] * 2


def test_an_update_is_the_same_at_the_same_instant() -> None:
    one = {"orderCode": "O", "dispatchByTime": "2025-06-16T18:00:00+04:00", "onHold": False}
    other = {"orderCode": "O", "dispatchByTime": "2025-06-16T14:00:00.000Z", "onHold": "false"}
    assert meaning_of(UpdateOrderProperties, one) == meaning_of(UpdateOrderProperties, other)


@pytest.mark.parametrize(
    "written", ["", "not a time", "2025-06-14", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_any_text_has_a_meaning_as_a_time(written: str) -> None:
    digest(CreateOutwardOrder, order(orderTime=written))


def models() -> Iterator[type[Body]]:
    waiting = [BY_NAME[name].request for name in OF_TOUCHPOINT]
    while waiting:
        model = waiting.pop()
        yield model
        waiting += [inner for info in model.model_fields.values() for inner in models_in(info.annotation)]


def test_each_time_is_compared_as_an_instant() -> None:
    rules = [rules_of(model)[name] for model in models() for name in TIMES & model.model_fields.keys()]
    assert len(rules) >= len(TIMES)
    assert set(rules) == {_time}


@pytest.mark.parametrize("touchpoint", OF_TOUCHPOINT)
def test_a_digest_of_a_version_before_still_matches(touchpoint: str) -> None:
    model, body = BY_NAME[touchpoint].request, sample(touchpoint)
    stored = former_digest(model, body)
    assert not stored.startswith(FORM)
    assert matches(stored, model, body)
    assert matches(stored, model, {**body, "somethingNew": 1, "anotherOne": None})
    assert not matches(stored, model, {})
    assert matches(digest(model, body), model, body)
    call = call_digest(touchpoint, stored)
    assert is_former_call(call, touchpoint, model, body)
    assert not is_former_call(call_digest(touchpoint, digest(model, body)), touchpoint, model, body)


def test_former_digests_are_those_that_were_stored() -> None:
    """Written down from the version before: they stand in states."""
    assert former_digest(CreateOutwardOrder, ORDER) == "59ff1f58312822ca754a46610836cf75"
    assert former_digest(CreateReturnOrder, RETURN) == "f0250f1058649cf398f0dfc0e30381af"
    cancelled = sample("cancel-return-order-items")  # then it had members of other names
    assert former_digest(CancelReturnOrderItems, cancelled) == "52f415b9ba74e18eea106aea5543ff59"


TEXTS = ["A", "B", "AB", "A B", 'A"', "A\\", "A!", "a", "é", "\U0001f600", "\uffff", "A\n", "A\u007f", "A#", ""]


@pytest.mark.parametrize("odd", TEXTS)
def test_entries_are_sorted_by_their_texts(odd: str) -> None:
    """By the first member alone only where that gives the same order: stored digests depend on it."""
    entries = [{"z": n, "name": text} for n, text in enumerate(["A", "B", "AB", "AC", "a", odd])]
    for given in (entries, [*entries, {"name": "x"}], [*entries, {"earlier": 1, "name": "x"}], [*entries, "text"]):
        found: list[Any] = list(given)
        _sort(found, "")
        assert found == sorted(given, key=text_of)
