"""An optional notification that a relay is sent before: a fact names the pair, once."""

from __future__ import annotations

from tests.support.orders import CODE, Step, Story, acknowledgement_body, outcome_event, pack_body
from topics.records.deliveries import Outcome, OutcomeKind
from topics.records.keys import order_key
from topics.records.verdicts import Verdict


def overtaken(story: Story, notice: str, by: str) -> Step:
    kind = OutcomeKind.OVERTAKEN
    outcome = Outcome(request=notice, touchpoint="acknowledgement", kind=kind, by=by, by_touchpoint="pack-order")
    return story.feed(outcome_event(order_key("demo", CODE), CODE, outcome))


def test_each_pair_is_a_fact_once_whatever_became_of_the_two_meanwhile() -> None:
    story = Story()
    story.outcome(story.create().request)
    notice = story.tell("acknowledgement", acknowledgement_body()).request
    relay = story.tell("pack-order", pack_body(sku_1=1)).request
    first = overtaken(story, notice.id, relay.id)
    assert (first.verdict, first.facts) == (Verdict.APPLIED, ["notice-overtaken"])
    assert {
        name: story.facts[-1].data[name] for name in ("touchpoint", "by", "destination", "request", "byRequest")
    } == {
        "touchpoint": "acknowledgement",
        "by": "pack-order",
        "destination": "channel:demo",
        "request": notice.id,
        "byRequest": relay.id,
    }
    assert overtaken(story, notice.id, relay.id).facts == [], "the report came twice"
    assert overtaken(story, notice.id, "another").facts == ["notice-overtaken"]
    delivery = story.order.delivery(notice.id)
    assert delivery is not None
    assert delivery.status == "queued", "it is still tried"
    assert story.outcome(notice).verdict is Verdict.APPLIED
    assert overtaken(story, notice.id, "late").facts == ["notice-overtaken"]
