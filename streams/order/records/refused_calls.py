"""Refused calls of an entity, in a table of their own: so an order without any pays nothing for them, and a code that
is known by refused calls alone is no order.

They are bounded per entity and per partition, and the oldest give way; equal ones are one entry with a count.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from streams.order.model import limits
from streams.order.model.effects import NoteRefusal, ReplyTo
from streams.runtime.role import Table
from topics.contract.refusals import answered_as
from topics.contract.touchpoints import BY_NAME
from topics.records.models import REFUSED_ALIKE_MAX, CallRefused
from topics.records.unreadable import UNREADABLE
from topics.schema_base import TEXT_MAX

REFUSED = "orders.refused"


class RefusedCall(Struct, kw_only=True, omit_defaults=True):
    """Calls that were refused alike; see topics.records.models.CallRefused."""

    touchpoint: str
    code: str
    reason: str = ""
    status: int | None = None
    count: int = 1
    first_ms: int = field(default=0, name="first")
    last_ms: int = field(default=0, name="last")
    event: str = ""
    source: str = ""
    address: str = ""

    def copy(self) -> RefusedCall:
        return msgspec.structs.replace(self)

    def is_like(self, other: RefusedCall) -> bool:
        return (self.touchpoint, self.code, self.reason, self.status, self.source) == (
            other.touchpoint,
            other.code,
            other.reason,
            other.status,
            other.source,
        )

    def members(self) -> dict[str, Any]:
        """The members by the names that a CallRefused and a document of /api have for them."""
        return {
            "touchpoint": self.touchpoint,
            "status": self.status,
            "code": self.code,
            "reason": self.reason,
            "count": self.count,
            "firstAtMs": self.first_ms,
            "lastAtMs": self.last_ms,
            "eventId": self.event,
            "source": self.source,
            "address": self.address,
        }


class _Stored(Struct):
    """The value under an entity's key: the newest last."""

    calls: list[RefusedCall]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Stored)


class RefusedCalls:
    """One partition's table of refused calls."""

    __slots__ = ("_bytes", "_bytes_max", "_count_max", "_kept", "_partition", "_table")

    def __init__(
        self,
        table: Table,
        partition: int,
        count_max: int = limits.REFUSED_ENTITIES_MAX,
        bytes_max: int = limits.REFUSED_BYTES_MAX,
    ) -> None:
        """Entries that this version cannot read are not counted; retention removes them."""
        self._table = table
        self._partition = partition
        self._count_max = count_max
        self._bytes_max = bytes_max
        found: list[tuple[int, bytes, int]] = []
        for key, raw in table.items():
            calls = self._decoded(key, raw)
            if calls:
                found.append((calls[-1].last_ms, key, len(raw)))
        found.sort()
        self._kept: dict[bytes, tuple[int, int]] = {key: (last_ms, size) for last_ms, key, size in found}
        """When the last call of each entity was refused, and the bytes of its entries; the oldest first."""
        self._bytes = sum(size for _, _, size in found)

    def note(self, key: bytes, call: RefusedCall, now_ms: int) -> None:
        """Add a refused call of the entity under `key`, unless it is noted already."""
        table = self._table
        if table.is_made_from(key):
            return  # Kafka's redelivery after a crash
        calls = self._read(key)
        same = next((one for one in calls if one.is_like(call)), None)
        if same is not None:
            if same.event == call.event:
                return  # its record was produced twice
            calls.remove(same)
            call.count = min(call.count + same.count, REFUSED_ALIKE_MAX)
            call.first_ms = min(call.first_ms, same.first_ms)
            call.last_ms = max(call.last_ms, same.last_ms)
        calls.append(call)
        raw = _ENCODER.encode(_Stored(calls[-limits.REFUSED_CALLS_MAX :]))
        self._forget(key)
        self._make_room(len(raw), now_ms - limits.REFUSED_KEPT_MS)
        table.put(key, raw)
        self._kept[key] = (call.last_ms, len(raw))
        self._bytes += len(raw)

    def of(self, key: bytes, now_ms: int) -> list[dict[str, Any]]:
        """The refused calls of an entity as a document of /api shows them."""
        since_ms = now_ms - limits.REFUSED_KEPT_MS
        calls = [call for call in self._read(key) if call.last_ms > since_ms]
        return [{**call.members(), "address": call.address or None} for call in calls]

    def _make_room(self, size: int, since_ms: int) -> None:
        kept = self._kept
        while kept:
            oldest, (last_ms, _) = next(iter(kept.items()))
            if last_ms > since_ms and len(kept) < self._count_max and self._bytes + size <= self._bytes_max:
                return
            self._forget(oldest)
            self._table.delete(oldest)

    def _forget(self, key: bytes) -> None:
        self._bytes -= self._kept.pop(key, (0, 0))[1]

    def _read(self, key: bytes) -> list[RefusedCall]:
        raw = self._table.get(key)
        return [] if raw is None else self._decoded(key, raw)

    def _decoded(self, key: bytes, raw: bytes) -> list[RefusedCall]:
        """Entries that cannot be read count as none: the next refused call takes their place."""
        try:
            return _DECODER.decode(raw).calls
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            UNREADABLE.note(REFUSED, key, error, partition=self._partition)
            return []


def call_of_record(body: dict[str, Any], now_ms: int) -> RefusedCall:
    """The refused call of a CallRefused. Its times are a gateway's: none is later than its record."""
    told = CallRefused.model_validate(body)
    return RefusedCall(
        touchpoint=told.touchpoint,
        code=told.code[:TEXT_MAX],
        reason=told.reason[: limits.MESSAGE_MAX],
        status=told.status,
        count=told.count,
        first_ms=min(told.firstAtMs, now_ms),
        last_ms=min(told.lastAtMs, now_ms),
        event=told.eventId[:TEXT_MAX],
        source=told.source[:TEXT_MAX],
        address=told.address[:TEXT_MAX],
    )


def call_of_refusal(refusal: NoteRefusal, source: str, now_ms: int) -> RefusedCall:
    """The refused call of a verdict. `source`: of the call's record."""
    status, code = answered_as(BY_NAME[refusal.touchpoint], refusal.verdict, refusal.status)
    return RefusedCall(
        touchpoint=refusal.touchpoint,
        code=code,
        reason=refusal.message[: limits.MESSAGE_MAX],
        status=status if isinstance(refusal.address, int) else None,
        first_ms=now_ms,
        last_ms=now_ms,
        event=refusal.event[:TEXT_MAX],
        source=source[:TEXT_MAX],
    )


def told_of(call: RefusedCall, code: str) -> dict[str, Any]:
    """The call as the body of a CallRefused for the entity with this code."""
    return {**call.members(), "subject": code}


def answered_with(answer: ReplyTo, calls: list[dict[str, Any]]) -> ReplyTo:
    """The answer to a query, with refused calls. Those of an unknown entity are a list in place of its document, which
    a gateway that does not know them takes for an unknown entity, too."""
    body = answer.reply.body
    shown = {**body, "refusedCalls": calls} if isinstance(body, dict) else calls or None
    return ReplyTo(answer.address, replace(answer.reply, body=shown))
