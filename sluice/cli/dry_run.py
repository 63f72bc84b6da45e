"""`sluice check FILE`: the verdicts that records would get, before they are produced. Nothing is sent anywhere.

The real roles decide: the orders role in the order of the file, over the orders of this file alone, with far sides that
have not answered; the inventory role for stock. So the verdicts are those of production.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streams.inventory.batches import location_of
from streams.inventory.role import InventoryRole
from streams.inventory.snapshots.records import SNAPSHOT_TYPES
from streams.order.role import OrdersRole
from streams.runtime.decide import check_sizes
from streams.runtime.rejected import DECISION_FAILED, REJECTED_TOPIC
from streams.runtime.role import Effect, Poison, Record, Role
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.contract.definition import Entity, Touchpoint
from topics.contract.entities import EntityError, entity_key
from topics.contract.leniency import normalised
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import COMMAND, Envelope, EnvelopeError, Headers, parse
from topics.records.json_text import JsonTextError, read, without_mark, write
from topics.records.keys import partition_of, stock_key, stock_partition
from topics.records.verdicts import Reply, decode_reply
from topics.schema_base import canonical

WAITS = "WAITS"
"""The verdict depends on an answer of the far side, or of another order; a dry run has neither."""
TAKEN = "TAKEN"
"""Stock that would be accepted; it gets no verdict."""
REJECTED = "REJECTED"
UNREADABLE = "UNREADABLE"

_STEP_MS = 1_000
"""Time between two records: long enough to tell them apart, short enough to meet every deadline."""
_HOPS_MAX = 10_000
"""Commands that one record may cause among orders and returns: a manifest sends one to each of its orders."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one record. `line` counts from 1. `partition` is None for an unreadable record."""

    line: int
    touchpoint: str
    event: str
    verdict: str
    message: str = ""
    topic: str = ""
    key: str = ""
    partition: int | None = None

    @property
    def bad(self) -> bool:
        """Whether the record would not be accepted."""
        return self.verdict not in (WAITS, TAKEN, "APPLIED", "DUPLICATE", "ANSWERED")


class UnreadableError(ValueError):
    """An entry of the file is no record; the message says what was expected."""


def entries(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the file's entries with their lines: a JSON object or array, or one JSON object a line."""
    raw = without_mark(text.encode())
    try:
        whole = read(raw)
    except JsonTextError:
        for number, line in enumerate(raw.splitlines(), 1):
            if line.strip():
                try:
                    yield number, read(line)
                except JsonTextError as error:
                    yield number, UnreadableError(f"not JSON: {error}")
    else:
        yield from enumerate(whole if isinstance(whole, list) else [whole], 1)


class DryRun:
    """The real roles over empty tables in memory."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        now_ms: int,
        *,
        touchpoint: str | None = None,
        channel: str | None = None,
    ) -> None:
        """With `touchpoint`, every entry is a body of this call. `channel` is that of entries that name none."""
        self._touchpoint = touchpoint
        self._channel = channel or next(iter(channels.channels))
        self._settings = settings
        self._channels = channels
        self._now_ms = now_ms
        self._roles: dict[str, Role] = {
            "orders.commands": OrdersRole(settings, channels),
            "inventory.updates": InventoryRole(settings, channels),
        }
        self._states: dict[tuple[str, int], PartitionState] = {}

    def check(self, line: int, entry: Any) -> Finding:
        """Return the outcome of one entry of the file."""
        self._now_ms += _STEP_MS
        try:
            record, envelope, topic = self._record(line, entry)
        except (UnreadableError, EnvelopeError, EntityError) as error:
            return Finding(line, "", "", UNREADABLE, str(error))
        touchpoint = envelope.type.removeprefix(COMMAND)
        verdict, message = self._decide(topic, record, envelope.id)
        partition = record.partition
        return Finding(
            line, touchpoint, envelope.id, verdict, message, topic, record.key.decode(errors="replace"), partition
        )

    def _record(self, line: int, entry: Any) -> tuple[Record, Envelope, str]:
        if isinstance(entry, UnreadableError):
            raise entry
        if self._touchpoint is not None:
            entry = {"touchpoint": self._touchpoint, "body": entry}
        if not isinstance(entry, dict):
            raise UnreadableError("expected an object with headers and value, or with touchpoint and body")
        headers, members = self._parts(line, entry)
        envelope = parse(headers)
        touchpoint = BY_NAME.get(envelope.type.removeprefix(COMMAND))
        topic, key, partition = self._home(touchpoint, envelope, members, entry.get("key"))
        if envelope.reply_partition is None and not envelope.reply_topic:
            headers = (*headers, ("sluice-reply-partition", b"0"))
        value = members if isinstance(members, bytes) else write(members)
        state = self._state(topic, partition)
        record = Record(partition, state.last_decided + 1, self._now_ms, key, value, headers)
        return record, envelope, topic

    def _parts(self, line: int, entry: Mapping[str, Any]) -> tuple[Headers, Any]:
        """Return headers and value of an entry in either form."""
        if "touchpoint" not in entry:
            headers, value = entry.get("headers"), entry.get("value")
            if not isinstance(headers, dict) or "value" not in entry:
                raise UnreadableError(
                    "expected the members headers (an object) and value, or touchpoint and body; "
                    "--touchpoint CALL takes a record as a body"
                )
            encoded = value.encode() if isinstance(value, str) else value
            return tuple((str(name), str(content).encode()) for name, content in headers.items()), encoded
        name = entry["touchpoint"]
        if name not in BY_NAME:
            raise UnreadableError(f"touchpoint: there is no {name!r}; there are: {', '.join(BY_NAME)}")
        channel = entry.get("channel") or self._channel
        envelope = Envelope(
            id=str(entry.get("id") or f"line-{line}"), type=COMMAND + name, source="/check", channel=str(channel)
        )
        return envelope.headers(), entry.get("body")

    def _home(
        self, touchpoint: Touchpoint | None, envelope: Envelope, members: Any, key: Any
    ) -> tuple[str, bytes, int]:
        """Return topic, key and partition of the record. The role itself refuses a record without a usable key."""
        given = str(key).encode() if key is not None else b""
        partitions = self._settings.partitions
        if envelope.type in SNAPSHOT_TYPES and isinstance(members, dict):
            return "inventory.updates", *self._stock_home(envelope.channel, members)
        if touchpoint is None or not isinstance(members, dict):
            return "orders.commands", given, partition_of(given, partitions)
        members = normalised(touchpoint.request, canonical(touchpoint.name, members))
        if touchpoint.entity is Entity.STOCK:
            return "inventory.updates", *self._stock_home(envelope.channel, members)
        if touchpoint.entity is Entity.NONE:
            raise UnreadableError(f"{touchpoint.name} is a question over HTTP; it cannot be produced to a topic")
        try:
            own = entity_key(touchpoint, envelope.channel, members)
        except EntityError:
            return "orders.commands", given, partition_of(given, partitions)
        return "orders.commands", own, partition_of(own, partitions)

    def _stock_home(self, channel: str, members: dict[str, Any]) -> tuple[bytes, int]:
        try:
            key = stock_key(channel, location_of(members))
        except (KeyError, TypeError):
            key = channel.encode()
        known = self._channels.channels.get(channel)
        shards = known.marketplace.shards if known is not None else 1
        return key, stock_partition(channel, key, shards, self._settings.partitions)

    def _state(self, topic: str, partition: int) -> PartitionState:
        state = self._states.get((topic, partition))
        if state is None:
            role = self._roles[topic]
            state = self._states[topic, partition] = PartitionState(partition, role.tables, of_kinds(role.table_kinds))
            role.on_assigned(partition, state.tables)
        return state

    def _decide(self, topic: str, record: Record, event: str) -> tuple[str, str]:
        """Return verdict and message. Commands that the record causes among orders and returns are decided, too."""
        caused = [(topic, record)]
        verdict, message = (WAITS, "for an answer") if topic == "orders.commands" else (TAKEN, "")
        for _ in range(_HOPS_MAX):
            if not caused:
                break
            for effect in self._step(*caused.pop(0)):
                if effect.topic == "orders.commands":
                    home = partition_of(effect.key, self._settings.partitions)
                    offset = self._state(effect.topic, home).last_decided + 1
                    hop = Record(home, offset, self._now_ms, effect.key, effect.value, effect.headers)
                    caused.append((effect.topic, hop))
                elif effect.topic == REJECTED_TOPIC and verdict in (WAITS, TAKEN):
                    verdict, message = REJECTED, _reason(effect)
                elif effect.topic.startswith("replies"):
                    reply: Reply = decode_reply(effect.value)
                    if reply.event == event:
                        verdict, message = reply.verdict.value, reply.message
        return verdict, message

    def _step(self, topic: str, record: Record) -> list[Effect]:
        role, state = self._roles[topic], self._state(topic, record.partition)
        state.offset = record.offset
        try:
            effects = list(role.decide(record, state.tables))
            check_sizes(state, effects)
        except Poison as poison:
            state.undo()
            effects = [_rejection(record, f"{poison.code}: {poison.reason}")]
        except Exception as error:  # noqa: BLE001 - the runtime sets such a record aside and goes on
            state.undo()
            reason = f"{DECISION_FAILED}: {error!r}: a fault in Sluice, which would set the record aside"
            effects = [_rejection(record, reason)]
        else:
            for table in state.all:
                table.merge()
        state.last_decided = record.offset
        return effects


def _rejection(record: Record, reason: str) -> Effect:
    return Effect(REJECTED_TOPIC, record.key, record.value, (("sluice-rejected-reason", reason.encode()),))


def _reason(effect: Effect) -> str:
    return dict(effect.headers)["sluice-rejected-reason"].decode(errors="replace")
