"""A Create that the marketplace repeats after a refusal: it asks Increff again at most once in `resubmit_after_s`.

Property: the time of the record decides, whenever it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.demo_channels import demo_channels
from streams.order.storage.encoding import encode_entity
from tests.support.orders import command, create_body
from tests.unit.order.machine.refused import (
    AFTER_S,
    POLICY,
    RETURN,
    RETURN_KEY,
    WHY,
    Refused,
    refuse,
    refused_create,
    refused_create_return,
    repeat,
)
from topics.configuration.channels import Channel
from topics.records.verdicts import Verdict


@pytest.mark.parametrize(
    ("make", "touchpoint", "body", "fact"),
    [
        (refused_create, "create-outward-order", create_body(), "order-created"),
        (refused_create_return, "create-return-order", RETURN, "return-created"),
    ],
    ids=["order", "return"],
)
def test_a_repeated_create_asks_again_at_most_once_in_resubmit_after(
    make: Callable[[], Refused], touchpoint: str, body: dict[str, Any], fact: str
) -> None:
    story, refused = make()
    key = story.owners[refused.id].key
    for _ in range(3):
        refused_ms = story.now_ms
        soon = repeat(story, touchpoint, body, AFTER_S - 1)
        assert (soon.verdict, soon.requests) == (Verdict.REFUSED, [])
        assert WHY in soon.reply.message
        assert "a repeat from 2025-06-15T" in soon.reply.message, "the caller learns from when on"
        story.now_ms = refused_ms
        later = repeat(story, touchpoint, body, AFTER_S)
        assert (later.verdict, later.request.former, fact in later.facts) == (Verdict.APPLIED, refused.id, True)
        assert repeat(story, touchpoint, body, AFTER_S).requests == [], "it is under way: nothing leaves"
        story, refused = refuse(story, later.request)
        assert story.entity(key).state == "REJECTED"


def test_without_a_time_the_same_create_is_never_sent_again() -> None:
    story, _ = refused_create()
    story.now_ms += 10 * 365 * 86_400_000
    step = story.create()
    assert (step.verdict, step.requests, "a repeat from" in step.reply.message) == (Verdict.REFUSED, [], False)


def test_without_a_wait_each_repeat_asks_again() -> None:
    """`resubmit_after_s = 0` in channels.toml."""
    policy = Channel.model_validate({**demo_channels()["channels"]["demo"], "resubmit_after_s": 0}).policy
    story, _ = refused_create()
    event = replace(command("create-outward-order", create_body(), "again", story.now_ms), policy=policy)
    assert len(story.feed(event).requests) == 1


def test_the_time_of_the_record_decides_not_when_it_is_read() -> None:
    story, _ = refused_create()
    story.now_ms += round(AFTER_S * 1_000)
    event = replace(command("create-outward-order", create_body(), "late", story.now_ms), policy=POLICY)
    before = dict(story.entities)
    first = story.feed(event)
    story.entities = before
    again = story.feed(event)
    assert first.effects == again.effects


def test_a_state_of_before_asks_at_once() -> None:
    """A return that was refused before its state knew when."""
    story, _ = refused_create_return()
    refused = story.returned(RETURN_KEY)
    assert refused.rejected_ms
    refused.rejected_ms = 0
    story.entities[RETURN_KEY] = encode_entity(refused)
    assert repeat(story, "create-return-order", RETURN, 1).verdict is Verdict.APPLIED
