"""Ways of an order and of a return through all their states, for tests that ask the same in each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from typing import Any

from streams.order.model.entity import Entity
from tests.support.orders import (
    Story,
    acknowledgement_body,
    cancel_body,
    create_body,
    handover_body,
    pack_body,
    sample,
    update_body,
)
from topics.records.deliveries import OutcomeKind

RETURN = sample("create-return-order")
RETURN_CODE = {"returnOrderCode": RETURN["returnOrderCode"]}
ITEMS = [
    {"returnOrderItemCode": item["itemCode"], "channelSkuCode": item["channelSkuCode"]} for item in RETURN["orderItems"]
]
ANSWER = {"shipmentCode": "S-1", "manifestCode": "M", "awbNumber": "A", "invoiceCode": "I"}

Move = Callable[[Story], Any]


def answer(story: Story, touchpoint: str, kind: OutcomeKind = OutcomeKind.DELIVERED) -> None:
    """The far side answers every request of a touchpoint that is out."""
    for request in [one for one in story.requests if one.touchpoint == touchpoint]:
        entity = story.entity(story.owners[request.id].key)
        delivery = entity.delivery(request.id)
        if delivery is not None and delivery.status == "queued":
            status = 200 if kind is OutcomeKind.DELIVERED else 400
            story.outcome(request, kind, status=status, body=ANSWER if status == 200 else None)


def _answered(touchpoint: str, body: dict[str, Any]) -> Move:
    def move(story: Story) -> None:
        story.tell(touchpoint, body)
        answer(story, touchpoint)

    return move


def inspection_body(*items: dict[str, Any]) -> dict[str, Any]:
    return {**sample("return-order-acknowledgement"), **RETURN_CODE, "orderItems": list(items)}


ORDER_MOVES: dict[str, Move] = {
    "create": lambda story: story.tell("create-outward-order", create_body()),
    "create taken": lambda story: answer(story, "create-outward-order"),
    "create refused": lambda story: answer(story, "create-outward-order", OutcomeKind.REFUSED),
    "hold": lambda story: story.tell("update-order-properties", update_body(hold=True)),
    "acknowledge": lambda story: story.tell("acknowledgement", acknowledgement_body()),
    "seller cancels all": lambda story: story.tell("seller-cancellation", cancel_body(i1=2, i2=1)),
    "customer cancels all": _answered("customer-cancellation", cancel_body(i1=2, i2=1)),
    "pack": _answered("pack-order", pack_body(sku_1=2, sku_2=1)),
    "label": _answered("get-shipping-label", {"orderCode": "ORDER-1", "shipmentCode": "S-1"}),
    "hand over": lambda story: story.tell("handover-notification", handover_body()),
    "deliver": lambda story: story.tell(
        "update-order-properties", update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2026-11-25")
    ),
}
RETURN_MOVES: dict[str, Move] = {
    "create": lambda story: story.tell("create-return-order", RETURN),
    "create taken": lambda story: answer(story, "create-return-order"),
    "create refused": lambda story: answer(story, "create-return-order", OutcomeKind.REFUSED),
    "cancel all": lambda story: story.tell(
        "cancel-return-order-items",
        {**sample("cancel-return-order-items"), **RETURN_CODE, "returnOrderItems": ITEMS},
    ),
    "cancellation taken": lambda story: answer(story, "cancel-return-order-items"),
    "inspect one": lambda story: story.tell(
        "return-order-acknowledgement", inspection_body({**RETURN["orderItems"][0], "qcStatus": "PASS"})
    ),
    "inspect all": lambda story: story.tell(
        "return-order-acknowledgement",
        inspection_body(*({**item, "qcStatus": "PASS"} for item in RETURN["orderItems"])),
    ),
}


def ways(story: Story, key: bytes, moves: dict[str, Move], depth: int) -> Iterator[tuple[str, Story]]:
    """The story as it is, and after each sequence of moves; of those that lead to equal ends one is enough.

    Each comes with the moves that led to it; it may be changed.
    """
    seen: set[Any] = set()
    level = [("", story)]
    for _ in range(depth + 1):
        following: list[tuple[str, Story]] = []
        for way, one in level:
            end = _end_of(one.entities.get(key), one)
            if end in seen:
                continue
            seen.add(end)
            yield way, fork(one)
            for name, move in moves.items():
                after = fork(one)
                move(after)
                following.append((f"{way}, {name}" if way else name, after))
        level = following


def fork(story: Story) -> Story:
    """The same story, to be told on in another way."""
    copies: dict[str, Any] = {
        name: copy(getattr(story, name)) for name in ("entities", "answers", "facts", "owners", "requests")
    }
    return replace(story, **copies)


def _end_of(raw: bytes | None, story: Story) -> Any:
    """What tells one end from another: the state, and what is out for an answer."""
    if raw is None:
        return None
    entity: Entity = next(story.entity(key) for key, value in story.entities.items() if value == raw)
    out = sorted(one.touchpoint for one in entity.deliveries if one.status == "queued")
    return entity.state, tuple(out), len(entity.facts) and entity.facts[-1].name
