"""Callers of a return that wait for its forward order's answer: each learns what became of its call, and the history
shows what was refused."""

from __future__ import annotations

from typing import Any

import pytest

from streams.order.model.effects import NoteRefusal
from tests.support.orders import DEADLINE_MS, Step, Story, command, packed_story
from tests.unit.order.returns.test_returns import line_items_body, return_body
from topics.records.verdicts import Verdict

CREATE, ADD = "create-return-order", "add-return-order-items"


def told(story: Story, touchpoint: str, body: dict[str, Any], event: str) -> Step:
    """A call whose question does not reach the forward order."""
    return story.feed_only(command(touchpoint, body, event, story.now_ms))


def noted(step: Step) -> list[tuple[str, str, Verdict | None]]:
    notes = [effect for effect in step.effects if isinstance(effect, NoteRefusal)]
    return [(note.touchpoint, note.event, note.verdict) for note in notes]


def waiting(touchpoint: str) -> tuple[Story, dict[str, Any]]:
    story = packed_story()
    if touchpoint == CREATE:
        return story, return_body(units="1")
    story.tell(CREATE, return_body(units="1"))
    return story, line_items_body(("2", "2"))


@pytest.mark.parametrize("touchpoint", [CREATE, ADD])
def test_a_caller_whose_time_is_over_learns_it_once(touchpoint: str) -> None:
    story, body = waiting(touchpoint)
    told(story, touchpoint, body, "first")
    told(story, touchpoint, body, "second")
    story.now_ms += DEADLINE_MS
    third = told(story, touchpoint, body, "third")
    assert {name: reply.verdict for name, reply in third.replies.items()} == dict.fromkeys(
        ("first", "second"), Verdict.FAILED
    )
    assert noted(third) == [(touchpoint, "first", Verdict.FAILED), (touchpoint, "second", Verdict.FAILED)]
    answered = story.pass_on(*third.commands)
    assert {name: reply.verdict for name, reply in answered.replies.items()} == {"third": Verdict.APPLIED}
    assert not noted(answered)


@pytest.mark.parametrize("touchpoint", [CREATE, ADD])
def test_what_the_forward_order_denies_is_in_the_history(touchpoint: str) -> None:
    story, body = waiting(touchpoint)
    body = return_body(units="1111") if touchpoint == CREATE else line_items_body(("2", "2"), ("3", "2"))
    step = story.tell(touchpoint, body, "call")
    assert step.verdict is Verdict.REFUSED
    assert noted(step) == [(touchpoint, "call", Verdict.REFUSED)]
