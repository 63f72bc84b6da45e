"""Other forms of a value are read as Jackson reads them, and what leaves are the caller's own members."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from topics.contract.leniency import as_text, judged, members_not_judged, normalised, own_members, read_call
from topics.contract.sample_files import names, sample
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.documents.json_schema import Untitled
from topics.documents.values_page import TIMES, VALUES, answer, model_of
from topics.records.json_text import WrittenFloat, read
from topics.schema_base import Kind, time_of

CREATE = BY_NAME["create-outward-order"]
Path = tuple[str | int, ...]


def _changed(name: str, path: Path, value: Any) -> dict[str, Any]:
    members = deepcopy(sample(name).members)
    at: Any = members
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return members


def _at(members: Any, path: Path) -> Any:
    for part in path:
        members = members[part]
    return members


READ: list[tuple[str, Path, str, Any]] = [
    ("create-outward-order", ("onHold",), '"false"', False),
    ("create-outward-order", ("onHold",), '" true "', True),
    ("create-outward-order", ("onHold",), "0", False),
    ("create-outward-order", ("isPriority",), '"False"', False),
    ("create-outward-order", ("isPriority",), '""', None),
    ("create-outward-order", ("isSplitRequired",), '"false"', False),
    ("create-outward-order", ("orderCode",), "4711", "4711"),
    ("create-outward-order", ("orderCode",), "9400111899223197428490", "9400111899223197428490"),
    ("create-outward-order", ("locationCode",), "12", "12"),
    ("create-outward-order", ("qcStatus",), '""', None),
    ("create-outward-order", ("shippingAddress", "zip"), "411001", "411001"),
    ("create-outward-order", ("shippingAddress", "phone"), "971500000000", "971500000000"),
    ("create-outward-order", ("billingAddress",), "[]", {}),
    ("create-outward-order", ("orderItems", 0, "channelSkuCode"), "7", "7"),
    ("create-outward-order", ("orderItems", 0, "quantity"), "2.0", 2),
    ("create-outward-order", ("orderItems", 0, "quantity"), "1.0000", 1),
    ("create-outward-order", ("orderItems", 0, "quantity"), "1e0", 1),
    ("create-outward-order", ("orderItems", 0, "quantity"), '"2"', 2),
    ("create-outward-order", ("orderItems", 0, "sellingPricePerUnit"), '"499.0000"', 499),
    ("create-outward-order", ("orderItems", 0, "sellingPricePerUnit"), '"0"', 0),
    ("create-outward-order", ("orderItems", 0, "channelDiscountPerUnit"), '""', None),
    ("create-outward-order", ("orderItems", 0, "giftOptions", "giftMessage"), "false", "false"),
    ("update-order-properties", ("onHold",), '"true"', True),
    ("customer-cancellation", ("orderItems", 0, "cancelledQuantity"), '"1"', 1),
    ("seller-cancellation", ("orderItems", 0, "sellerCancelledQty"), "1.0", 1),
    ("create-return-order", ("returnOrderCode",), "4711", "4711"),
    ("create-return-order", ("forwardOrderCode",), "4711", "4711"),
    ("create-return-order", ("orderItems", 0, "itemCode"), "1", "1"),
    ("update-returns", ("trackingCode",), "9400111899223197428490", "9400111899223197428490"),
    ("acknowledgement", ("orders", 0, "orderCode"), "4711", "4711"),
    ("pack-order", ("shipmentId",), '"4810023"', 4810023),
    ("pack-order", ("shipmentItems", 0, "quantityToPack"), '"1"', 1),
    ("get-shipping-label", ("arePackBoxLabelsRequired",), '"true"', True),
    ("get-shipping-label", ("shipmentId",), '"4810023"', 4810023),
    ("create-manifest", ("manifestId",), '"7"', 7),
    ("create-manifest", ("manifestItems", 0, "awbNumber"), "12345", "12345"),
    ("handover-notification", ("handoverItems", 0, "shipmentCode"), "5", "5"),
    ("location-wise-atp-inventory", ("inventories", 0, "quantity"), "5.0", 5),
    ("location-wise-atp-inventory", ("inventories", 0, "channelSkuCode"), "5", "5"),
    ("consolidated-atp-inventory", ("inventories", 0, "consolidatedQuantity"), '"211"', 211),
    ("search-inventory", ("channelSkuCodes", 0), "5", "5"),
    ("return-order-acknowledgement", ("orderItems", 0, "itemCode"), "5", "5"),
]


@pytest.mark.parametrize(("name", "path", "text", "wanted"), READ)
def test_a_value_in_another_form_is_read_as_what_it_means(name: str, path: Path, text: str, wanted: Any) -> None:
    members = _changed(name, path, read(b"[%b]" % text.encode())[0])
    before = repr(members)
    call = read_call(BY_NAME[name], members)
    found = _at(call.read, path)
    assert (found, type(found)) == (wanted, type(wanted))
    assert repr(members) == before
    assert call.own is members


PASSED: list[tuple[str, Path]] = [
    ("pack-order", ("weight",)),
    ("pack-order", ("packageSku",)),
    ("pack-order", ("dimensions",)),
    ("pack-order", ("invoice", "panNo")),
    ("pack-order", ("invoice", "orderTime")),
    ("pack-order", ("invoice", "invoiceItems")),
    ("pack-order", ("shipmentItems", 0, "externalSerialCodes")),
    ("create-manifest", ("manifestItems", 0, "packboxDetailsList")),
    ("handover-notification", ("handoverItems", 0, "gatePassCode")),
    ("seller-cancellation", ("orderItems", 0, "acceptedQty")),
    ("return-order-acknowledgement", ("orderItems", 0, "imageUrls")),
]
ODD: tuple[Any, ...] = (5, 2.5, True, "x" * 300, "", [], ["a", 1], {}, {"a": {}}, 10**30)


@pytest.mark.parametrize(("name", "path"), PASSED)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_no_parcel_waits_for_a_member_that_only_the_marketplace_needs(name: str, path: Path, value: Any) -> None:
    members = _changed(name, path, value)
    assert read_call(BY_NAME[name], members) == (members, members)


def test_members_of_a_marketplace_are_judged_all() -> None:
    """Increff would refuse them later, when nobody is on the line."""
    not_judged = {touchpoint.name for touchpoint in TOUCHPOINTS if list(members_not_judged(touchpoint.request))}
    assert all(BY_NAME[name].far_side == "marketplace" for name in not_judged)


@pytest.mark.parametrize("name", names())
def test_a_body_in_which_nothing_differs_is_read_as_itself(name: str) -> None:
    members = normalised(BY_NAME[name].request, sample(name).members)
    assert judged(BY_NAME[name].request, members) is members
    assert normalised(BY_NAME[name].request, members) is members


def test_an_amount_that_was_written_with_zeros_is_no_other_form() -> None:
    members = _changed(CREATE.name, ("orderItems", 0, "sellingPricePerUnit"), WrittenFloat("499.0000"))
    assert judged(CREATE.request, members) is members


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_the_schemas_say_what_is_taken(kind: Kind, optional: bool) -> None:

    schema = model_of(kind, optional=optional).model_json_schema(schema_generator=Untitled)
    validator = jsonschema.Draft202012Validator(schema)
    for text in (*VALUES, *TIMES):
        value = read(b"[%b]" % text.encode())[0]
        taken = not answer(kind, text, optional=optional).fault
        # A schema says of a time only that it is a text, and of a number in a text not how large it is; to a schema,
        # 2.0 is an integer.
        loose = (kind is Kind.TIME and isinstance(value, str)) or (kind is Kind.COUNT and value == "-1")
        loose = loose or (optional and value in (" ", "null")) or (kind is Kind.FLAG and isinstance(value, float))
        assert validator.is_valid({"member": value}) is taken or loose, (text, schema)


def test_what_leaves_has_the_callers_own_members() -> None:
    own = {
        "orderCode": 4711,
        "locationCode": "",
        "note": 1.5,
        "orderItems": [{"code": 1, "count": "2"}, {"code": 2, "count": 3.0}],
    }
    read_: dict[str, Any] = {
        "orderCode": "4711",
        "locationCode": None,
        "note": 1.5,
        "orderItems": [{"code": "1", "count": 2}, {"code": "2", "count": 3}],
    }
    assert own_members(read_, read_, own) is own
    assert own_members({**read_, "locationCode": "L1", "more": 1}, read_, own) == {
        **own,
        "locationCode": "L1",
        "more": 1,
    }
    second = read_["orderItems"][1]
    assert own_members({**read_, "orderItems": [second]}, read_, own)["orderItems"] == [{"code": 2, "count": 3.0}]
    added = [{**item, "locationCode": "L1"} for item in read_["orderItems"]]
    assert own_members({**read_, "orderItems": added}, read_, own)["orderItems"] == [
        {"code": 1, "count": "2", "locationCode": "L1"},
        {"code": 2, "count": 3.0, "locationCode": "L1"},
    ]


def test_a_number_that_has_no_text_is_no_code() -> None:
    assert as_text(10**5_000) is None
    assert as_text(float("inf")) is None
    with pytest.raises(ValidationError, match="orderCode"):
        judged(CREATE.request, _changed(CREATE.name, ("orderCode",), 10**5_000))


def test_a_zone_behind_an_offset_changes_no_time() -> None:
    plain, zoned = "2020-10-16T20:22:28.000+05:30", "2020-10-16T20:22:28.000+05:30[Asia/Kolkata]"
    assert time_of(plain) == time_of(zoned) == time_of("2020-10-16T14:52:28Z[UTC]")
    for text in (
        "2020-10-16[UTC]",
        "2020-10-16T14:52:28[Asia/Kolkata]",
        f"{zoned}[UTC]",
        f"{plain}[]",
        f"{plain}[a b]",
    ):
        with pytest.raises(ValueError, match="isoformat"):
            time_of(text)
