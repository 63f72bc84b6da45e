"""PURE: batches. Each order of a batch becomes a record of its own; their verdicts become one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from gateway.http.answers import NOT_TAKEN, Answer, Refused, accepted, bad_data, json_answer, refusal
from topics.contract.definition import Direction, Touchpoint
from topics.contract.leniency import CallMembers
from topics.records.json_text import write
from topics.records.verdicts import Reply, Verdict

NAMED_MAX = 50
"""Orders named in one error, which Increff shows to a warehouse user."""

PARTS_BYTES_MAX = 16 << 20
"""Bytes of all records of a batch: each repeats the members beside the list, which in the contract are short."""


class BatchItem(NamedTuple):
    """An item of a batch as text: so the objects of its body need not be kept until the verdicts come."""

    code: str
    text: bytes


Part = tuple[BatchItem, dict[str, Any]]
"""An item of the batch, and the value of its record: the batch with this item alone."""


def split(touchpoint: Touchpoint, members: CallMembers) -> list[Part]:
    """Raises Refused when the records would be many times as large as the batch."""
    name, own = touchpoint.split or "", members.own
    items = own[name]
    beside = len(write({**own, name: None}))
    if beside * len(items) > PARTS_BYTES_MAX:
        most = PARTS_BYTES_MAX // len(items)
        raise bad_data(f"body: the members beside {name} may have at most {most} bytes in a batch of {len(items)}")
    codes = [item["orderCode"] for item in members.read[name]]
    return [(BatchItem(code, write(item)), {**own, name: [item]}) for code, item in zip(codes, items, strict=True)]


def merged(touchpoint: Touchpoint, items: Sequence[BatchItem], replies: Sequence[Reply | None]) -> Answer:
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
        taken = [orjson.Fragment(item.text) for item in items if id(item) not in refused]
        return json_answer({"successOrders": taken})
    if not failed:
        return accepted(touchpoint)
    raise _not_taken(touchpoint, failed)


def _not_taken(touchpoint: Touchpoint, failed: Sequence[tuple[BatchItem, Reply]]) -> Refused:
    """404 if all items are unknown, 503 if a repeat may help one of them, else 400."""
    verdicts = {reply.verdict for _, reply in failed}
    reasons = [refusal(touchpoint, reply) for _, reply in failed]
    status = 400
    if Verdict.FAILED in verdicts:
        status = 503
    elif verdicts == {Verdict.EARLY} and touchpoint.direction is Direction.TO_MARKETPLACE:
        status = 404
    named = [f"{item.code}: {reason.message}" for (item, _), reason in zip(failed, reasons, strict=True)]
    if len(named) > NAMED_MAX:
        named = [*named[:NAMED_MAX], f"and {len(named) - NAMED_MAX} more"]
    retry_after_s = max((reason.retry_after_s or 0 for reason in reasons), default=0) or None
    return Refused(
        status,
        NOT_TAKEN,
        "Some items were refused; a repeat of the whole batch is safe",
        "; ".join(named),
        retry_after_s,
    )
