"""Batches: one keyed record per order, and one answer from all their verdicts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.http.answers import Answer, Refused, accepted, json_answer, refusal
from topics.contract.definition import Direction, Touchpoint
from topics.records.verdicts import Reply, Verdict

NAMED_MAX = 50
"""Orders named in one error; Increff shows the message to a warehouse user."""

Part = tuple[dict[str, Any], dict[str, Any]]
"""One item of the batch, and the value of its record: the batch's shape with a list of one."""


def split(touchpoint: Touchpoint, members: dict[str, Any]) -> list[Part]:
    name = touchpoint.split or ""
    return [(item, {**members, name: [item]}) for item in members[name]]


def merged(touchpoint: Touchpoint, items: Sequence[dict[str, Any]], replies: Sequence[Reply | None]) -> Answer:
    """The batch's answer: partial success where the contract has it (`successOrders`), else all or an error.

    No verdict in time counts as accepted: what is stored cannot be refused.
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
    """404 when all of them are unknown, 503 when a repeat may cure one, else 400."""
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
    return Refused(status, "NOT_TAKEN", "Not taken; a repeat of the whole is safe", "; ".join(named), retry_after_s)
