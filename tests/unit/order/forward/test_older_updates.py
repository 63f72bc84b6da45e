"""An update that was under way for long changes nothing that a newer one has said: a hold behind its release, say."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from streams.order.forward.create import TIMED
from tests.support.orders import Step, Story, command, update_body
from topics.records.verdicts import Verdict
from topics.records.word import CLOCKS_APART_MS

UPDATE = "update-order-properties"


class Said(Story):
    """A story whose updates are said at some time before Kafka takes them."""

    def update(self, said: int, **changes: Any) -> Step:
        self.events += 1
        self.now_ms += 10
        event = command(UPDATE, update_body(**changes), f"e{self.events}", self.now_ms)
        return self.feed(replace(event, said_ms=said))


def submitted() -> tuple[Said, int]:
    story = Said()
    story.outcome(story.create().request)
    return story, story.now_ms


def test_a_hold_that_was_held_up_does_not_follow_its_release() -> None:
    """A gateway stood still with the first; the caller said both again through another one."""
    story, now = submitted()
    assert story.update(now + 3_000, hold=True).verdict is Verdict.APPLIED
    assert story.update(now + 4_000, hold=False).verdict is Verdict.APPLIED
    for changes, verdict in (({}, Verdict.DUPLICATE), ({"dispatchByTime": "2031-01-01T00:00:00Z"}, Verdict.REFUSED)):
        late = story.update(now, hold=True, **changes)
        assert (late.verdict, late.requests, late.facts) == (verdict, [], []), "the first was taken, so it is a repeat"
    assert (story.order.held, set(story.order.said)) == (False, set(TIMED))
    assert story.update(now + 5_000, hold=True).verdict is Verdict.APPLIED


def test_clocks_may_differ() -> None:
    story, now = submitted()
    story.update(now + CLOCKS_APART_MS, hold=True)
    assert story.update(now, hold=False).verdict is Verdict.APPLIED
    assert story.order.held is False


def test_only_what_is_older_stays() -> None:
    story, now = submitted()
    story.update(now, hold=True)
    story.update(now + 9_000, hold=False, dispatchByTime=None, startProcessingTime=None)
    mixed = story.update(now + 1_000, hold=True, dispatchByTime="2031-01-01T00:00:00Z")
    assert mixed.verdict is Verdict.APPLIED
    assert mixed.request.body["onHold"] is False
    assert mixed.request.body["dispatchByTime"] == "2031-01-01T00:00:00Z"
    assert story.order.held is False


def test_a_late_report_of_delivery_counts_and_holds_nothing_up() -> None:
    story, now = submitted()
    story.update(now + 9_000, hold=False)
    late = story.update(now, hold=True, orderStatus="DELIVERED", deliveredAt="2026-11-25")
    assert late.verdict is Verdict.APPLIED
    assert "order-delivered" in late.facts
    assert story.order.held is False
