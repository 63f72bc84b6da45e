"""The orders role: decode a record, decide, encode the effects. Here the role meets its tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from streams.order.machine.decide import Decided, advance, nothing_recorded
from streams.order.metrics import StuckGauge, Verdicts
from streams.order.model.effects import NoteRefusal, PublishFact, RecordAnswer
from streams.order.model.events import Event, EventKind
from streams.order.model.limits import MESSAGE_MAX
from streams.order.records.answer_table import AnswerTable, stored_answer
from streams.order.records.decode import decode_event, decode_in_steps
from streams.order.records.encode import EffectEncoder, reply_record
from streams.order.records.refused_calls import REFUSED
from streams.order.records.refused_history import RefusedHistory
from streams.order.records.reply_addresses import ReplyAddresses
from streams.order.records.stored_entity import STATE, StoredEntities, check_is_ours
from streams.order.records.ticks import Ticker, until_of
from streams.runtime.following import Following
from streams.runtime.limits import VALUE_BYTES_MAX
from streams.runtime.rejected import DECISION_FAILED, rejection, sent_on, too_large
from streams.runtime.role import Committer, Effect, Poison, Record, Role, Table, Tables
from streams.runtime.tables.parted_table import PartedTable
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.configuration.sla import DEFAULT_POLICY
from topics.kafka.catalogue import BY_NAME as TOPIC_BY_NAME
from topics.logs.catalogue import DECISION
from topics.logs.lines import write_line
from topics.records.envelope import EnvelopeError, parse
from topics.records.keys import TICK_KEY, partition_of
from topics.records.signing import Signer
from topics.records.verdicts import Reply, Verdict
from topics.subscriptions.index import SubscriptionIndex, SubscriptionView
from topics.traces import spans
from topics.traces.context import trace_id_of, traceparent_in

log = logging.getLogger(__name__)

PLAIN = (None, Verdict.APPLIED, Verdict.ANSWERED)
"""Verdicts of nearly all events: they have no line in the log."""
OWN_WORDS = (Verdict.CONFLICT, Verdict.EARLY)
"""Verdicts whose message is Sluice's own; that of another may quote a far side, and so the order."""
ANSWERS = "relay.answers"
REROUTED = "sluice-rerouted"
"""Header of a record that was sent on to the right partition: partition and offset it came from."""
SET_ASIDE_FAILED = "Sluice could not decide this; it is kept for an operator, and a repeat is safe"
"""The message to a caller whose record raised an exception; the traceback is for the operator."""


class OrdersRole(Role):
    """Holds and decides every order, return and manifest of its partitions."""

    name: ClassVar[str] = "orders"
    source: ClassVar[str] = "orders.commands"
    tables: ClassVar[tuple[str, ...]] = (STATE, ANSWERS, REFUSED)
    table_kinds: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = MappingProxyType({STATE: PartedTable})
    has_standby: ClassVar[bool] = True
    one_key_per_record: ClassVar[bool] = True

    def __init__(
        self, settings: Settings, channels: Channels, *, subscriptions: SubscriptionIndex | None = None
    ) -> None:
        """Without `subscriptions`, those in Kafka are followed from `start` on."""
        self._channels = channels
        self._partitions = settings.partitions
        self._addresses = ReplyAddresses(settings, channels)
        self.targets = self._addresses.topics
        self._decoding = (
            channels,
            int(settings.relay_deadline_s * 1000),
            self._addresses,
            Signer(settings.secret_keys),
            settings.body_values_max,
        )
        subscriptions = subscriptions or SubscriptionView(settings)
        self._following = Following(subscriptions)
        self._encoder = EffectEncoder(settings, channels, subscriptions)
        self._source_name = TOPIC_BY_NAME[self.source].full_name(settings.topic_prefix)
        self.ticker = Ticker(settings.tick_s)
        self._stuck = StuckGauge()
        self._verdicts = Verdicts(channels.channels)
        self._gone_channels: set[str] = set()
        """Channels that entities have and that are not configured; the log names each once."""
        self._answers: dict[int, AnswerTable] = {}
        self._recording: tuple[int, int] | None = None
        """Partition and offset of the last record that recorded an answer."""
        self._refused = RefusedHistory(settings.partitions)
        self._entities = StoredEntities()

    def prepare(self, record: Record) -> Generator[None, None, Event]:
        return decode_in_steps(record, *self._decoding)

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        if record.key == TICK_KEY:
            return self._decide_tick(record, tables[STATE])
        event: Event = record.prepared or decode_event(record, *self._decoding)
        if event.key != record.key or partition_of(event.key, self._partitions) != record.partition:
            return [self._rerouted(record, event)]
        if event.kind is EventKind.CALL_REFUSED:
            self._refused.note_told(record, event)
            return []
        state, answers = tables[STATE], tables[ANSWERS]
        entity = self._entities.read(record, state, event.key)
        due_before = entity.due_ms if entity is not None else 0
        try:
            decided = advance(entity, event, record.timestamp_ms, partial(stored_answer, answers))
            effects = decided.effects
            if event.kind is EventKind.QUERY:
                effects = self._refused.answer(record, event.key, effects)
            traceparent = event.traceparent
            if traceparent and record.prepared:
                traceparent = traceparent_in(record.headers)  # the event was made before the span of its decision
            records = self._encoder.encode_effects(
                effects, decided.entity, event.channel, record.timestamp_ms, traceparent
            )
        except Poison:
            raise
        except Exception as error:
            check_is_ours(state, event.key, error)
            raise
        if spans.SPANS.current is not None:
            spans.SPANS.current.attributes["sluice.verdict"] = decided.verdict
        if decided.verdict not in PLAIN:
            self._log(record, event, decided)
        if decided.verdict is not None and event.outcome is None and event.kind is not EventKind.QUERY:
            self._verdicts.count(event.channel, decided.verdict)
        # Tables last: nothing that can fail comes after them.
        self._keep(record, state, event.key, decided, due_before)
        for effect in decided.effects:
            if isinstance(effect, RecordAnswer):
                self._recording = (record.partition, record.offset)
                known = self._answer_table(record.partition, answers)
                known.store_answer(answers, effect.key, effect.status, effect.body, record.timestamp_ms)
            elif isinstance(effect, NoteRefusal):
                records += self._refused.note_decided(record, event, effect)
        if _is_lost_on_caller(event, decided):
            records.append(self._rejected(record, decided))
        return records

    def _log(self, record: Record, event: Event, decided: Decided) -> None:
        verdict = decided.verdict
        write_line(
            DECISION,
            channel=event.channel,
            subject=event.code,
            kind=_kind_of(event),
            event_id=event.id,
            trace_id=trace_id_of(event.traceparent),
            position=f"{self._source_name}/{record.partition}/{record.offset}",
            verdict=verdict,
            reason=decided.message if event.outcome is None and verdict in OWN_WORDS else "",
        )

    def _keep(self, record: Record, state: Table, key: bytes, decided: Decided, due_before: int) -> None:
        """Write the new state. Raises Poison before anything is written. `due_before`: when the entity was due (ms)."""
        if decided.gone:
            state.delete(key)
        elif decided.changed and decided.entity is not None:
            self._entities.write(record, state, key, decided.entity)
            due = self.ticker.due(record.partition)
            if due is not None:
                due.on_due_change(key, due_before, decided.entity.due_ms)
        self._stuck.count(record, decided.effects)

    def _decide_tick(self, record: Record, state: Table) -> list[Effect]:
        """Decide every entity that is due. Those whose state was made from this tick already are left alone."""
        until = until_of(record)
        try:
            tick = parse(record.headers).id
        except EnvelopeError as error:
            raise Poison("BAD_ENVELOPE", str(error)) from error
        due = self.ticker.due(record.partition)
        if due is None:
            return []
        records: list[Effect] = []
        for key in due.pop_due(until):
            if state.is_made_from(key):
                due.put_back(key)
                continue
            try:
                records += self._decide_due(key, tick, record, state)
            except Poison as poison:
                log.warning("%r is not decided by %s: %s", key, tick, poison.reason)
            except Exception:
                # One that cannot be decided must not hold up the others; the caller of its next command learns it.
                log.exception("%s cannot be decided by %s", key, tick)
            due.put_back_decided(key, until)
        self.ticker.on_tick_decided(due)
        return records

    def _decide_due(self, key: bytes, tick: str, record: Record, state: Table) -> list[Effect]:
        entity = self._entities.read(record, state, key)
        if entity is None:
            return []
        due_before = entity.due_ms
        channel = self._channels.channels.get(entity.channel)
        if channel is None:
            self._warn_of(entity.channel)
        event = Event(
            kind=EventKind.TICK,
            id=f"{tick}/{key.decode()}",
            channel=entity.channel,
            code=entity.code,
            key=key,
            body={},
            policy=channel.policy if channel is not None else DEFAULT_POLICY,
        )
        decided = advance(entity, event, record.timestamp_ms, nothing_recorded)
        # A channel that is gone has no far side; only readers of facts are left.
        effects = [one for one in decided.effects if channel is not None or isinstance(one, PublishFact)]
        records = self._encoder.encode_effects(effects, decided.entity, entity.channel, record.timestamp_ms)
        for effect in records:  # checked here, because the runtime would set aside the whole tick
            if len(effect.value) > VALUE_BYTES_MAX:
                raise too_large(f"an effect for {effect.topic}", effect.value)
        self._keep(record, state, key, decided, due_before)
        for refusal in decided.effects:
            if isinstance(refusal, NoteRefusal):
                records += self._refused.note_decided(record, event, refusal)
        return records

    def _warn_of(self, channel: str) -> None:
        if channel not in self._gone_channels:
            self._gone_channels.add(channel)
            log.warning(
                "channel %s is not configured any more: its orders expire and are forgotten by the default sla",
                channel,
            )

    async def start(self, committer: Committer) -> None:
        await self._following.start(committer)
        self.ticker.start(committer)

    async def stop(self) -> None:
        await self.ticker.stop()
        await self._following.stop()

    def ready(self) -> str | None:
        return self._following.ready()

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:
        """Reply to the caller of a record that is set aside, which would otherwise wait in vain."""
        due = self.ticker.due(record.partition)
        if record.key == TICK_KEY and due is not None:
            due.rebuild()  # the tick's entities are due as before
        self._stuck.undo(record)
        if self._recording == (record.partition, record.offset):
            # The runtime undid the table, so its sizes are read again.
            self._answers.pop(record.partition, None)
        self._refused.undo(record)
        try:
            envelope = parse(record.headers)
        except EnvelopeError:
            return []
        try:
            address = self._addresses.address_of(envelope)
        except Poison:
            address = None
        failed = code == DECISION_FAILED
        verdict = Verdict.FAILED if failed else Verdict.REFUSED
        message = SET_ASIDE_FAILED if failed else reason[:MESSAGE_MAX]
        effects: list[Effect] = []
        if envelope.channel in self._channels.channels:
            effects += self._refused.note_set_aside(record, envelope, address, verdict, message)
        if address is not None:
            reply = Reply(event=envelope.id, verdict=verdict, message=message)
            effects.append(reply_record(reply, address, envelope.channel, record.timestamp_ms))
        return effects

    def _rejected(self, record: Record, decided: Decided) -> Effect:
        code = decided.verdict.value if decided.verdict is not None else ""
        return rejection(record, role=self.name, topic=self._source_name, code=code, reason=decided.message)

    def on_assigned(self, partition: int, tables: Tables) -> None:
        self._answers[partition] = AnswerTable(tables[ANSWERS], partition)
        self._entities.forget_partition(partition)
        self._refused.on_assigned(partition, tables[REFUSED])
        due = self.ticker.on_assigned(partition, tables[STATE])
        self._stuck.on_assigned(partition)
        for raw in due.add_all():
            self._stuck.add_recovered(partition, raw)

    def on_revoked(self, partition: int) -> None:
        self._answers.pop(partition, None)
        self._entities.forget_partition(partition)
        self._refused.on_revoked(partition)
        self.ticker.on_revoked(partition)
        self._stuck.on_revoked(partition)

    def _answer_table(self, partition: int, table: Table) -> AnswerTable:
        known = self._answers.get(partition)
        if known is None:
            known = self._answers[partition] = AnswerTable(table, partition)
        return known

    def _rerouted(self, record: Record, event: Event) -> Effect:
        """The same record under the entity's key, in the entity's partition. Its event id stays."""
        if any(name == REROUTED for name, _ in record.headers):
            home = partition_of(event.key, self._partitions)
            raise Poison(
                "WRONG_PARTITION",
                f"sent on already, and still in partition {record.partition} instead of {home}: orders.commands does "
                f"not have the {self._partitions} partitions that are configured",
            )
        origin = (REROUTED, b"%d/%d" % (record.partition, record.offset))
        return Effect("orders.commands", event.key, record.value, sent_on(record, origin))


def _kind_of(event: Event) -> str:
    return event.kind.value if event.touchpoint is None else event.touchpoint.name


def _is_lost_on_caller(event: Event, decided: Decided) -> bool:
    """Whether the caller may have got a success for a refused event, so that the refusal must leave a trace.

    A touchpoint that cannot be refused is answered with success when its verdict is late.
    """
    verdict, touchpoint = decided.verdict, event.touchpoint
    if touchpoint is None or touchpoint.refusable or decided.kept:
        return False
    return verdict is not None and not verdict.succeeded
