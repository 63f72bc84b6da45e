"""`sluice bench ingress`: durable accepted posts/s of the gateway beside a bare aiohttp + aiokafka handler.

Both write Create Outward Order, the contract's sample, to the same topic of one real Kafka, acks=all and idempotent,
at 32 keep-alive connections. They take turns in one run; the ratio is that of the medians. The run is void when an
answer was not 200, or when Kafka holds fewer records than were accepted.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka import AIOKafkaConsumer

from bench.ingress.load import CODE
from bench.processes import (
    VoidRunError,
    cpu_each,
    cpu_median,
    cpu_now,
    cpu_text,
    end,
    held,
    places,
    run_module,
    scratch_kafka,
    start_module,
)
from sluice.dev.local.ports import free_ports
from topics.configuration.settings import Settings, load_settings
from topics.contract.sample_files import sample
from topics.kafka.admin import create

CONNECTIONS = 32
ROUNDS = 4
"""Turns of each server; the median ignores one that the machine disturbed."""
WARM_UP_S = 2.0
READY_S = 30.0
GOAL = 0.75
PATH = "/assure-magic2/orders/outward"
HEADERS = {"authUsername": "demo", "authPassword": "demo-secret", "authDomainName": "demo"}


Spec = Callable[[str], "dict[str, Any]"]
"""Returns the load of a turn, whose codes begin with the argument."""


@dataclass
class ServerTurns:
    """All turns of one server."""

    rates: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    accepted: int = 0
    cpu: list[dict[str, Any]] = field(default_factory=list)
    """CPU of each part for a post (bench.processes.cpu_each)."""


def main(seconds: float, as_json: bool) -> int:
    """Return 0 when the goal was met."""
    with ExitStack() as stack:
        kafka, directory = stack.enter_context(scratch_kafka())
        settings = load_settings(kafka=kafka, topic_prefix="bench")
        asyncio.run(create(settings))
        ports = {kind: stack.enter_context(server(kind, settings, directory)) for kind in ("gateway", "bare")}
        measured = alternating({kind: partial(request_spec, port) for kind, port in ports.items()}, seconds)
        accepted = sum(one.accepted for one in measured.values())
        stored = asyncio.run(stored_in(settings, "orders.commands"))
        if stored < accepted:
            raise VoidRunError(f"{accepted} posts were accepted, Kafka holds {stored}")
    result = _result(measured, accepted, stored)
    sys.stdout.write(("" if as_json else _text(result) + "\n") + json.dumps(result) + "\n")
    return 0 if result["ratio"] >= GOAL else 1


def _result(measured: dict[str, ServerTurns], accepted: int, stored: int) -> dict[str, Any]:
    ours, reference = measured["gateway"], measured["bare"]
    achieved, bare = median(ours.rates), median(reference.rates)
    return {
        "bench": "ingress",
        "offered_per_s": None,
        "achieved_per_s": round(achieved, 1),
        "reference_per_s": round(bare, 1),
        "ratio": round(achieved / bare, 3),
        "goal": GOAL,
        "latency_ms": {"p50": median(ours.p50_ms), "p99": median(ours.p99_ms)},
        "reference_latency_ms": {"p50": median(reference.p50_ms), "p99": median(reference.p99_ms)},
        "connections": CONNECTIONS,
        "rates_per_s": [round(rate) for rate in ours.rates],
        "reference_rates_per_s": [round(rate) for rate in reference.rates],
        "accepted": accepted,
        "stored": stored,
        "cpu": cpu_median(ours.cpu),
        "reference_cpu": cpu_median(reference.cpu),
        "cores": os.cpu_count(),
    }


def _text(result: dict[str, Any]) -> str:
    return (
        f"gateway {result['achieved_per_s']:,.0f} accepted posts/s, bare handler {result['reference_per_s']:,.0f}/s: "
        f"ratio {result['ratio']} (goal {GOAL}); p50 {result['latency_ms']['p50']} ms, "
        f"p99 {result['latency_ms']['p99']} ms at {CONNECTIONS} connections; "
        f"{result['accepted']:,} accepted, {result['stored']:,} records in Kafka\n"
        f"{cpu_text(result['cpu'])}\n{cpu_text(result['reference_cpu'], 'the bare handler')}"
    )


@contextmanager
def server(kind: str, settings: Settings, directory: Path) -> Iterator[int]:
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "SLUICE_KAFKA": settings.kafka,
        "SLUICE_TOPIC_PREFIX": settings.topic_prefix,
        "SLUICE_GATEWAY_PORT": str(port),
        "SLUICE_ADMIN_PORT": "0",
    }
    with (directory / f"{kind}.log").open("wb") as log:
        process = start_module("bench.ingress.servers", kind, part=kind, env=environment, stderr=log, stdout=log)
        try:
            _wait_ready(port, process)
            yield port
        finally:
            end(process)


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)  # not yet: it starts, or waits for Kafka
    raise VoidRunError(f"a server did not become ready within {READY_S:.0f} s")


def alternating(specs: Mapping[str, Spec], seconds: float) -> dict[str, ServerTurns]:
    """Run each server's turns, after a warm-up that counts only in `accepted`."""
    measured = {kind: ServerTurns() for kind in specs}
    for kind, spec in specs.items():
        _turn(measured[kind], spec(f"W{kind[0]}"), WARM_UP_S)
    for one in measured.values():
        one.rates.clear()
        one.p50_ms.clear()
        one.p99_ms.clear()
        one.cpu.clear()
    for turn in range(ROUNDS):
        for kind, spec in specs.items():
            _turn(measured[kind], spec(f"{turn}{kind[0]}"), max(1.0, seconds / ROUNDS / len(specs)))
    return measured


def _turn(measured: ServerTurns, spec: dict[str, Any], seconds: float) -> None:
    before = cpu_now()
    found = run_load("bench.ingress.load", {**spec, "seconds": seconds})
    # A server of another side is idle meanwhile, but for its timers: it is no part of this one.
    cpu = cpu_each("post", found["accepted_in_all"], before)
    measured.cpu.append(cpu)
    measured.rates.append(found["accepted"] / found["seconds"])
    measured.p50_ms.append(found["p50_ms"])
    measured.p99_ms.append(found["p99_ms"])
    measured.accepted += found["accepted_in_all"]


def request_spec(port: int, prefix: str) -> dict[str, Any]:
    """Return a load of Create Outward Order, the contract's sample, with codes that begin with `prefix`."""
    days = {"dispatchByTime": "2095-06-16T18:00:00.000+04:00"}  # the sample's is past, so each order would be late
    body = json.dumps({**(sample("create-outward-order").body or {}), **days, "orderCode": CODE.decode()})
    return {
        "port": port,
        "connections": CONNECTIONS,
        "path": PATH,
        "headers": HEADERS,
        "prefix": prefix,
        "body": body,
    }


def run_load(module: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Run a load in a process of its own; void when anything but success came back."""
    found = run_module(module, spec)
    if found["failures"] or not found["accepted"]:
        raise VoidRunError(f"not accepted: {found['failures'] or 'no answer came'}")
    return found


async def stored_in(settings: Settings, topic: str) -> int:
    """Return how many records a topic of the catalogue ever got."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    try:
        return await held(consumer, places(settings, topic))
    finally:
        await consumer.stop()
