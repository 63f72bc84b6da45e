"""asyncapi.json says of every topic what it carries, and every record that the orders role writes is as it says."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator

from streams.runtime.rejected import rejection
from streams.runtime.role import Record
from tests.contract.checks import references
from tests.support.orders import (
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    handover_body,
    manifest_body,
    pack_body,
    sample,
)
from tests.support.orders_log import Logs
from topics.configuration.settings import Settings
from topics.documents.asyncapi import document, topics
from topics.documents.messages import MESSAGES
from topics.kafka.catalogue import TOPICS
from topics.records import envelope as types
from topics.records.envelope import REJECTED, Envelope
from topics.records.facts.catalogue import FACTS

COMPONENT = re.compile(r"[a-zA-Z0-9._-]+")


def _found(reference: str) -> Any:
    place: Any = document()
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


def test_every_topic_is_a_channel_with_its_kafka_configuration() -> None:
    channels = document()["channels"]
    assert set(channels) == {topic.name for topic in topics()} == set(MESSAGES)
    for topic in TOPICS:
        channel, binding = channels[topic.name], channels[topic.name]["bindings"]["kafka"]
        assert channel["address"] == binding["topic"] == topic.full_name("sluice")
        assert binding["partitions"] == (topic.partitions or Settings.model_fields["partitions"].default)
        told = binding["topicConfiguration"]
        assert ",".join(told["cleanup.policy"]) == topic.cleanup.value
        assert {key: str(value) for key, value in told.items() if key != "cleanup.policy"} == {
            key: value for key, value in topic.config().items() if key != "cleanup.policy"
        }


def test_every_reference_leads_somewhere_and_every_name_is_one() -> None:
    for reference in references(document()):
        assert _found(reference), reference
    for kind in document()["components"].values():
        assert all(COMPONENT.fullmatch(name) for name in kind)


def test_every_writer_and_reader_has_an_operation() -> None:
    operations = document()["operations"].values()
    told = {(one["action"], one["tags"][0]["name"], one["channel"]["$ref"]) for one in operations}
    for topic in TOPICS:
        assert {("send", role, f"#/channels/{topic.name}") for role in topic.writers} <= told
        assert {("receive", role, f"#/channels/{topic.name}") for role in topic.readers} <= told


def test_the_roles_read_their_source_topics_in_a_group() -> None:
    groups = {
        name: one["bindings"]["kafka"]["groupId"]["const"]
        for name, one in document()["operations"].items()
        if "bindings" in one
    }
    assert groups == {
        "orders-reads-orders.commands": "sluice.orders",
        "delivery-reads-deliveries.requests": "sluice.delivery",
        "inventory-reads-inventory.updates": "sluice.inventory",
    }


def test_orders_events_carries_every_fact() -> None:
    messages = document()["channels"]["orders.events"]["messages"]
    assert set(messages) == {f"fact-{name}" for name in FACTS}


def test_every_type_of_the_envelope_is_a_message() -> None:
    named = {
        value
        for name, value in vars(types).items()
        if name.isupper() and isinstance(value, str) and value.startswith("sluice.") and not value.endswith(".")
    }
    told = {message.type for messages in MESSAGES.values() for message in messages}
    assert named - {REJECTED} <= told  # what is set aside keeps its own


def test_every_header_that_an_envelope_can_have_is_described() -> None:
    envelope = Envelope(
        id="i",
        type="t",
        source="s",
        channel="c",
        subject="o",
        time_ms=1,
        reply_partition=1,
        reply_topic="r",
        deadline_ms=1,
        batch_id="b",
    )
    schema = document()["components"]["schemas"]["CloudEventsHeaders"]
    assert {name for name, _ in envelope.headers()} <= set(schema["properties"])
    record = Record(1, 2, 3, b"k", b"v", envelope.headers())
    aside = rejection(record, role="orders", topic="t", code="C", reason="r")
    plain = document()["components"]["schemas"]["PlainHeaders"]["properties"]
    assert {name for name, _ in aside.headers if name.startswith("sluice-rejected")} <= set(plain)


def _told() -> Logs:
    """A log in which an order is created, packed, manifested, handed over, and a part of it returned."""
    logs = Logs()
    answer = {"shipmentCode": "S-1", "awbNumber": "X", "manifestCode": "M", "invoiceCode": "I"}
    steps = [
        ("create-outward-order", create_body("A")),
        ("acknowledgement", acknowledgement_body("A")),
        ("customer-cancellation", cancel_body("A", i2=1)),
        ("pack-order", pack_body(1, "A", sku_1=2)),
        ("get-shipping-label", document_body("S-1", "A")),
        ("create-manifest", manifest_body("A")),
        ("handover-notification", handover_body("S-1", code="A")),
        ("create-return-order", {**sample("create-return-order"), "forwardOrderCode": "A"}),
    ]
    answered: set[str] = set()
    for number, (touchpoint, body) in enumerate(steps):
        logs.call(touchpoint, body, f"e{number}")
        logs.run()
        for request in logs.requests():
            if request.id not in answered:
                answered.add(request.id)
                logs.answer(request, body=answer)
        logs.run()
    assert logs.rejected == []
    return logs


def _validator(schema: dict[str, Any]) -> Draft7Validator:
    return Draft7Validator({**schema, "components": document()["components"]})


def test_every_record_that_the_orders_role_writes_is_as_it_says() -> None:
    seen: set[str] = set()
    for effect in _told().effects:
        headers = {name: content.decode() for name, content in effect.headers}
        kinds = {one.type: one.name for one in MESSAGES[effect.topic] if one.type}
        if not kinds:
            continue
        name = kinds[headers["ce_type"]]
        seen.add(name)
        message = _found(f"#/components/messages/{name}")
        _validator(message["headers"]).validate(headers)
        _validator(message["payload"]).validate(orjson.loads(effect.value))
    assert seen >= {
        "reply",
        "delivery-request",
        "fact-order-handed-over",
        "shipment-manifested",
        "return-claimed",
        "return-decided",
    }


@pytest.mark.parametrize("name", document()["components"]["schemas"])
def test_each_payload_schema_is_one(name: str) -> None:
    Draft7Validator.check_schema(document()["components"]["schemas"][name])
