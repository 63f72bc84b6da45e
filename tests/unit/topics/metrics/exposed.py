"""Prints the families that /metrics of a role has, as JSON: in a process that imports what the role does."""

# ruff: noqa: PLC0415 - only what the role imports

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric

MODULES = {
    "orders": "streams.order.role",
    "inventory": "streams.inventory.role",
    "delivery": "streams.delivery.bootstrap",
    "journal": "streams.journal.role",
}


def registries(role: str) -> Iterable[CollectorRegistry]:
    """Those whose text the role answers."""
    if role == "gateway":
        from gateway.admission.overload import Overload
        from gateway.app import make_calls
        from gateway.http.access_log import AccessLog
        from gateway.http.metrics import Metrics
        from sluice.demo_channels import demo_channels
        from topics.configuration.channels_file import parse_channels
        from topics.configuration.settings import load_settings

        metrics = Metrics()
        Overload(make_calls(load_settings(), parse_channels(demo_channels(), where="test")), metrics, AccessLog())
        return [metrics.registry]
    importlib.import_module(MODULES[role])
    if role == "journal":
        from streams.journal.metrics import JournalMetrics

        return [JournalMetrics().registry, REGISTRY]
    from streams.runtime.metrics import Metrics as RuntimeMetrics

    return [RuntimeMetrics(role).registry, REGISTRY]


def families(role: str) -> Iterable[Metric]:
    return (family for registry in registries(role) for family in registry.collect())


if __name__ == "__main__":
    print(json.dumps([[one.name, one.type, one.documentation] for one in families(sys.argv[1])]))
