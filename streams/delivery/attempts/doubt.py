"""Requests in doubt: an attempt may have been carried out although no success is known. Pure.

An attempt is in doubt when its answer did not come, came with a 5xx, or could not be read: the far side may have done
what it asked. So is one that may have been made by a former owner of the partition, which died before it could record
the outcome: whatever was requested before this worker took over. If a request in doubt is then refused because it was
carried out before, it was.

Taking a request for one in doubt too often does little harm: only an answer that says "exists" is read differently, and
what exists at the far side under the order's own code is that order.
"""

from __future__ import annotations

from msgspec.structs import replace

from streams.delivery.outbox.records import OutboxEntry
from streams.delivery.ports import AnswerFault, AttemptResult, ResponseClass
from topics.contract.taken_before import TakenForms
from topics.subscriptions.model import KINDS

NOT_DONE = frozenset({401, 403, 425, 429})
"""Statuses of answers that say that the far side did nothing, now: it looked at who called, or how often."""
FORMER_OWNER_MS = 60_000
"""How long after this worker took a partition over its former owner may still send what it had accepted: until its
session ends, with room for clocks that differ."""
CARRIED_OUT = "carried out before, by an attempt whose answer was lost"

_ERROR_MEMBERS = frozenset({"hasError", "errorMessage"})


def is_refusal(result: AttemptResult) -> bool:
    """Whether the answer says that the call failed, in the contract's words or in others."""
    return result.kind is ResponseClass.REFUSED or result.fault is AnswerFault.FAILED


def leaves_doubt(result: AttemptResult) -> bool:
    """Whether the far side may have carried out the attempt."""
    if result.kind is ResponseClass.DELIVERED or is_refusal(result):
        return False
    return result.status not in NOT_DONE


def is_in_doubt(entry: OutboxEntry, owned_since_ms: int) -> bool:
    """Whether an earlier attempt of a request may have been carried out. `owned_since_ms`: when this worker took the
    partition over."""
    if entry.in_doubt or entry.request.again or entry.dead_at:
        return True
    return entry.queued_ms <= owned_since_ms + FORMER_OWNER_MS


def as_taken(entry: OutboxEntry, result: AttemptResult, forms: TakenForms, owned_since_ms: int) -> AttemptResult:
    """The result of an attempt, as a success where it says that an attempt before it was one."""
    if not is_refusal(result) or not is_in_doubt(entry, owned_since_ms):
        return result
    touchpoint = KINDS[entry.request.touchpoint]
    if not forms.are_said(touchpoint.name, result.status, _words(result)):
        return result
    body = None
    if touchpoint.wants_answer and touchpoint.response is not None:
        # The refusal may name what the caller needs, as a shipmentCode. It is no error to the caller any more.
        known = touchpoint.response.model_fields.keys() - _ERROR_MEMBERS
        body = {name: value for name, value in (result.body or {}).items() if name in known}
    message = f"{CARRIED_OUT}: {result.message}" if result.message else CARRIED_OUT
    return replace(result, kind=ResponseClass.DELIVERED, body=body, message=message, fault=None, taken_before=True)


def _words(result: AttemptResult) -> str:
    code = (result.body or {}).get("code")
    return f"{result.message} {code}" if isinstance(code, str) else result.message
