"""PURE: batches. Each order of a batch becomes a record of its own; their verdicts become one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.http.answers import Answer, Refused, accepted, json_answer, refusal
from topics.contract.definition import Direction, Touchpoint
from topics.records.verdicts import Reply, Verdict

NAMED_MAX = 50
"""Orders named in one error, which Increff shows to a warehouse user."""

Part = tuple[dict[str, Any], dict[str, Any]]
"""An item of the batch, and the value of its record: the batch with this item alone."""


def split(touchpoint: Touchpoint, members: dict[str, Any]) -> list[Part]:
    name = touchpoint.split or ""
    return [(item, {**members, name: [item]}) for item in members[name]]


def merged(touchpoint: Touchpoint, items: Sequence[dict[str, Any]], replies: Sequence[Reply | None]) -> Answer:
    """The batch's answer: the orders that succeeded, if the contract has that (`successOrders`); else all or an error.

    An item without a verdict in time counts as accepted, because what is stored cannot be refused. Raises Refused.
    """
    failed = [
        (item, reply)
        for item, reply in zip(items, replies, strict=True)
        if reply is not None and not reply.verdict.succeeded
    ]
    if touchpoint.split == "orders":
        refused = {id(item) for item, _ in failed}
        return json_answer({"successOrders": [item for item in items if id(item) not in refused]})
    if not failed:
        return accepted(touchpoint)
    raise _not_taken(touchpoint, failed)


def _not_taken(touchpoint: Touchpoint, failed: Sequence[tuple[dict[str, Any], Reply]]) -> Refused:
    """404 if all items are unknown, 503 if a repeat may help one of them, else 400."""
    verdicts = {reply.verdict for _, reply in failed}
    reasons = [refusal(touchpoint, reply) for _, reply in failed]
    status = 400
    if Verdict.FAILED in verdicts:
        status = 503
    elif verdicts == {Verdict.EARLY} and touchpoint.direction is Direction.TO_MARKETPLACE:
        status = 404
    named = [f"{item['orderCode']}: {reason.message}" for (item, _), reason in zip(failed, reasons, strict=True)]
    if len(named) > NAMED_MAX:
        named = [*named[:NAMED_MAX], f"and {len(named) - NAMED_MAX} more"]
    retry_after_s = max((reason.retry_after_s or 0 for reason in reasons), default=0) or None
    return Refused(
        status,
        "NOT_TAKEN",
        "Some items were refused; a repeat of the whole batch is safe",
        "; ".join(named),
        retry_after_s,
    )
