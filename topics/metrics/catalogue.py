"""The catalogue of metrics: everything that /metrics of a role says. docs/metrics.md is made from it.

Metrics are made from these entries (topics/metrics/made.py), and a test compares them with what each role exposes. Base
units: seconds, bytes. A label has a bound, so that no caller can make series: a channel, for one, is a name of
channels.toml, never one that a request claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from topics.metrics.client_metrics import CLIENT
from topics.metrics.definition import Label, Metric
from topics.metrics.of_delivery import DELIVERY_METRICS
from topics.metrics.of_processes import ALL_METRICS, GATEWAY_METRICS
from topics.metrics.of_streams import INVENTORY_METRICS, JOURNAL_METRICS, ORDERS_METRICS, RUNTIME_METRICS

LABELS: Final[Mapping[str, Label]] = MappingProxyType(
    {
        "brake": Label("what the brake on guesses did", "3"),
        "channel": Label("a name of channels.toml; `-` where it is not known whose call it is", "channels"),
        "class": Label("class of what came", "10"),
        "code": Label("code of the reason", "20"),
        "destination": Label("`increff`, `channel:NAME`, `subscription:ID`", "destinations"),
        "far_side": Label("http, kafka, self", "3"),
        "fate": Label("what became of it", "4"),
        "fault": Label("what is wrong", "10"),
        "generation": Label("of Python's garbage collector", "3"),
        "how": Label("how it ended", "6"),
        "implementation": Label("of Python", "1"),
        "invariant": Label("name of the check", "30"),
        "kind": Label("kind of the difference", "3"),
        "limit": Label("name of a limit of the destination's budget", "limits"),
        "location": Label("code of a location of the channel", "locations"),
        "major": Label("of Python's version", "1"),
        "minor": Label("of Python's version", "1"),
        "outcome": Label("how the request ended", "6"),
        "partition": Label("partition of the role's source topic", "partitions"),
        "patchlevel": Label("of Python's version", "1"),
        "reason": Label("why", "12"),
        "response_class": Label("class of the answer (responses.md)", "8"),
        "result": Label("what the answer meant", "8"),
        "role": Label("the role of the process", "1"),
        "shard": Label("part of the destination, by partition", "partitions"),
        "side": Label("marketplace, increff, api", "3"),
        "status": Label("HTTP status of the answer", "20"),
        "step": Label("a step of the order (orders.md), or of a rebalance (operations.md)", "12"),
        "table": Label("a table, by its catalogue name", "20"),
        "topic": Label("a topic, by its catalogue name", "20"),
        "touchpoint": Label("a call of the contract, or the label of a route of `/api`", "100"),
        "verdict": Label("a verdict of the orders role", "12"),
        "version": Label("of Python", "1"),
    }
)

METRICS: Final[tuple[Metric, ...]] = (
    *ALL_METRICS,
    *GATEWAY_METRICS,
    *RUNTIME_METRICS,
    *ORDERS_METRICS,
    *INVENTORY_METRICS,
    *DELIVERY_METRICS,
    *JOURNAL_METRICS,
    *CLIENT,
)
BY_NAME: Final[Mapping[str, Metric]] = MappingProxyType({one.name: one for one in METRICS})
