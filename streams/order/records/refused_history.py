"""The refused calls of this worker's partitions: each is noted at the entities that it is about, wherever they live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streams.order.model.effects import Effect as Wanted
from streams.order.model.effects import NoteRefusal, ReplyTo
from streams.order.model.events import Event
from streams.order.records.refused_calls import (
    RefusedCall,
    RefusedCalls,
    answered_with,
    call_of_record,
    call_of_refusal,
    told_of,
)
from streams.runtime.role import Effect, Record, Table
from topics.contract.definition import Entity
from topics.contract.entities import entities_named
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import (
    CALL_REFUSED,
    COMMAND,
    GATEWAY_SOURCE,
    ORDERS_SOURCE,
    Envelope,
    parse,
    role_headers,
)
from topics.records.json_text import JsonTextError, read, write
from topics.records.keys import partition_of
from topics.records.shape import has_too_many_values
from topics.records.verdicts import Address, Verdict

READ_VALUES_MAX = 5_000
"""Values of a record that was set aside, up to which its code is looked for in it: those of a large order. In others,
the header `ce_subject` names it."""


class RefusedHistory:
    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._tables: dict[int, Table] = {}
        self._of: dict[int, RefusedCalls] = {}
        self._last: tuple[int, int] | None = None
        """Partition and offset of the last record that noted something."""

    def on_assigned(self, partition: int, table: Table) -> None:
        self._tables[partition] = table
        self._of[partition] = RefusedCalls(table, partition)

    def on_revoked(self, partition: int) -> None:
        self._tables.pop(partition, None)
        self._of.pop(partition, None)

    def undo(self, record: Record) -> None:
        """The runtime undid what the record put into tables, so the table is read again."""
        if self._last == (record.partition, record.offset):
            self.on_assigned(record.partition, self._tables[record.partition])

    def answer(self, record: Record, key: bytes, effects: Iterable[Wanted]) -> list[Wanted]:
        """The effects of a query, with what is known of refused calls in its answer."""
        calls = self._of[record.partition].of(key, record.timestamp_ms)
        return [answered_with(effect, calls) if isinstance(effect, ReplyTo) else effect for effect in effects]

    def note_told(self, record: Record, event: Event) -> None:
        """Note what a gateway, or another partition, tells of a refused call."""
        self._note(record, event.key, call_of_record(event.body, record.timestamp_ms))

    def note_decided(self, record: Record, event: Event, refusal: NoteRefusal) -> list[Effect]:
        """Note a refusal that a decision made. Returns what other partitions must be told."""
        own = refusal.event == event.id
        source = parse(record.headers).source if own else _source_of(refusal.address)
        call = call_of_refusal(refusal, source, record.timestamp_ms)
        if own and event.touchpoint is not None and event.touchpoint.entity is Entity.MANIFEST:
            return self._note_all(
                record, event.channel, entities_named(event.touchpoint, event.channel, event.body), call
            )
        self._note(record, event.key, call)
        return []

    def note_set_aside(
        self, record: Record, envelope: Envelope, address: Address | None, verdict: Verdict, reason: str
    ) -> list[Effect]:
        """Note a command that was set aside. Returns what other partitions must be told."""
        touchpoint = BY_NAME.get(envelope.type.removeprefix(COMMAND))
        if touchpoint is None or record.partition not in self._of:
            return []
        refusal = NoteRefusal(touchpoint.name, envelope.id, address, verdict, reason)
        orders = entities_named(touchpoint, envelope.channel, _members(record))
        if not orders and envelope.subject:
            name = "returnOrderCode" if touchpoint.entity is Entity.RETURN else "orderCode"
            orders = entities_named(touchpoint, envelope.channel, {name: envelope.subject})
        call = call_of_refusal(refusal, envelope.source, record.timestamp_ms)
        return self._note_all(record, envelope.channel, orders, call)

    def _note_all(self, record: Record, channel: str, orders: dict[bytes, str], call: RefusedCall) -> list[Effect]:
        told: list[Effect] = []
        for number, (key, code) in enumerate(orders.items()):
            if partition_of(key, self._partitions) == record.partition:
                self._note(record, key, call.copy())
            else:
                id_ = f"{call.event}.r{number}"
                headers = role_headers(id_, CALL_REFUSED, ORDERS_SOURCE, channel, code, record.timestamp_ms)
                told.append(Effect("orders.commands", key, write(told_of(call, code)), headers))
        return told

    def _note(self, record: Record, key: bytes, call: RefusedCall) -> None:
        self._last = (record.partition, record.offset)
        self._of[record.partition].note(key, call, record.timestamp_ms)


def _source_of(address: Address | None) -> str:
    """The source of a call that was decided with a later event: only its caller's address is known."""
    return GATEWAY_SOURCE if isinstance(address, int) else ""


def _members(record: Record) -> dict[str, Any]:
    """The members of a record that may be anything."""
    if has_too_many_values(record.value, READ_VALUES_MAX):
        return {}
    try:
        members = read(record.value)
    except JsonTextError:
        return {}
    return members if isinstance(members, dict) else {}
