"""Logs of orders that the watchdog watches, and what tests of it look at."""

from __future__ import annotations

from typing import Any

import orjson

from tests.support.orders import (
    CHANNEL,
    CODE,
    acknowledgement_body,
    create_body,
    pack_body,
)
from tests.support.orders_log import Logs, make_channels
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key

KEY = order_key(CHANNEL, CODE)
SLA = {"submit_s": 10, "acknowledge_s": 20, "pack_s": 30, "handover_s": 40, "dispatch_near_s": 0}
DAY_MS = 86_400_000
STUCK = ("order-stuck", "order-unstuck")


def make_logs(sla: dict[str, Any] | None = None, **channel: Any) -> Logs:
    return Logs(channels=make_channels(sla={**SLA, **(sla or {})}, **channel))


def create(logs: Logs, **changes: Any) -> None:
    logs.call("create-outward-order", create_body(**changes), "create")
    logs.run()


def answered(logs: Logs, kind: OutcomeKind = OutcomeKind.DELIVERED, **body: Any) -> None:
    logs.answer(logs.requests()[-1], kind, body=body or None)
    logs.run()


def submitted(logs: Logs, **changes: Any) -> None:
    create(logs, **changes)
    answered(logs)


def acknowledged(logs: Logs) -> None:
    submitted(logs)
    logs.call("acknowledgement", acknowledgement_body(), "acknowledged")
    logs.run()


def packed(logs: Logs, shipment: int = 1, **units: int) -> None:
    logs.call("pack-order", pack_body(shipment, CODE, **units), f"pack-{shipment}")
    logs.run()
    answered(logs, shipmentCode=f"S-{shipment}")


def raised(logs: Logs) -> list[tuple[str, str]]:
    """(fact, step) of everything that was raised or withdrawn, each fact once."""
    found = {}
    for effect in logs.effects:
        headers = dict(effect.headers)
        name = headers["ce_type"].decode().removeprefix("sluice.fact.") if effect.topic == "orders.events" else ""
        if name in STUCK:
            found[headers["ce_id"]] = (name.removeprefix("order-"), orjson.loads(effect.value)["step"])
    return list(found.values())


def state(logs: Logs) -> dict[str, Any]:
    found: dict[str, Any] = logs.states_by_key()[KEY]
    return found
