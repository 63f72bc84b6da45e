"""The orders role: decode -> decide -> perform. The only file of this package that knows tables and records."""

from __future__ import annotations

from collections.abc import Iterable

from streams.order.addresses import ReplyAddresses
from streams.order.answers import Answers, recall
from streams.order.decoding import decode_event
from streams.order.effects import RecordAnswer
from streams.order.events import Event
from streams.order.limits import MESSAGE_MAX
from streams.order.machine import Decision, advance
from streams.order.model import Entity, StateError, decode
from streams.order.performing import Performer, reply_record
from streams.order.recent import Recent
from streams.runtime.rejected import DECISION_FAILED, rejection
from streams.runtime.role import Effect, Poison, Record, Role, Table, Tables
from topics.catalogue import BY_NAME as TOPIC_BY_NAME
from topics.configuration import Channels, Settings
from topics.envelope import EnvelopeError, parse
from topics.keys import partition_of
from topics.verdicts import Reply, Verdict

STATE = "orders.state"
ANSWERS = "relay.answers"
REROUTED = "sluice-rerouted"
"""Header of a record that was sent on to the right partition: partition and offset it came from."""
SET_ASIDE_FAILED = "Sluice could not decide this; it is kept for an operator, and a repeat is safe"
"""What a caller is told of an exception: its traceback is the operator's."""


class OrdersRole(Role):
    """The truth about every order, return and manifest of its partitions."""

    name = "orders"
    source = "orders.commands"
    tables = (STATE, ANSWERS)
    one_key_per_record = True

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._channels = channels
        self._partitions = settings.partitions
        self._addresses = ReplyAddresses(settings, channels)
        self.targets = self._addresses.topics
        self._relay_deadline_ms = int(settings.relay_deadline_s * 1000)
        self._performer = Performer(settings, channels)
        self._source_name = TOPIC_BY_NAME[self.source].full_name(settings.topic_prefix)
        self._recent = Recent()
        self._answers: dict[int, Answers] = {}
        self._recording: tuple[int, int] | None = None
        """Partition and offset of the last record that recorded an answer."""

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        event = decode_event(record, self._channels, self._relay_deadline_ms, self._addresses)
        if event.key != record.key or partition_of(event.key, self._partitions) != record.partition:
            return [self._rerouted(record, event)]
        state, answers = tables[STATE], tables[ANSWERS]
        decision = advance(self._entity(state, event.key), event, record.timestamp_ms, lambda key: recall(answers, key))
        records: list[Effect] = []
        found: list[RecordAnswer] = []
        for effect in decision.effects:
            if isinstance(effect, RecordAnswer):
                found.append(effect)
            else:
                records.append(self._performer.perform(effect, decision.entity, event.channel, record.timestamp_ms))
        # Tables last: nothing that can fail comes after them.
        if decision.gone:
            state.delete(event.key)
        elif decision.changed and decision.entity is not None:
            raw = decision.entity.encode()
            state.put(event.key, raw)
            self._recent.keep(event.key, raw, decision.entity)
        for answer in found:
            self._recording = (record.partition, record.offset)
            self._kept(record.partition, answers).record(
                answers, answer.key, answer.status, answer.body, record.timestamp_ms
            )
        if _is_lost_on_caller(event, decision):
            records.append(self._rejected(record, decision))
        return records

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:
        """The caller learns at once what it would otherwise wait for in vain."""
        if self._recording == (record.partition, record.offset):
            # The runtime undid the table; what is remembered of it is read again.
            self._answers.pop(record.partition, None)
        try:
            envelope = parse(record.headers)
            address = self._addresses.of(envelope)
        except (EnvelopeError, Poison):
            return []
        if address is None:
            return []
        failed = code == DECISION_FAILED
        verdict = Verdict.FAILED if failed else Verdict.REFUSED
        message = SET_ASIDE_FAILED if failed else reason[:MESSAGE_MAX]
        reply = Reply(event=envelope.id, verdict=verdict, message=message)
        return [reply_record(reply, address, envelope.channel, record.timestamp_ms)]

    def _rejected(self, record: Record, decision: Decision) -> Effect:
        code = decision.verdict.value if decision.verdict is not None else ""
        return rejection(record, role=self.name, topic=self._source_name, code=code, reason=decision.message)

    def partition_ready(self, partition: int, tables: Tables) -> None:
        self._answers[partition] = Answers(tables[ANSWERS])

    def partition_lost(self, partition: int) -> None:
        self._answers.pop(partition, None)
        self._recent.clear()

    def _entity(self, state: Table, key: bytes) -> Entity | None:
        """What is known under a key; the caller's to change."""
        raw = state.get(key)
        if raw is None:
            return None
        recent = self._recent.take(key, raw)
        if recent is not None:
            return recent
        try:
            return decode(raw)
        except StateError as error:
            raise Poison("BAD_STATE", f"{key.decode(errors='replace')}: {error}") from error

    def _kept(self, partition: int, table: Table) -> Answers:
        kept = self._answers.get(partition)
        if kept is None:
            kept = self._answers[partition] = Answers(table)
        return kept

    def _rerouted(self, record: Record, event: Event) -> Effect:
        """The same record, under the entity's key, in the entity's partition. Its event id stays."""
        if any(name == REROUTED for name, _ in record.headers):
            home = partition_of(event.key, self._partitions)
            raise Poison(
                "WRONG_PARTITION",
                f"sent on already, and still in partition {record.partition} instead of {home}: orders.commands does "
                f"not have the {self._partitions} partitions that are configured",
            )
        origin = (REROUTED, b"%d/%d" % (record.partition, record.offset))
        return Effect("orders.commands", event.key, record.value, (*record.headers, origin))


def _is_lost_on_caller(event: Event, decision: Decision) -> bool:
    """What cannot be refused is answered with success when its verdict is late, so a refusal must leave a trace."""
    verdict, touchpoint = decision.verdict, event.touchpoint
    if touchpoint is None or touchpoint.refusable or decision.kept:
        return False
    return verdict is not None and not verdict.succeeded
