"""Intake of stock: batches of 200 SKUs over HTTP with full validation, beside a bare handler that has no rules.

Both take location-wise batches and consolidated ones; the bare one is aiohttp, msgspec and aiokafka, with the gateway's
settings of the producer and of the garbage collector. They take turns in one run and write to the same topic of one
real Kafka. Void when an answer was not 200, or when Kafka holds fewer records than were accepted.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench.ingress.benchmark import CONNECTIONS, ServerTurns, Spec, alternating, server, stored_in
from bench.processes import VoidRunError, cpu_median
from topics.configuration.settings import load_settings
from topics.kafka.admin import create
from topics.schema_base import SKUS_MAX

GOAL = 0.7
BODIES = 64
LOCATIONS = 40
SKUS = 25_000
SEED = 3
PATHS = {"location": "/channels/demo/inventory", "consolidated": "/channels/demo/inventory/consolidated"}
HEADERS = {"X-Api-Key": "demo-increff"}


def measure(kafka: str, directory: Path, seconds: float) -> dict[str, Any]:
    settings = load_settings(kafka=kafka, topic_prefix="bench-intake")
    asyncio.run(create(settings))
    files = {"location": directory / "location-wise", "consolidated": directory / "consolidated"}
    files["location"].write_text("\n".join(location_wise()), encoding="utf-8")
    files["consolidated"].write_text("\n".join(consolidated()), encoding="utf-8")
    with ExitStack() as stack:
        ours, bare = (stack.enter_context(server(kind, settings, directory)) for kind in ("gateway", "bare-stock"))
        servers = {"gateway": ours, "bare": bare}
        specs = {
            f"{name} {form}": _spec(port, PATHS[form], files[form]) for form in PATHS for name, port in servers.items()
        }
        measured = alternating(specs, seconds * len(specs))
    accepted = sum(one.accepted for one in measured.values())
    stored = asyncio.run(stored_in(settings, "inventory.updates"))
    if stored < accepted:
        raise VoidRunError(f"{accepted} batches were accepted, Kafka holds {stored}")
    return _result(measured, accepted, stored)


def _result(measured: dict[str, ServerTurns], accepted: int, stored: int) -> dict[str, Any]:
    forms = {form: _compared(measured[f"gateway {form}"], measured[f"bare {form}"]) for form in PATHS}
    cpu = {name: cpu_median(one.cpu) for name, one in measured.items()}
    return {
        "offered_per_s": None,
        **forms["location"],
        "consolidated": forms["consolidated"],
        "cpu": cpu,
        "goal": GOAL,
        "met": all(form["ratio"] >= GOAL for form in forms.values()),
        "connections": CONNECTIONS,
        "accepted": accepted,
        "stored": stored,
    }


def described(found: Mapping[str, Any]) -> str:
    other = found["consolidated"]
    return (
        f"bare handler {found['reference_per_s']:,.0f}/s: ratio {found['ratio']}; consolidated "
        f"{other['achieved_per_s']:,.0f}/s beside {other['reference_per_s']:,.0f}/s: {other['ratio']} (goal {GOAL})"
    )


def _compared(ours: ServerTurns, bare: ServerTurns) -> dict[str, Any]:
    """Compare two servers, in positions."""
    achieved, reference = SKUS_MAX * median(ours.rates), SKUS_MAX * median(bare.rates)
    return {
        "achieved_per_s": round(achieved),
        "reference_per_s": round(reference),
        "ratio": round(achieved / reference, 3),
        "latency_ms": {"p50": median(ours.p50_ms), "p99": median(ours.p99_ms)},
        "rates_per_s": [round(SKUS_MAX * rate) for rate in ours.rates],
        "reference_rates_per_s": [round(SKUS_MAX * rate) for rate in bare.rates],
    }


def _spec(port: int, path: str, bodies: Path) -> Spec:
    def spec(prefix: str) -> dict[str, Any]:
        return {
            "port": port,
            "connections": CONNECTIONS,
            "method": "PUT",
            "path": path,
            "headers": HEADERS,
            "prefix": prefix,
            "bodies": str(bodies),
        }

    return spec


def location_wise() -> Iterator[str]:
    """Yield location-wise batches, the same each time."""
    chance = random.Random(SEED)
    for number in range(BODIES):
        skus = chance.sample(range(SKUS), SKUS_MAX)
        items = [{"channelSkuCode": f"SKU-{sku:07d}", "quantity": chance.randrange(100)} for sku in skus]
        yield _compact({"locationCode": f"WH{number % LOCATIONS}", "inventories": items})


def consolidated() -> Iterator[str]:
    """Yield consolidated batches, the same each time."""
    chance = random.Random(SEED)
    for number in range(BODIES):
        items = []
        for sku in chance.sample(range(SKUS), SKUS_MAX):
            code, quantity = f"SKU-{sku:07d}", chance.randrange(100)
            items.append({"channelSkuCode": code, "consolidatedQuantity": quantity, "listingId": 4_000_000 + sku})
        yield _compact({"consolidationType": ("ALL", "STORE")[number % 2], "inventories": items})


def _compact(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))
