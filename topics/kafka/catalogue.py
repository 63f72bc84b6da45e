"""Catalogue of every topic of Sluice, with its key, cleanup, retention, writers, readers and purpose.

Topics are made from this list and never auto-created.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DAY_MS = 86_400_000

COMPACTION_LAG_MS = 600_000
"""Compaction leaves records alone for ten minutes after they were appended. A former owner's late record is the last of
its key for less than that: the partition's owner writes the key again with its next group, within a minute when idle
(streams.runtime.limits.AUDIT_S), or when it has taken over. The hour of `segment.ms` delays compaction for longer
anyway."""

YEAR_MS = 365 * DAY_MS
"""How long facts are kept, and former values of a compacted topic that tell a history."""

RECORD_BYTES_MAX = 5 << 20
"""Largest record: a 4 MiB body (the gateway's limit) plus the request or state around it.

Topics, producers and consumers all allow it.
"""


class Cleanup(StrEnum):
    DELETE = "delete"
    COMPACT = "compact"
    BOTH = "compact,delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `retention_ms` applies where cleanup deletes; -1 keeps for ever. `partitions` None: as configured.
    `is_timed_by_broker`: its records have the time at which a broker took them, not that of their producer.
    `compaction_lag_ms`: for so long compaction leaves a record alone."""

    name: str
    key: str
    cleanup: Cleanup
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    why: str
    retention_ms: int = -1
    partitions: int | None = None
    personal_data: bool = False
    is_timed_by_broker: bool = False
    compaction_lag_ms: int = COMPACTION_LAG_MS

    def full_name(self, prefix: str) -> str:
        return f"{prefix}.{self.name}.v1"

    def config(self) -> dict[str, str]:
        """The topic's configuration, as Kafka spells it."""
        config = {"cleanup.policy": self.cleanup.value, "max.message.bytes": str(RECORD_BYTES_MAX)}
        if self.cleanup is not Cleanup.COMPACT:
            config["retention.ms"] = str(self.retention_ms)
        if self.is_timed_by_broker:
            config["message.timestamp.type"] = "LogAppendTime"
        if self.cleanup is not Cleanup.DELETE:
            config["min.cleanable.dirty.ratio"] = "0.2"
            config["segment.ms"] = str(DAY_MS // 24)
            config["min.compaction.lag.ms"] = str(self.compaction_lag_ms)
            # The time of the broker: with its own, what a stalled worker sends late could be compacted at once.
            config["message.timestamp.type"] = "LogAppendTime"
        return config


TOPICS: tuple[Topic, ...] = (
    Topic(
        name="orders.commands",
        key="channel|orderCode, channel|return|returnOrderCode or channel|manifest|manifestId; ~tick",
        cleanup=Cleanup.DELETE,
        retention_ms=7 * DAY_MS,
        writers=("gateway", "direct producers", "delivery", "orders"),
        readers=("orders",),
        why="Commands and all else that may change an order, in the sequence in which it is decided",
        personal_data=True,
        is_timed_by_broker=True,
    ),
    Topic(
        name="orders.events",
        key="as orders.commands",
        cleanup=Cleanup.DELETE,
        retention_ms=365 * DAY_MS,
        writers=("orders",),
        readers=("delivery", "analytics", "journal"),
        why="Facts about orders, without gaps per order and without personal data",
    ),
    Topic(
        name="orders.state",
        key="as orders.commands; with %~ and a level from 1 to 12 behind it: a change of that entity's state",
        cleanup=Cleanup.COMPACT,
        writers=("orders",),
        readers=("orders",),
        why="Changelog of the orders role's table: the truth about each order",
        personal_data=True,
    ),
    Topic(
        name="relay.answers",
        key="entity key|its creation in epoch ms|touchpoint|idempotency key",
        cleanup=Cleanup.BOTH,
        retention_ms=30 * DAY_MS,
        writers=("orders",),
        readers=("orders",),
        why="Successful answers of the far side, so that a repeat gets the same body without a second request",
        personal_data=True,
    ),
    Topic(
        name="orders.refused",
        key="as orders.commands",
        cleanup=Cleanup.BOTH,
        retention_ms=7 * DAY_MS,
        writers=("orders",),
        readers=("orders", "journal"),
        why="Changelog of refused calls, by the order or return that they were about, also where there is none",
        personal_data=True,
    ),
    Topic(
        name="deliveries.requests",
        key="lane; partition of (destination, shard)",
        cleanup=Cleanup.DELETE,
        retention_ms=7 * DAY_MS,
        writers=("orders", "gateway"),
        readers=("delivery", "journal"),
        why="Requests to send: to Increff, to a channel, or as a fact to a subscriber",
        personal_data=True,
    ),
    Topic(
        name="deliveries.attempts",
        key="lane; partition of (destination, shard)",
        cleanup=Cleanup.DELETE,
        retention_ms=30 * DAY_MS,
        writers=("delivery",),
        readers=("analytics", "journal"),
        why="Every attempt of a delivery: its time, its duration, its answer",
    ),
    Topic(
        name="deliveries.outbox",
        key="lane (its header), or lane||request",
        cleanup=Cleanup.COMPACT,
        writers=("delivery",),
        readers=("delivery", "journal"),
        why="Changelog of the delivery role's outbox: the requests that wait in each lane",
        personal_data=True,
    ),
    Topic(
        name="deliveries.permits",
        key="destination|shard; of a stock budget with |stock or |stock|location behind",
        cleanup=Cleanup.COMPACT,
        writers=("delivery",),
        readers=("delivery", "journal"),
        why="Permits, reserved before they are used, so that a crash can only leave some unused",
    ),
    Topic(
        name="deliveries.dead",
        key="lane",
        cleanup=Cleanup.DELETE,
        retention_ms=90 * DAY_MS,
        writers=("delivery",),
        readers=("gateway", "operators", "journal"),
        why="Requests that were given up or refused, with reasons and attempts, and their later outcomes",
        personal_data=True,
    ),
    Topic(
        name="inventory.updates",
        key="channel|location (consolidated: a pseudo-location per consolidationType)",
        cleanup=Cleanup.DELETE,
        retention_ms=3 * DAY_MS,
        writers=("gateway", "direct producers", "inventory"),
        readers=("inventory",),
        why="Stock as it comes in: each record is a batch of up to 200 SKUs of one location",
        is_timed_by_broker=True,
    ),
    Topic(
        name="inventory.positions",
        key="channel|location|sku; partition of (destination, shard)",
        cleanup=Cleanup.COMPACT,
        writers=("inventory",),
        readers=("inventory", "delivery", "gateway", "analytics"),
        why="The inventory role's table: the last accepted value of every position. Keys of its notes begin with `~`",
    ),
    Topic(
        name="inventory.changes",
        key="channel|location; partition of inventory.positions",
        cleanup=Cleanup.DELETE,
        retention_ms=7 * DAY_MS,
        writers=("inventory",),
        readers=("analytics",),
        why="Quantities before and after a batch of stock: one record for each batch that changed some",
    ),
    Topic(
        name="inventory.sent",
        key="channel|location|sku; partition of (destination, shard)",
        cleanup=Cleanup.COMPACT,
        writers=("delivery",),
        readers=("delivery", "analytics"),
        why="The value of every position that the channel acknowledged last. Keys of calls in doubt begin with `~`",
    ),
    Topic(
        name="inventory.controls",
        key="channel, or channel|location",
        cleanup=Cleanup.COMPACT,
        partitions=1,
        writers=("gateway",),
        readers=("gateway", "delivery"),
        why="Operators' controls of stock: paused channels and locations, resyncs and reconciliations",
    ),
    Topic(
        name="inventory.status",
        key="channel|location; channel|location|sku of a refused SKU; partition of (destination, shard)",
        cleanup=Cleanup.COMPACT,
        writers=("delivery",),
        readers=("gateway", "operators"),
        why="The state of each location's stock, and the SKUs that a channel refuses: for people, written seldom",
    ),
    Topic(
        name="inventory.events",
        key="channel|location",
        cleanup=Cleanup.DELETE,
        retention_ms=365 * DAY_MS,
        writers=("inventory", "delivery"),
        readers=("operators", "analytics", "journal"),
        why="Facts about stock: refused SKUs, drift, the outcomes of snapshots and resyncs",
    ),
    Topic(
        name="destinations.controls",
        key="destination",
        cleanup=Cleanup.COMPACT,
        compaction_lag_ms=YEAR_MS,
        partitions=1,
        writers=("gateway",),
        readers=("gateway", "delivery", "journal"),
        why="Operators' pauses of destinations: the last record of each counts, former ones are its history for a year",
    ),
    Topic(
        name="subscriptions",
        key="subscription id",
        cleanup=Cleanup.COMPACT,
        partitions=1,
        writers=("gateway",),
        readers=("gateway", "orders", "delivery"),
        why="Subscriptions of those that get facts over HTTP, as /api/subscriptions made them, with sealed secrets",
    ),
    Topic(
        name="subscriptions.status",
        key="subscription id; subscription id|shard; subscription id|shard|backlog",
        cleanup=Cleanup.COMPACT,
        partitions=1,
        writers=("delivery",),
        readers=("gateway", "orders", "delivery"),
        why="Findings of delivery about subscriptions: disabled ones and why, the health and backlog of shards",
    ),
    Topic(
        name="subscriptions.events",
        key="subscription id",
        cleanup=Cleanup.DELETE,
        retention_ms=365 * DAY_MS,
        writers=("delivery",),
        readers=("operators", "analytics"),
        why="Facts about subscriptions: Sluice disabled one, and why",
    ),
    Topic(
        name="replies",
        key="event id",
        cleanup=Cleanup.DELETE,
        retention_ms=DAY_MS // 24,
        partitions=16,
        writers=("orders", "delivery"),
        readers=("gateway",),
        why="Verdicts and answers for the gateways that wait; each gateway reads one partition",
        personal_data=True,
    ),
    Topic(
        name="skips",
        key="topic|partition|offset of the record",
        cleanup=Cleanup.BOTH,
        retention_ms=30 * DAY_MS,
        partitions=1,
        writers=("operators",),
        readers=("orders", "inventory", "delivery", "journal"),
        why="Records that `sluice skip` has a role leave out, with the operator's name and reason",
    ),
    Topic(
        name="operators.events",
        key="id of the action",
        cleanup=Cleanup.DELETE,
        retention_ms=YEAR_MS,
        partitions=1,
        writers=("gateway", "operators"),
        readers=("gateway", "journal", "operators"),
        why="Facts about operators' actions, each written before anything of it takes effect: who, what, why, before, "
        "after. One partition, so that of two uses of one preview the first counts",
    ),
    Topic(
        name="commands.rejected",
        key="as the original record",
        cleanup=Cleanup.DELETE,
        retention_ms=90 * DAY_MS,
        writers=("orders", "inventory", "delivery"),
        readers=("operators", "journal"),
        why="Records that could not be decided or accepted: the original bytes, with the reason in headers",
        personal_data=True,
    ),
)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
