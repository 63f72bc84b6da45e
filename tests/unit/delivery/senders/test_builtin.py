"""What Sluice answers in a marketplace's place has the contract's shape, needs no memory, and names nothing twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.attempts.classify import classify
from streams.delivery.ports import Answer, Call, ResponseClass
from streams.delivery.senders.builtin import RULES, BuiltinSender, answer, shipment_code
from topics.configuration.channels import SENT_TO_MARKETPLACES
from topics.contract.definition import Touchpoint
from topics.contract.models.errors import ChannelError
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME

DOCUMENTS = {"get-invoice", "get-shipping-label"}


def sent() -> list[Any]:
    return [pytest.param(touchpoint, id=touchpoint.name) for touchpoint in SENT_TO_MARKETPLACES]


def call(touchpoint: Touchpoint, members: dict[str, Any]) -> Call:
    return Call(touchpoint=touchpoint, destination="channel:demo", channel="demo", members=members)


def test_there_is_a_rule_for_all_that_is_sent() -> None:
    assert set(RULES) == {touchpoint.name for touchpoint in SENT_TO_MARKETPLACES}


async def test_values_in_another_form_name_the_same() -> None:
    """A request has its caller's own members."""
    members = sample("pack-order").members
    number = {**members, "orderCode": 4711, "shipmentId": "5"}
    text = {**members, "orderCode": "4711", "shipmentId": 5}
    answers = [await BuiltinSender().send(call(BY_NAME["pack-order"], one)) for one in (number, text)]
    assert answers[0].status == 200
    assert answers[0].body == answers[1].body


@pytest.mark.parametrize("touchpoint", sent())
async def test_a_sample_is_taken_or_refused_in_the_contracts_words(touchpoint: Touchpoint) -> None:
    members = sample(touchpoint.name).members
    answered = await BuiltinSender().send(call(touchpoint, members))
    verdict = classify(touchpoint, members, answered, 0)
    if touchpoint.name in DOCUMENTS:
        assert (answered.status, verdict.kind) == (404, ResponseClass.REFUSED)
        assert "channel demo gives out no" in verdict.message
        ChannelError.model_validate(verdict.body)
    else:
        assert verdict.kind is ResponseClass.DELIVERED
        if touchpoint.response is not None:
            touchpoint.response.model_validate(verdict.body)


@pytest.mark.parametrize("touchpoint", sent())
@pytest.mark.parametrize("members", [{}, {"orders": 1, "orderCode": [], "manifestItems": [1], "inventories": [1]}])
async def test_what_lacks_its_members_is_refused_and_ends_nothing(
    touchpoint: Touchpoint, members: dict[str, Any]
) -> None:
    answered: Answer = await BuiltinSender().send(call(touchpoint, members))
    assert answered.status in {200, 400, 404}


texts = st.text(min_size=1, max_size=40)


@given(st.lists(st.tuples(texts, texts, st.integers(0, 1 << 62)), min_size=2, max_size=2, unique=True))
def test_a_code_names_one_shipment_and_always_the_same(shipments: list[tuple[str, str, int]]) -> None:
    first, second = (shipment_code(*shipment) for shipment in shipments)
    assert first != second
    assert first == shipment_code(*shipments[0])
    assert first.removeprefix("SLU-").isalnum()
    assert len(first) == 20


def test_a_manifest_of_the_same_shipments_has_the_same_code() -> None:
    members = sample("create-manifest").members
    again = {**members, "manifestItems": members["manifestItems"][::-1]}
    for one in (members, {name: value for name, value in members.items() if name != "manifestId"}):
        other = {**again} if "manifestId" in one else {n: v for n, v in again.items() if n != "manifestId"}
        codes = {answer(BY_NAME["create-manifest"], "demo", body)[1]["manifestCode"] for body in (one, other)}
        assert len(codes) == 1
