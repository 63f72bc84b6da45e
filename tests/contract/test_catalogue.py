"""Every entry of the catalogues keeps to what the others rely on, and each check refuses an entry that does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contract import checks
from topics.contract.definition import Entity, Mode, Repeat, Touchpoint
from topics.contract.models.inventory import LocationWiseAtpAnswer
from topics.contract.sample_files import Sample, SampleError, names, parse, sample
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.documents import docs
from topics.kafka.catalogue import BY_NAME as TOPIC_BY_NAME
from topics.kafka.catalogue import TOPICS, Cleanup

ROOT = Path(__file__).parents[2]

NAMES = {
    "create-outward-order", "customer-cancellation", "update-order-properties", "search-inventory",
    "search-inventory-marketplace", "create-return-order", "add-return-order-items", "update-returns",
    "cancel-return-order-items", "acknowledgement", "pack-order", "get-invoice", "get-shipping-label",
    "create-manifest", "handover-notification", "seller-cancellation", "location-wise-atp-inventory",
    "consolidated-atp-inventory", "return-order-acknowledgement", "get-credential",
}  # fmt: skip
MANDATORY = {
    "create-outward-order", "customer-cancellation", "pack-order", "seller-cancellation", "location-wise-atp-inventory"
}  # fmt: skip
"""Contract 0.1: what every integration must have."""


def test_the_touchpoints_of_the_contract_are_there() -> None:
    assert {touchpoint.name for touchpoint in TOUCHPOINTS} == NAMES
    assert len(TOUCHPOINTS) == 20
    assert {touchpoint.name for touchpoint in TOUCHPOINTS if not touchpoint.optional} == MANDATORY


def test_every_topic_is_sound() -> None:
    assert list(checks.topics_faults(TOPICS)) == []


def test_every_touchpoint_is_sound() -> None:
    assert list(checks.touchpoints_faults(TOUCHPOINTS)) == []


@pytest.mark.parametrize("touchpoint", TOUCHPOINTS, ids=lambda touchpoint: touchpoint.name)
def test_every_touchpoint_has_a_sample_that_its_models_accept(touchpoint: Touchpoint) -> None:
    assert list(checks.sample_faults(touchpoint, sample)) == []


def test_no_sample_is_left_without_its_touchpoint() -> None:
    assert checks.orphans(names(), TOUCHPOINTS) == []
    assert checks.orphans([*names(), "forgotten"], TOUCHPOINTS) == ["forgotten"]


def test_the_documents_are_not_stale(tmp_path: Path) -> None:
    """Make them anew with: python -m topics.documents.docs docs."""
    assert checks.stale_documents(ROOT / "docs", {name: render() for name, render in docs.DOCUMENTS.items()}) == []
    docs.write(tmp_path)
    (tmp_path / "topics.md").write_text("old", encoding="utf-8")
    (tmp_path / "settings.md").unlink()
    assert checks.stale_documents(tmp_path, {name: render() for name, render in docs.DOCUMENTS.items()}) == [
        "topics.md",
        "settings.md",
    ]


def test_every_setting_is_explained() -> None:
    lines = [line for line in docs.settings().splitlines() if line.startswith("| `")]
    assert [line for line in lines if line.endswith("|  |")] == []


BAD_TOPICS: list[tuple[dict[str, Any], str]] = [
    ({"name": "orders_commands"}, "name"),
    ({"name": "Orders.commands"}, "name"),
    ({"key": " "}, "key"),
    ({"why": ""}, "why"),
    ({"writers": ()}, "writers"),
    ({"readers": ("nobody",)}, "readers"),
    ({"retention_ms": -1}, "retention_ms"),
    ({"retention_ms": checks.RETENTION_MS_MAX + 1}, "retention_ms"),
    ({"cleanup": Cleanup.COMPACT}, "retention_ms"),
    ({"partitions": 0}, "partitions"),
]


@pytest.mark.parametrize(("change", "named"), BAD_TOPICS, ids=str)
def test_a_bad_topic_is_refused(change: dict[str, Any], named: str) -> None:
    bad = replace(TOPIC_BY_NAME["orders.commands"], **change)
    assert [fault.split(":")[0] for fault in checks.topic_faults(bad)] == [named]


def test_a_topic_that_is_there_twice_is_refused() -> None:
    assert list(checks.topics_faults([TOPICS[0], TOPICS[0]])) == [f"{TOPICS[0].name}: twice"]


BAD_TOUCHPOINTS: list[tuple[str, dict[str, Any], str]] = [
    ("pack-order", {"name": "PackOrder"}, "name"),
    ("pack-order", {"section": "somewhere"}, "section"),
    ("pack-order", {"path": "orders/pack"}, "path"),
    ("pack-order", {"path": "/orders/{orderCode}/pack"}, "path"),
    ("pack-order", {"far_path": "/pack/{orderCode}"}, "far_path"),
    ("pack-order", {"query": True}, "query"),
    ("pack-order", {"split": "orders"}, "split"),
    ("pack-order", {"entity": Entity.NONE}, "mode"),
    ("pack-order", {"repeat": Repeat.NONE}, "mode"),
    ("pack-order", {"idempotency": ()}, "idempotency"),
    ("pack-order", {"mode": Mode.ACCEPT}, "repeat"),
    ("pack-order", {"response": None}, "repeat"),
    ("pack-order", {"refusable": False}, "refusable"),
    ("pack-order", {"off_by_default": True}, "off_by_default"),
    ("get-invoice", {"method": "POST"}, "query"),
    ("customer-cancellation", {"path_members": ()}, "path"),
]


@pytest.mark.parametrize(("name", "change", "named"), BAD_TOUCHPOINTS, ids=str)
def test_a_bad_touchpoint_is_refused(name: str, change: dict[str, Any], named: str) -> None:
    assert named in [fault.split(":")[0] for fault in checks.touchpoint_faults(replace(BY_NAME[name], **change))]


def test_path_members_that_the_request_lacks_are_refused() -> None:
    bad = replace(BY_NAME["search-inventory"], path="/{what}", far_path="/{what}", path_members=("what",))
    assert list(checks.touchpoint_faults(bad)) == ["path_members: members of the request"]


def test_two_touchpoints_on_one_route_are_refused() -> None:
    twin = replace(BY_NAME["pack-order"], name="pack-again")
    assert list(checks.touchpoints_faults([BY_NAME["pack-order"], twin])) == ["('POST', '/orders/pack'): twice"]
    update = BY_NAME["update-order-properties"]
    other = replace(update, name="update-again", path="/orders/{locationCode}", far_path="/orders/{locationCode}")
    faults = list(checks.touchpoints_faults([update, replace(other, path_members=("locationCode",))]))
    assert faults == ["('PUT', '/orders/{}'): twice"]


def test_two_touchpoints_of_one_name_are_refused() -> None:
    other = replace(BY_NAME["pack-order"], path="/elsewhere")
    assert list(checks.touchpoints_faults([BY_NAME["pack-order"], other])) == ["pack-order: twice"]


def _changed(**change: Any) -> Sample:
    return replace(sample("customer-cancellation"), **change)


BAD_SAMPLES: list[tuple[Sample, str]] = [
    (_changed(path={}), "request.path"),
    (_changed(body={}), "request"),
    (_changed(body=None), "request.body"),
    (_changed(query={"a": "b"}), "request.body"),
    (_changed(status=201), "response.status"),
    (_changed(answer={}), "response.body"),
]


@pytest.mark.parametrize(("bad", "named"), BAD_SAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_bad_sample_is_refused(bad: Sample, named: str) -> None:
    faults = [fault.split(":")[0] for fault in checks.sample_faults(BY_NAME["customer-cancellation"], lambda _: bad)]
    assert named in faults


def test_a_sample_whose_answer_is_not_the_models_is_refused() -> None:
    entry = replace(BY_NAME["search-inventory"], response=LocationWiseAtpAnswer)
    assert [fault.split(":")[0] for fault in checks.sample_faults(entry, sample)] == ["response"]


def test_a_get_with_a_body_in_its_sample_is_refused() -> None:
    bad = replace(sample("get-invoice"), body={})
    assert list(checks.sample_faults(BY_NAME["get-invoice"], lambda _: bad)) == [
        "request.body: what travels in the query string has no body"
    ]


def test_a_missing_sample_is_named() -> None:
    entry = replace(BY_NAME["pack-order"], name="unpack-order")
    assert list(checks.sample_faults(entry, sample)) == ["samples/unpack-order.json does not exist"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"request":{}}', b'{"request":{"path":[],"query":{},"body":null}}'])
def test_a_sample_file_of_another_shape_is_refused(raw: bytes) -> None:
    with pytest.raises(SampleError, match=r"samples/x\.json"):
        parse("x", raw)


def test_a_caller_may_change_its_copy_of_a_sample() -> None:
    sample("pack-order").members["shipmentItems"].clear()
    assert sample("pack-order").members["shipmentItems"]
