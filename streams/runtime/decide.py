"""The decide loop: takes a chunk of records through `Role.decide` without a pause between them.

A chunk that takes long may be cut: what is decided by then is handed over as a chunk of its own, and the rest is
another one, before which other tasks have their turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from streams.runtime.durability.group_commit import GroupCommit
from streams.runtime.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from streams.runtime.metrics import Metrics
from streams.runtime.rejected import (
    DECISION_FAILED,
    SKIPPED,
    headers_named,
    key_too_large,
    log_set_aside,
    reason_of,
    rejection,
    too_large,
)
from streams.runtime.role import GONE, Change, Effect, Poison, Record, Role
from streams.runtime.stuck.paused import StuckError
from streams.runtime.tables.local_store import LocalStoreError
from streams.runtime.tables.partition_table import PartitionState
from topics.traces import spans
from topics.traces.catalogue import DECISION
from topics.traces.context import TraceContext, context_in, with_context
from topics.traces.spans import OpenSpan

log = logging.getLogger(__name__)

_NOT_PREPARED: Mapping[int, Any] = {}


class DecideLoop:
    """Hands each record to the role, and its effects and state to the group."""

    def __init__(
        self,
        role: Role,
        source: str,
        group_commit: GroupCommit,
        metrics: Metrics,
        failed_in_a_row_max: int,
        skips: Mapping[tuple[int, int], str],
    ) -> None:
        """`skips`: by partition and offset, why an operator wants a record to be skipped."""
        self._role = role
        self._source = source
        self._commit = group_commit
        self._metrics = metrics
        self._failed_in_a_row_max = failed_in_a_row_max
        self._skips = skips
        self._group = f"{source.partition('.')[0]}.{role.name}"
        self._wants_changes = type(role).changed is not Role.changed
        self._state_key = None if type(role).state_key is Role.state_key else role.state_key

    def decide_chunk(
        self,
        state: PartitionState,
        raws: Sequence[Any],
        prepared: Mapping[int, Any] = _NOT_PREPARED,
        hold_s: float | None = None,
    ) -> int:
        """Decides a chunk; synchronous from beginning to end, so no task sees half a chunk. Returns how many records
        are decided: the first of them, where `hold_s` is over before the last, and then they are the chunk.

        `prepared`: what `Role.prepare` made of records, by their offset.
        Raises StuckError at the record that has to wait; those before it are decided.
        """
        changes: list[Change] = []
        done = 0
        redelivered = 0
        is_traced = spans.SPANS.is_on
        until = None if hold_s is None else time.monotonic() + hold_s
        try:
            for raw in raws:
                offset = raw.offset
                record = Record(
                    state.partition,
                    offset,
                    raw.timestamp,
                    raw.key or b"",
                    raw.value or b"",
                    raw.headers,
                    prepared.get(offset) if prepared else None,
                )
                state.offset = offset
                if offset <= state.horizon and self._is_redelivery(state, record):
                    redelivered += 1
                elif self._skips and (why := self._skips.get((state.partition, offset))) is not None:
                    self._set_aside(state, record, raw, SKIPPED, why, changes)
                elif is_traced and (cause := context_in(record.headers)) is not None and cause.sampled:
                    self._decide_traced(state, record, raw, changes, cause)
                else:
                    self._decide(state, record, raw, changes)
                state.last_decided = offset
                done += 1
                if until is not None and time.monotonic() >= until:
                    break
        finally:
            # Also when a record ends the chunk early: those decided before are handed over like any others.
            if done:
                self._hand_over(state, changes, raws[done - 1].offset)
            self._metrics.decided.inc(done - redelivered)
            self._metrics.redelivered.inc(redelivered)
        return done

    def _is_redelivery(self, state: PartitionState, record: Record) -> bool:
        if not (self._role.one_key_per_record and state.all):
            return False
        try:
            key = record.key if self._state_key is None else self._state_key(record)
        except Exception:  # noqa: BLE001 - `decide` judges a record without a key, and sets it aside
            return False
        return state.all[0].is_made_from(key)

    def _decide_traced(
        self, state: PartitionState, record: Record, raw: Any, changes: list[Change], cause: TraceContext
    ) -> None:
        """Decides a record whose trace is recorded: what follows from it has the span of its decision as its cause."""
        position = f"{self._source}/{record.partition}/{record.offset}"
        span = spans.SPANS.begin_child(DECISION, cause, position)
        if span is None:
            self._decide(state, record, raw, changes)
            return
        spans.SPANS.current = span
        try:
            caused = replace(record, headers=with_context(record.headers, span.context))
            self._decide(state, record, raw, changes, caused)
        finally:
            spans.SPANS.current = None
            spans.SPANS.end(span, f"process {self._source}", self._attributes(record))
        self._commit.add_trace(span.context)

    def _attributes(self, record: Record) -> dict[str, Any]:
        said = headers_named(record)
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": self._source,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group,
            "sluice.channel": said.get("channel"),
            "sluice.subject": said.get("subject"),
            "sluice.event_id": said.get("event_id"),
            "sluice.kind": said.get("kind"),
        }

    def _decide(
        self,
        state: PartitionState,
        record: Record,
        raw: Any,
        changes: list[Change],
        caused: Record | None = None,
    ) -> None:
        """`caused`: the record as it is decided, where that differs by its trace."""
        try:
            effects = self._role.decide(record if caused is None else caused, state.tables)
            if type(effects) is not list:
                effects = list(effects)
            check_sizes(state, effects)
            if effects:
                self._commit.add_effects(effects, state.epoch, record.offset)
        except Poison as poison:
            self._set_aside(state, record, raw, poison.code, poison.reason, changes)
            return
        except LocalStoreError:
            raise
        except Exception as error:
            # One record must not stop its neighbours; the reason is kept with it.
            log.exception("deciding %s/%d/%d raised", self._source, record.partition, record.offset)
            self._fail(state, record, raw, reason_of(error), changes)
            return
        self._merge(state, changes)
        state.failed_in_a_row = 0

    def _fail(self, state: PartitionState, record: Record, raw: Any, reason: str, changes: list[Change]) -> None:
        """Sets the record aside, or at the limit leaves it where it is."""
        if state.failed_in_a_row + 1 >= self._failed_in_a_row_max:
            state.undo()
            raise StuckError(record.offset, reason)
        state.failed_in_a_row += 1
        self._set_aside(state, record, raw, DECISION_FAILED, reason, changes)

    def _merge(self, state: PartitionState, changes: list[Change]) -> None:
        for table in state.all:
            if table.is_changed():
                if self._wants_changes:
                    changes.extend(Change(table.name, key, value) for key, value in table.overlay.items())
                table.merge()

    def _set_aside(
        self, state: PartitionState, record: Record, raw: Any, code: str, reason: str, changes: list[Change]
    ) -> None:
        state.undo()
        span: OpenSpan | None = spans.SPANS.current
        if span is not None:
            span.error = code
        self._metrics.rejected.labels(code).inc()
        log_set_aside(record, self._source, code)
        effect = rejection(record, role=self._role.name, topic=self._source, code=code, reason=reason)
        if raw.key is None or raw.value is None:
            effect = replace(effect, key=effect.key if raw.key is not None else GONE)
            effect = replace(effect, value=effect.value if raw.value is not None else GONE)
        self._commit.add_effects(
            [effect, *self._effects_beside(state, record, code, reason)], state.epoch, record.offset
        )
        self._merge(state, changes)

    def _effects_beside(self, state: PartitionState, record: Record, code: str, reason: str) -> list[Effect]:
        """The role's effects for a record that is set aside; none, if it cannot say any."""
        try:
            effects = list(self._role.set_aside(record, code, reason))
            check_sizes(state, effects)
            self._commit.check_effects(effects)
        except LocalStoreError:
            raise
        except Exception:
            state.undo()
            log.exception("%s/%d/%d is set aside, and no more", self._source, record.partition, record.offset)
            return []
        return effects

    def _hand_over(self, state: PartitionState, changes: list[Change], last_offset: int) -> None:
        if changes:
            self._role.changed(state.partition, changes)
        self._commit.add_state(state)
        self._commit.add_chunk(state.partition, last_offset)


def check_sizes(state: PartitionState, effects: Sequence[Effect]) -> None:
    """Raises Poison for a record with an effect or a value that fits no topic.

    Headers are not looked at: those of effects repeat bounded ones of the envelope, and the key.
    """
    for effect in effects:
        if len(effect.value) > VALUE_BYTES_MAX:
            raise too_large(f"an effect for {effect.topic}", effect.value)
        if len(effect.key) > KEY_BYTES_MAX:
            raise key_too_large(f"an effect for {effect.topic}", effect.key)
    for table in state.all:
        for key, value in table.overlay.items():
            if value is not None and len(value) > VALUE_BYTES_MAX:
                raise too_large(f"a value of {table.name}", value)
            if len(key) > KEY_BYTES_MAX:
                raise key_too_large(f"a key of {table.name}", key)
