"""The AsyncAPI 3.0 document of all topics, derived from the catalogues and models: docs/asyncapi.json, /asyncapi.json.

Addresses have the default prefix (SLUICE_TOPIC_PREFIX). Schemas of payloads are components, as AsyncAPI's default
schema format wants them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import metadata
from typing import Any

from pydantic import TypeAdapter

from topics.configuration.settings import Settings
from topics.documents.json_schema import Untitled
from topics.documents.messages import COMMANDS, MESSAGES, Message
from topics.kafka.catalogue import TOPICS, Topic
from topics.kafka.channel_topics import answer_topic, reply_topic, request_topic

Schema = dict[str, Any]

BINDING = "0.5.0"
"""Version of AsyncAPI's Kafka bindings."""
_REF = "#/components/schemas/{model}"
_NAME = "NAME"
_ROLES = frozenset({"gateway", "orders", "delivery", "inventory"})
"""The roles of Sluice; other writers and readers are outside."""
_GROUPS = {"orders.commands": "orders", "deliveries.requests": "delivery", "inventory.updates": "inventory"}
"""Source topic -> the role whose workers read it as a consumer group. All other readers have none."""

_PREFIX = Settings.model_fields["topic_prefix"].default
_PARTITIONS = Settings.model_fields["partitions"].default
_TEXT: Schema = {"type": "string"}


def _header(description: str, **schema: Any) -> Schema:
    return {**_TEXT, "description": description, **schema}


_CLOUD_EVENTS: Schema = {
    "type": "object",
    "description": "CloudEvents 1.0 attributes in binary mode, and Sluice's own context. Every value is UTF-8 text.",
    "required": ["ce_id", "ce_type", "sluice-channel"],
    "properties": {
        "ce_specversion": _header("Version of CloudEvents; not where only Sluice's roles read", const="1.0"),
        "ce_id": _header("Id of the event, the same in each repeat of it"),
        "ce_type": _header("Type of the event"),
        "ce_source": _header("Writer of the event: /gateway, /orders, /delivery, or a direct producer's name"),
        "ce_subject": _header("Code of the order, return or manifest"),
        "ce_time": _header("Time of the event, RFC 3339", format="date-time"),
        "content-type": _header("Type of the value; not where only Sluice's roles read", const="application/json"),
        "sluice-channel": _header("Name of the channel in channels.toml; `~`: of no single channel"),
        "sluice-batch-id": _header("Id of the HTTP call whose orders became one event each"),
        "sluice-deadline-ms": _header("Time until which the caller waits, epoch milliseconds", pattern="^[0-9]+$"),
        "sluice-reply-partition": _header("Partition of `replies` that the gateway reads", pattern="^[0-9]+$"),
        "sluice-reply-topic": _header("Full name of the topic for the answer"),
        "sluice-signature": _header("Of a command that a gateway has validated: see docs/unreadable.md"),
        "sluice-made-by": _header(
            "epoch/offset of the role that wrote the record: see docs/reading.md", pattern="^[0-9]+/"
        ),
        "traceparent": _header("Span that caused the record (W3C Trace Context), if its call is traced"),
        "sluice-correlation-id": _header("On topics of channels: an answer repeats the id of its request"),
        "sluice-attempt": _header("On requests to channels: the number of the attempt, from 1", pattern="^[0-9]+$"),
    },
}
_PLAIN: Schema = {
    "type": "object",
    "description": "Headers of records that are not CloudEvents: of tables, rejected records and answers of channels.",
    "properties": {
        "sluice-made-by": _header(
            "epoch/offset of the role that wrote the record: see docs/reading.md", pattern="^[0-9]+/"
        ),
        "sluice-status": _header(
            "Of a channel's answer: the HTTP status that it stands for", pattern="^[1-5][0-9]{2}$"
        ),
        "sluice-correlation-id": _header("Of a channel's answer: the id of its request"),
        **{
            f"sluice-rejected-{name}": _header(f"Of a rejected record: {what}")
            for name, what in {
                "code": "the reason, as a word",
                "reason": "the reason, as a sentence",
                "topic": "the topic where it was read",
                "partition": "the partition where it was read",
                "offset": "the offset where it was read",
                "role": "the role that rejected it",
                "at-ms": "its time, epoch milliseconds",
                "value-bytes": "the size of its value, which was too large to be copied",
            }.items()
        },
    },
}


def topics() -> tuple[Topic, ...]:
    """The topics of the catalogue, and those that channels add, with NAME in place of their names."""
    return (*TOPICS, reply_topic(_NAME), request_topic(_NAME), answer_topic(_NAME))


@cache
def document() -> dict[str, Any]:
    """The whole document. Each call returns the same object, which must not be changed."""
    payloads, schemas = _payloads()
    every = {message.name: message for messages in MESSAGES.values() for message in messages}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sluice",
            "version": metadata.version("sluice-gateway"),
            "description": "Every Kafka topic of Sluice. To read facts: `orders.events`. To write commands without "
            "HTTP: `orders.commands` and `inventory.updates`. The other topics are between Sluice's roles.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "The Kafka that `sluice up` starts",
            }
        },
        "channels": {topic.name: _channel(topic) for topic in topics()},
        "operations": _operations(),
        "components": {
            "messages": {name: _message(message, payloads[name]) for name, message in every.items()},
            "schemas": {**schemas, "CloudEventsHeaders": _CLOUD_EVENTS, "PlainHeaders": _PLAIN},
        },
    }


def text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _payloads() -> tuple[dict[str, Schema], Schema]:
    """The reference to each message's payload, and all component schemas."""
    adapters: dict[str, TypeAdapter[Any]] = {
        message.name: TypeAdapter(message.payload) for messages in MESSAGES.values() for message in messages
    }
    made, definitions = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items()],
        ref_template=_REF,
        schema_generator=Untitled,
    )
    return {name: made[name, "validation"] for name in adapters}, definitions["$defs"]


def _channel(topic: Topic) -> Schema:
    address = topic.full_name(_PREFIX)
    channel: Schema = {
        "address": address.replace(_NAME, "{name}"),
        "description": f"{topic.why}.{' Carries personal data.' if topic.personal_data else ''}",
        "messages": {message.name: _ref("components/messages", message.name) for message in MESSAGES[topic.name]},
        "bindings": {"kafka": _channel_binding(topic, address)},
    }
    if _NAME in topic.name:
        what = "A name of `reply_topics`" if topic.name.startswith("replies") else "A channel whose far side is `kafka`"
        channel["parameters"] = {"name": {"description": what}}
    return channel


def _channel_binding(topic: Topic, address: str) -> Schema:
    config: Schema = {}
    for key, value in topic.config().items():
        number = value.lstrip("-").isdigit()
        config[key] = value.split(",") if key == "cleanup.policy" else int(value) if number else value
    binding: Schema = {
        "partitions": topic.partitions or _PARTITIONS,
        "topicConfiguration": config,
        "bindingVersion": BINDING,
    }
    return binding if _NAME in address else {"topic": address, **binding}


def _message(message: Message, payload: Schema) -> Schema:
    headers: Schema = _ref("components/schemas", "CloudEventsHeaders" if message.type else "PlainHeaders")
    if message.type:
        kind = {"type": "object", "required": ["ce_type"], "properties": {"ce_type": {"const": message.type}}}
        headers = {"allOf": [headers, kind]}
    topic = next(topic for topic in topics() if message in MESSAGES[topic.name])
    key = {**_TEXT, "description": topic.key}
    return {
        "name": message.type or message.name,
        "summary": message.summary,
        "headers": headers,
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING}},
    }


def _operations() -> Schema:
    operations: Schema = {}
    for topic in topics():
        for roles, action, verb in ((topic.writers, "send", "writes"), (topic.readers, "receive", "reads")):
            for role in roles:
                name = f"{role.replace(' ', '-')}-{verb}-{topic.name}"
                operations[name] = _operation(role, action, verb, topic)
    return operations


def _operation(role: str, action: str, verb: str, topic: Topic) -> Schema:
    outside = "" if role in _ROLES else ", outside of Sluice,"
    operation: Schema = {
        "action": action,
        "channel": _ref("channels", topic.name),
        "summary": f"{role}{outside} {verb} {topic.name}",
        "tags": [{"name": role}],
    }
    if topic.name == "orders.commands" and role in ("gateway", "direct producers"):
        own = [message.name for message in COMMANDS]
        own += ["order-query"] if role == "gateway" else []
        operation["messages"] = [_ref(f"channels/{topic.name}/messages", name) for name in own]
    if action == "receive" and _GROUPS.get(topic.name) == role:
        group = {**_TEXT, "const": f"{_PREFIX}.{role}"}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
    return operation


def _ref(place: str, name: str) -> Schema:
    return {"$ref": f"#/{place}/{name}"}
