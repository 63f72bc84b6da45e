"""What must hold of every entry of the catalogues, as functions that name each fault; tests prove that they refuse."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from topics.contract.definition import Direction, Entity, Mode, Repeat, Touchpoint
from topics.contract.sample_files import Sample, SampleError
from topics.kafka.catalogue import DAY_MS, Cleanup, Topic
from topics.schema_base import problems

KNOWN_ROLES = {"gateway", "orders", "delivery", "inventory", "journal", "direct producers", "analytics", "operators"}
"""Who may write or read a topic: the roles, and people or systems outside."""
TOPIC_NAME = re.compile(r"[a-z]+(\.[a-z]+)?")
"""Dots only: Kafka's metrics cannot tell `a.b` from `a_b`."""
RETENTION_MS_MAX = 400 * DAY_MS
TOUCHPOINT_NAME = re.compile(r"[a-z]+(-[a-z]+)*")
SECTION = re.compile(r"\d+(\.\d+)?(, [a-z ]+)?")

Find = Callable[[str], Sample]


def topic_faults(topic: Topic) -> Iterator[str]:
    if not TOPIC_NAME.fullmatch(topic.name):
        yield "name: words in lower case joined by a dot"
    for member in ("key", "why"):
        if not getattr(topic, member).strip():
            yield f"{member}: is empty"
    for member in ("writers", "readers"):
        roles = getattr(topic, member)
        if not roles or not set(roles) <= KNOWN_ROLES:
            yield f"{member}: at least one of {sorted(KNOWN_ROLES)}"
    if topic.cleanup is Cleanup.COMPACT and topic.retention_ms != -1:
        yield "retention_ms: a compacted topic keeps the last of each key"
    if topic.cleanup is not Cleanup.COMPACT and not 0 < topic.retention_ms <= RETENTION_MS_MAX:
        yield "retention_ms: what is deleted has a stated age"
    if topic.partitions is not None and topic.partitions < 1:
        yield "partitions: at least one"


def topics_faults(topics: Collection[Topic]) -> Iterator[str]:
    for topic in topics:
        yield from (f"{topic.name}: {fault}" for fault in topic_faults(topic))
    names = [topic.name for topic in topics]
    yield from (f"{name}: twice" for name in sorted({name for name in names if names.count(name) > 1}))


def touchpoint_faults(touchpoint: Touchpoint) -> Iterator[str]:
    """What an entry must keep to by itself."""
    if not TOUCHPOINT_NAME.fullmatch(touchpoint.name):
        yield "name: words in lower case joined by hyphens"
    if not SECTION.fullmatch(str(touchpoint.section)):
        yield "section: of the contract"
    for member in ("path", "far_path"):
        in_path = {name for _text, name, _spec, _conversion in string.Formatter().parse(getattr(touchpoint, member))}
        if in_path - {None} != set(touchpoint.path_members):
            yield f"{member}: its members are path_members"
        if not getattr(touchpoint, member).startswith("/"):
            yield f"{member}: begins with a slash"
    members = set(touchpoint.request.model_fields)
    if not set(touchpoint.path_members) <= members:
        yield "path_members: members of the request"
    if touchpoint.query != (touchpoint.method == "GET"):
        yield "query: a GET has no body"
    yield from _rule_faults(touchpoint, members)


def _rule_faults(touchpoint: Touchpoint, members: set[str]) -> Iterator[str]:
    if touchpoint.split is not None and touchpoint.split not in members:
        yield "split: a list of the request"
    answered = touchpoint.mode is Mode.ANSWER
    if answered != (touchpoint.entity is Entity.NONE) or answered != (touchpoint.repeat is Repeat.NONE):
        yield "mode: what is answered from state belongs to no entity and has no repeat rule"
    if not answered and not touchpoint.idempotency:
        yield "idempotency: what changes something has an identity"
    if touchpoint.repeat is Repeat.RECORDED_ANSWER and (touchpoint.mode is not Mode.RELAY or not touchpoint.response):
        yield "repeat: only a relay with an answer has one to record"
    if touchpoint.mode is Mode.RELAY and not touchpoint.refusable:
        yield "refusable: a relay without an answer has nothing to say"
    if touchpoint.off_by_default and not touchpoint.optional:
        yield "off_by_default: only what is optional"


def touchpoints_faults(touchpoints: Collection[Touchpoint]) -> Iterator[str]:
    for touchpoint in touchpoints:
        yield from (f"{touchpoint.name}: {fault}" for fault in touchpoint_faults(touchpoint))
    names = [touchpoint.name for touchpoint in touchpoints]
    yield from (f"{name}: twice" for name in sorted({name for name in names if names.count(name) > 1}))
    for direction in Direction:
        calls = [(t.method, re.sub(r"\{\w+\}", "{}", t.path)) for t in touchpoints if t.direction is direction]
        yield from (f"{call}: twice" for call in sorted({call for call in calls if calls.count(call) > 1}))


def sample_faults(touchpoint: Touchpoint, find: Find) -> Iterator[str]:
    """A sample exists, travels as its entry says, and its request and answer are what the models say."""
    try:
        sample = find(touchpoint.name)
    except SampleError as error:
        yield str(error)
        return
    if set(sample.path) != set(touchpoint.path_members):
        yield "request.path: has the path members, each and no other"
    if touchpoint.query and sample.body is not None:
        yield "request.body: what travels in the query string has no body"
    if not touchpoint.query and (sample.query or sample.body is None):
        yield "request.body: what has a body has no query string"
    try:
        touchpoint.request.model_validate(sample.members)
    except ValidationError as error:
        yield f"request: {problems(error)}"
    if sample.status != 200:
        yield "response.status: the contract's success is 200"
    yield from _answer_faults(touchpoint, sample)


def _answer_faults(touchpoint: Touchpoint, sample: Sample) -> Iterator[str]:
    if touchpoint.response is None:
        if sample.answer is not None:
            yield "response.body: the contract's answer is empty"
        return
    try:
        touchpoint.response.model_validate(sample.answer)
    except ValidationError as error:
        yield f"response: {problems(error)}"


def orphans(names: Collection[str], touchpoints: Collection[Touchpoint]) -> list[str]:
    """Sample files that no touchpoint has."""
    return sorted(set(names) - {touchpoint.name for touchpoint in touchpoints})


def stale_documents(directory: Path, rendered: dict[str, str]) -> list[str]:
    """Names of the documents that differ from what the catalogues say now."""
    return [
        name
        for name, text in rendered.items()
        if not (directory / name).exists() or (directory / name).read_text(encoding="utf-8") != text
    ]


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)
