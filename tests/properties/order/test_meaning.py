"""Any re-wording of an order or return is a repeat, any single change of what it says is a conflict.

The re-wordings are made on the JSON by rules written down here, without those of the product.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.orders import Story, create_body, sample
from topics.records.verdicts import Verdict

EXAMPLES = 60
CREATE, RETURN = "create-outward-order", "create-return-order"
FALSE = {CREATE: ["isPriority", "gift", "isSplitRequired"], RETURN: []}
TIMES = {CREATE: ["orderTime", "dispatchByTime", "startProcessingTime"], RETURN: ["returnOrderTime", "expectedDate"]}
TEXTS = {CREATE: ["parentOrderCode", "packType"], RETURN: ["returnReason", "currencyCode", "regionType", "sellerGstin"]}
LISTS = {CREATE: ["orderItems", "taxBreakupForms"], RETURN: ["orderItems"]}
OBJECTS = {CREATE: ["billingAddress"], RETURN: ["pickupAddress", "dropAddress"]}
NONE = ["sellerDiscountPerUnit", "channelDiscountPerUnit", "shippingChargePerUnit"]
offsets = st.integers(-14 * 4, 14 * 4).map(lambda quarters: timedelta(minutes=15 * quarters))
amounts = st.integers(0, 10_000).map(lambda cents: cents / 100)


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    body = create_body(quantities=tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))))
    body |= {name: draw(st.booleans()) for name in ("isPriority", "gift", "onHold")}
    body["qcStatus"] = draw(st.sampled_from(["PASS", "FAIL"]))
    for item in body["orderItems"]:
        item |= {name: draw(st.sampled_from([0, 0.0, 1.5])) for name in NONE}
        item["sellingPricePerUnit"] = draw(amounts)
    return body


returns = st.just(sample(RETURN))


def _reworded(draw: st.DrawFn, touchpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """The same in other words."""
    said = deepcopy(body)
    for name in TIMES[touchpoint]:
        said[name] = _same_time(draw, said[name])
    for name in FALSE[touchpoint]:
        if said.get(name) is False:
            _say(draw, said, name, ["left out", None, False])
    if said.get("qcStatus") == "PASS":
        _say(draw, said, "qcStatus", ["left out", None, "PASS"])
    for name in TEXTS[touchpoint]:
        if name not in said:
            _say(draw, said, name, ["left out", None, ""])
    for name in OBJECTS[touchpoint]:
        if name not in said:
            _say(draw, said, name, ["left out", None, {}, {"line1": None}])
        elif draw(st.booleans()):
            said[name] = {**{n: v for n, v in said[name].items() if v}, "line9": "unknown"}
    for name in LISTS[touchpoint]:
        said[name] = draw(st.permutations(said[name]))
    for item in said["orderItems"]:
        for name in NONE:
            if item.get(name) == 0:
                _say(draw, item, name, ["left out", None, 0, 0.0, "0.00", ""])
        for name in ("sellingPricePerUnit", "price"):
            if name in item:
                item[name] = draw(st.sampled_from([item[name], float(item[name]), f"{item[name]}"]))
    said["unknown"] = draw(st.integers())
    return dict(draw(st.permutations(list(said.items()))))


def _say(draw: st.DrawFn, said: dict[str, Any], name: str, words: list[Any]) -> None:
    said.pop(name, None)
    word = draw(st.sampled_from(words))
    if word != "left out":
        said[name] = word


def _same_time(draw: st.DrawFn, text: str) -> str:
    moment = datetime.fromisoformat(text).astimezone(timezone(draw(offsets)))
    zone = draw(st.sampled_from(["", "[Asia/Dubai]"]))
    return moment.isoformat(timespec=draw(st.sampled_from(["auto", "milliseconds", "microseconds"]))) + zone


def _another_time(text: str) -> str:
    return (datetime.fromisoformat(text) + timedelta(milliseconds=1)).isoformat()


CHANGES: dict[str, list[Callable[[dict[str, Any]], Any]]] = {
    CREATE: [
        *[lambda said, name=name: said.update({name: not said[name]}) for name in ("isPriority", "gift", "onHold")],
        *[lambda said, name=name: said.update({name: _another_time(said[name])}) for name in TIMES[CREATE]],
        *[lambda said, name=name: said.pop(name) for name in ("parentOrderCode", "packType", "billingAddress")],
        lambda said: said.update(qcStatus="FAIL" if said["qcStatus"] == "PASS" else "PASS"),
        lambda said: said.update(paymentMethod="COD"),
        lambda said: said["shippingAddress"].update(phone="+971500000144"),
        lambda said: said["orderItems"][-1].update(quantity=said["orderItems"][-1]["quantity"] + 1),
        lambda said: said["orderItems"][0].update(channelDiscountPerUnit=99),
        lambda said: said["orderItems"][0].update(orderItemCode="ANOTHER"),
        lambda said: said["taxBreakupForms"][1]["taxItemForms"][0].update(rate=6),
        lambda said: said["taxBreakupForms"].pop(),
        lambda said: said.update(orderCustomAttributes={"currency": "AED", "channelMetadata": {"a": 1}}),
    ],
    RETURN: [
        *[lambda said, name=name: said.update({name: _another_time(said[name])}) for name in TIMES[RETURN]],
        *[lambda said, name=name: said.pop(name) for name in ("returnReason", "pickupAddress", "awbNumber")],
        lambda said: said["orderItems"][0].update(reason="Another"),
        lambda said: said["orderItems"].pop(),
        lambda said: said["orderItems"][1]["subTaxItemData"][0].update(rate=6),
    ],
}


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), st.sampled_from([CREATE, RETURN]))
def test_a_rewording_is_a_repeat_and_a_change_is_a_conflict(data: st.DataObject, touchpoint: str) -> None:
    body = data.draw(orders() if touchpoint == CREATE else returns)
    story = Story()
    first, again = (data.draw(st.composite(_reworded)(touchpoint, body)) for _ in range(2))
    created = story.tell(touchpoint, first)
    assert created.verdict is Verdict.APPLIED
    repeat = story.tell(touchpoint, again)
    assert (repeat.verdict, repeat.requests, repeat.facts) == (Verdict.DUPLICATE, [], [])
    changed = deepcopy(body)
    data.draw(st.sampled_from(CHANGES[touchpoint]))(changed)
    step = story.tell(touchpoint, data.draw(st.composite(_reworded)(touchpoint, changed)))
    assert (step.verdict, step.requests) == (Verdict.CONFLICT, [])
