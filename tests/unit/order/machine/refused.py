"""Stories of requests that a far side refused, one for each touchpoint, and of what is done about them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from streams.order.model.effects import RequestDelivery
from streams.order.model.events import Event, EventKind
from tests.support.orders import (
    CHANNEL,
    REPLIES,
    Step,
    Story,
    acknowledgement_body,
    cancel_body,
    command,
    handover_body,
    packed_story,
    sample,
    update_body,
)
from topics.configuration.sla import Sla
from topics.records.deliveries import OutcomeKind
from topics.records.keys import return_key

AFTER_S = 600.0
POLICY = Sla().policy(handover=True, resubmit_after_s=AFTER_S)
RETURN = sample("create-return-order")
RETURN_KEY = return_key(CHANNEL, RETURN["returnOrderCode"])
WHY = "channelSkuCode SKU-1 is not mapped"
Refused = tuple[Story, RequestDelivery]


def refuse(story: Story, request: RequestDelivery) -> Refused:
    number = 1 + sum(one.id == request.id for one in story.requests)
    story.outcome(request, OutcomeKind.REFUSED, status=400, message=WHY, number=number)
    return story, request


def resubmission(story: Story, request: RequestDelivery, event_id: str = "", **changes: Any) -> Event:
    owner = story.owners[request.id]
    asked = {
        "request": request.id,
        "touchpoint": request.touchpoint,
        "body": request.body,
        "saidMs": 0,
        "by": "night-shift",
        "address": "10.0.0.9",
        "reason": "SKU-1 is mapped now",
        "dryRun": False,
        **changes,
    }
    story.events += 1
    return Event(
        kind=EventKind.RESUBMIT,
        id=event_id or f"r{story.events}",
        channel=CHANNEL,
        code=owner.code,
        key=owner.key,
        body=asked,
        reply_to=REPLIES,
        policy=POLICY,
    )


def resubmit(story: Story, request: RequestDelivery, event_id: str = "", **changes: Any) -> Step:
    story.now_ms += 10
    return story.feed(resubmission(story, request, event_id, **changes))


def repeat(story: Story, touchpoint: str, body: dict[str, Any], after_s: float) -> Step:
    """The marketplace's call once more."""
    story.now_ms += round(after_s * 1_000)
    story.events += 1
    return story.feed(replace(command(touchpoint, body, f"m{story.events}", story.now_ms), policy=POLICY))


# The stories of refused requests, one for each touchpoint


def refused_create() -> Refused:
    story = Story()
    return refuse(story, story.create().request)


def refused_held_create() -> Refused:
    story = Story()
    return refuse(story, story.create(onHold=True).request)


def refused_update() -> Refused:
    story = Story()
    story.outcome(story.create().request)
    return refuse(story, story.tell("update-order-properties", update_body(hold=True)).request)


def refused_report_of_delivery() -> Refused:
    story = packed_story()
    body = update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")
    return refuse(story, story.tell("update-order-properties", body).request)


def refused_acknowledgement() -> Refused:
    story = Story()
    story.outcome(story.create().request)
    return refuse(story, story.tell("acknowledgement", acknowledgement_body()).request)


def refused_handover() -> Refused:
    story = packed_story()
    return refuse(story, story.tell("handover-notification", handover_body()).request)


def refused_seller_cancellation() -> Refused:
    """A refused cancellation holds its lane: it counts as refused once an operator has skipped it."""
    story = Story()
    story.outcome(story.create().request)
    return refuse(story, story.tell("seller-cancellation", cancel_body(i1=1)).request)


def _returned() -> tuple[Story, Step]:
    story = Story()
    return story, story.tell("create-return-order", RETURN)


def refused_create_return() -> Refused:
    story, created = _returned()
    return refuse(story, created.request)


def refused_of_return(touchpoint: str) -> Refused:
    story, created = _returned()
    story.outcome(created.request)
    body = {**sample(touchpoint), "returnOrderCode": RETURN["returnOrderCode"]}
    if "orderCode" in body:
        body["orderCode"] = RETURN["forwardOrderCode"]
    for item in body.get("returnOrderItems", []):
        item["returnOrderItemCode"] = RETURN["orderItems"][0]["itemCode"]
    return refuse(story, story.tell(touchpoint, body).request)
